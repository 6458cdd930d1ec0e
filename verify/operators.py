"""The operators of a network: linear maps with a transpose, ReLU, Add and Concat; everything else is rewritten.

A linear operator is the map ``v -> W v + b`` on one node. Tensors carry one leading axis N before the node's own
shape. ``W`` is never built unless ``matrix`` is called. An operator whose stored weights were rounded while the file
was read says so: the true weight differs from the stored one by at most ``weight_ulps * u`` relatively and the true
bias by at most ``bias_error``, and every bound pays for it, so claims are about the file, not about our copy of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from verify.errors import UsageError

if TYPE_CHECKING:
    import scipy.sparse as sp  # 0.2 s of start-up: loaded by the methods ``matrix``, which only encoders call

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Base of the linear operators; subclasses say how ``W`` and its transpose are applied."""

    input_shape: Shape
    bias: Tensor | None = None
    weight_ulps: int = 0
    bias_error: Tensor | None = None

    @property
    def output_shape(self) -> Shape:
        """Shape of the result without the leading axis."""
        raise NotImplementedError

    @property
    def terms(self) -> int:
        """Most terms in any sum of ``W v`` or of ``a W``; 0 when both only move numbers."""
        raise NotImplementedError

    @property
    def fan(self) -> int:
        """Most products in one entry of ``W v``."""
        return 1

    def linear(self, x: Tensor) -> Tensor:
        """``W x`` without the bias: (N, *input_shape) -> (N, *output_shape)."""
        raise NotImplementedError

    def absolute(self, x: Tensor) -> Tensor:
        """``|W| x``: (N, *input_shape) -> (N, *output_shape)."""
        raise NotImplementedError

    def transpose(self, a: Tensor) -> Tensor:
        """``a W``: (N, *output_shape) -> (N, *input_shape), the adjoint of :meth:`linear`."""
        raise NotImplementedError

    def matrix(self) -> sp.csr_array:
        """``W`` as a sparse float64 matrix (output size, input size), rows and columns in row-major order."""
        raise NotImplementedError

    def apply(self, x: Tensor) -> Tensor:
        """``W x + b``: (N, *input_shape) -> (N, *output_shape)."""
        y = self.linear(x)
        return y if self.bias is None else y + self.full_bias()

    def full_bias(self) -> Tensor:
        """The bias with the full output shape; call only when there is one."""
        assert self.bias is not None
        return self.bias.expand(self.output_shape)

    def rows(self, index: Tensor) -> Tensor:
        """The rows ``index`` (k,) of ``W``, each with the input's shape: (k, *input_shape). Exact."""
        size = math.prod(self.output_shape)
        one_hot = torch.zeros(len(index), size, dtype=self.dtype, device=index.device)
        one_hot[torch.arange(len(index), device=index.device), index] = 1.0
        return self.transpose(one_hot.reshape(-1, *self.output_shape))

    @property
    def dtype(self) -> torch.dtype:
        """The floating dtype of the weights."""
        return torch.float64 if self.bias is None else self.bias.dtype


@dataclass(frozen=True, kw_only=True)
class Affine(Linear):
    """``weight`` (out, in) applied to the last axis of the input; a fully-connected layer when there is one axis."""

    weight: Tensor

    def __post_init__(self) -> None:
        if self.input_shape[-1] != self.weight.shape[1]:
            raise UsageError(
                f"a weight of shape {tuple(self.weight.shape)} does not fit an input of shape {self.input_shape}"
            )

    @property
    def output_shape(self) -> Shape:
        return (*self.input_shape[:-1], self.weight.shape[0])

    @property
    def terms(self) -> int:
        return max(self.weight.shape)

    @property
    def fan(self) -> int:
        return self.weight.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype

    def linear(self, x: Tensor) -> Tensor:
        return x @ self.weight.T

    def absolute(self, x: Tensor) -> Tensor:
        return x @ self.weight.abs().T

    def transpose(self, a: Tensor) -> Tensor:
        return a @ self.weight

    def rows(self, index: Tensor) -> Tensor:
        return self.weight[index] if len(self.input_shape) == 1 else super().rows(index)

    def matrix(self) -> sp.csr_array:
        import scipy.sparse as sp

        block = sp.csr_array(self.weight.detach().cpu().double().numpy())
        lead = math.prod(self.input_shape[:-1])
        return block if lead == 1 else sp.csr_array(sp.kron(sp.eye_array(lead), block, format="csr"))


@dataclass(frozen=True, kw_only=True)
class Conv(Linear):
    """Two-dimensional convolution of an input (channels, height, width), zero padded on both sides alike."""

    weight: Tensor  # (out channels, in channels / groups, kernel height, kernel width)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        channels = self.weight.shape[1] * self.groups
        if len(self.input_shape) != 3 or self.input_shape[0] != channels:
            raise UsageError(
                f"a convolution over {channels} channels does not fit an input of shape {self.input_shape}"
            )

    def _spatial(self) -> list[int]:
        sizes = zip(self.input_shape[1:], self.weight.shape[2:], self.stride, self.padding, self.dilation, strict=True)
        return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes]

    @property
    def output_shape(self) -> Shape:
        return (self.weight.shape[0], *self._spatial())

    @property
    def terms(self) -> int:
        kernel = self.weight.shape[2] * self.weight.shape[3]
        return kernel * max(self.weight.shape[1], self.weight.shape[0] // self.groups)

    @property
    def fan(self) -> int:
        return math.prod(self.weight.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        # cuDNN may choose Winograd or FFT, whose rounding our error terms do not cover; its absence costs a CPU nothing.
        with torch.backends.cudnn.flags(enabled=False):
            return F.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)

    def linear(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.weight)

    def absolute(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.weight.abs())

    def transpose(self, a: Tensor) -> Tensor:
        # Input pixels that no window reaches (a stride that does not divide) have a zero column: output_padding.
        sizes = zip(
            self.input_shape[1:],
            self.output_shape[1:],
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        extra = [n - ((m - 1) * s - 2 * p + d * (k - 1) + 1) for n, m, k, s, p, d in sizes]
        with torch.backends.cudnn.flags(enabled=False):
            return F.conv_transpose2d(
                a, self.weight, None, self.stride, self.padding, extra, self.groups, self.dilation
            )

    def full_bias(self) -> Tensor:
        assert self.bias is not None
        return self.bias.reshape(-1, 1, 1).expand(self.output_shape)

    def matrix(self) -> sp.csr_array:
        import scipy.sparse as sp

        (channels, height, width), (out, rows, cols) = self.input_shape, self.output_shape
        kernel = tuple(self.weight.shape[2:])
        pixels = torch.arange(1, height * width + 1, dtype=torch.float64).reshape(1, 1, height, width)
        # window[k, l]: the pixel (0: padding) under kernel position k of output position l; the same for every channel.
        window = F.unfold(pixels, kernel, self.dilation, self.padding, self.stride)[0].long().numpy() - 1
        per_group, size = self.weight.shape[1], height * width
        weight = self.weight.detach().cpu().double().numpy().reshape(out, per_group, -1)
        group = np.arange(out) // (out // self.groups)
        channel = group[:, None] * per_group + np.arange(per_group)[None, :]  # (out, per_group)
        shape = (
            out,
            per_group,
            *window.shape,
        )  # output channel, input channel, kernel position, output position
        column = np.broadcast_to(channel[:, :, None, None] * size + window[None, None], shape)
        row = np.broadcast_to((np.arange(out)[:, None] * (rows * cols) + np.arange(rows * cols))[:, None, None], shape)
        value = np.broadcast_to(weight[:, :, :, None], shape)
        inside = np.broadcast_to(window[None, None] >= 0, shape) & (value != 0)
        full = (out * rows * cols, channels * size)
        return sp.csr_array(sp.coo_array((value[inside], (row[inside], column[inside])), shape=full))


@dataclass(frozen=True, kw_only=True)
class Scale(Linear):
    """Multiplication by ``weight``, which broadcasts to the input: normalisation, BatchNorm, negation."""

    weight: Tensor

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    @property
    def terms(self) -> int:
        return 0 if bool((self.weight.abs() == 1).all()) else 1  # a change of sign is exact

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype

    def linear(self, x: Tensor) -> Tensor:
        return x * self.weight

    def absolute(self, x: Tensor) -> Tensor:
        return x * self.weight.abs()

    def transpose(self, a: Tensor) -> Tensor:
        return a * self.weight

    def matrix(self) -> sp.csr_array:
        import scipy.sparse as sp

        diagonal = self.weight.expand(self.input_shape).reshape(-1)
        return sp.csr_array(sp.diags_array(diagonal.detach().cpu().double().numpy()))


@dataclass(frozen=True, kw_only=True)
class Reshape(Linear):
    """The same numbers in row-major order under another shape."""

    shape: Shape

    @property
    def output_shape(self) -> Shape:
        return self.shape

    @property
    def terms(self) -> int:
        return 0

    def linear(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)

    absolute = linear

    def transpose(self, a: Tensor) -> Tensor:
        return a.reshape(len(a), *self.input_shape)

    def matrix(self) -> sp.csr_array:
        import scipy.sparse as sp

        return sp.csr_array(sp.eye_array(math.prod(self.input_shape)))


@dataclass(frozen=True, kw_only=True)
class Select(Linear):
    """Each output is one input, or zero: transposition, slicing, splitting, padding, gathering, broadcasting.

    ``index`` has the output's shape and holds positions in the flattened input; -1 stands for zero. An importer gets
    it by doing the operation to an array of positions, so no data movement needs an operator of its own.
    """

    index: Tensor

    @property
    def output_shape(self) -> Shape:
        return tuple(self.index.shape)

    @property
    def terms(self) -> int:
        used = self.index[self.index >= 0]
        most = int(torch.bincount(used).max()) if used.numel() else 0
        return 0 if most <= 1 else most

    def _safe(self) -> tuple[Tensor, Tensor]:
        flat = self.index.reshape(-1)
        return flat.clamp(min=0), flat >= 0

    def linear(self, x: Tensor) -> Tensor:
        index, kept = self._safe()
        picked = x.reshape(len(x), -1)[:, index]
        return (picked if bool(kept.all()) else picked * kept).reshape(len(x), *self.index.shape)

    absolute = linear

    def transpose(self, a: Tensor) -> Tensor:
        index, kept = self._safe()
        flat = a.reshape(len(a), -1)
        zero = a.new_zeros(len(a), math.prod(self.input_shape))
        return zero.index_add(1, index[kept], flat[:, kept]).reshape(len(a), *self.input_shape)

    def matrix(self) -> sp.csr_array:
        import scipy.sparse as sp

        index, kept = (t.cpu().numpy() for t in self._safe())
        row = np.flatnonzero(kept)
        shape = (len(index), math.prod(self.input_shape))
        return sp.csr_array(sp.coo_array((np.ones(len(row)), (row, index[kept])), shape=shape))


@dataclass(frozen=True, kw_only=True)
class Input:
    """The network's input; always the first node."""

    output_shape: Shape


@dataclass(frozen=True, kw_only=True)
class ReLU:
    """``max(x, 0)`` of every entry."""

    output_shape: Shape


@dataclass(frozen=True, kw_only=True)
class Add:
    """The sum of two nodes of one shape."""

    output_shape: Shape


@dataclass(frozen=True, kw_only=True)
class Concat:
    """Nodes one after another along ``axis``, which counts from the first axis of the node's shape."""

    output_shape: Shape
    axis: int
    sizes: tuple[int, ...]


Operator: TypeAlias = Linear | Input | ReLU | Add | Concat
