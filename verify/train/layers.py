"""Which layers of a torch module are read, and how each becomes an operator over its own parameters: one table."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from verify.errors import UnsupportedOperator
from verify.operators import Add, Affine, Concat, Conv, Operator, ReLU, Reshape, Scale, Shape

Bind: TypeAlias = Callable[..., Operator]
"""Values of the nodes that are read, (B, *shape) each -> the operator, over the parameters of the moment."""

Rule: TypeAlias = Callable[[str, Any, Shape], Bind | None]
"""Name, layer and output shape -> how to bind it; None where it changes nothing."""

_REMEDY = "use Linear, Conv2d, BatchNorm, ReLU, Flatten, + and torch.cat (a strided Conv2d in place of pooling)"


def unsupported(name: str, kind: str, attribute: str = "", remedy: str = _REMEDY) -> UnsupportedOperator:
    """The error for a layer that is not read."""
    return UnsupportedOperator(name, kind, attribute, remedy)


def _shape(x: Tensor) -> Shape:
    return tuple(x.shape[1:])


def _linear(name: str, layer: nn.Linear, _: Shape) -> Bind:
    return lambda x: Affine(input_shape=_shape(x), weight=layer.weight, bias=layer.bias)


def _conv(name: str, layer: nn.Conv2d, _: Shape) -> Bind:
    padding = (0, 0) if layer.padding == "valid" else layer.padding
    if layer.padding_mode != "zeros" or isinstance(padding, str):
        raise unsupported(
            name, "Conv2d", f"padding={layer.padding!r}, {layer.padding_mode}", "pad with zeros, by numbers"
        )

    def bind(x: Tensor) -> Operator:
        return Conv(
            input_shape=_shape(x),
            weight=layer.weight,
            bias=layer.bias,
            stride=_pair(layer.stride),
            padding=_pair(padding),
            dilation=_pair(layer.dilation),
            groups=layer.groups,
        )

    return bind


def _pair(sizes: Sequence[int]) -> tuple[int, int]:
    return (sizes[0], sizes[1])


def _batch_norm(name: str, layer: nn.BatchNorm1d | nn.BatchNorm2d, _: Shape) -> Bind:
    """``(x - mean) / sqrt(var + eps) * weight + bias``, as a Scale."""
    if layer.running_mean is None:
        raise unsupported(
            name, type(layer).__name__, "track_running_stats=False", "in eval mode it needs statistics of its own"
        )

    def bind(x: Tensor) -> Operator:
        mean, variance = _statistics(layer, x)
        scale = (variance + layer.eps).rsqrt()
        if layer.weight is not None:
            scale = scale * layer.weight
        shift = -mean * scale
        if layer.bias is not None:
            shift = shift + layer.bias
        wide = (-1, *[1] * (x.dim() - 2))
        return Scale(input_shape=_shape(x), weight=scale.reshape(wide), bias=shift.reshape(wide))

    return bind


def _statistics(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,): of the batch ``x`` while training, which updates the running ones, else the running ones."""
    if not layer.training:
        assert layer.running_mean is not None and layer.running_var is not None
        return layer.running_mean, layer.running_var
    with torch.no_grad():
        layer(x)  # torch's own bookkeeping of the running statistics
    over = [axis for axis in range(x.dim()) if axis != 1]
    return x.mean(over), x.var(over, unbiased=False)


def _relu(*_: Any) -> Bind:
    return lambda x: ReLU(output_shape=_shape(x))


def _flatten(name: str, layer: nn.Flatten, shape: Shape) -> Bind:
    if layer.start_dim != 1:
        raise unsupported(name, "Flatten", f"start_dim={layer.start_dim}", "keep the batch axis: start_dim=1")
    return lambda x: Reshape(input_shape=_shape(x), shape=shape)


def _nothing(*_: Any) -> None:
    """Identity."""


def _dropout(name: str, layer: nn.Dropout, _: Shape) -> Bind | None:
    if layer.p == 0:
        return None

    def bind(x: Tensor) -> Operator:
        if layer.training:
            raise unsupported(
                name,
                type(layer).__name__,
                f"p={layer.p} in training mode",
                "bounds are about one function: p=0 or eval()",
            )
        return Reshape(input_shape=_shape(x), shape=_shape(x))

    return bind


LAYERS: Mapping[type, Rule] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: _relu,
    nn.Flatten: _flatten,
    nn.Identity: _nothing,
    nn.Dropout: _dropout,
    nn.Dropout2d: _dropout,
}

Call: TypeAlias = Callable[[fx.Node, Shape], tuple[Sequence[object], Bind | None]]
"""A call in the graph and its output shape -> the nodes that it reads, and how to bind it."""


def _relu_call(node: fx.Node, _: Shape) -> tuple[Sequence[object], Bind]:
    return node.args[:1], _relu()


def _add_call(node: fx.Node, shape: Shape) -> tuple[Sequence[object], Bind]:
    if node.kwargs:
        raise unsupported(node.name, "add", f"{dict(node.kwargs)}", "write a + b")

    def bind(a: Tensor, b: Tensor) -> Operator:
        if a.shape != b.shape:
            raise unsupported(node.name, "add", f"shapes {_shape(a)} and {_shape(b)}", "add values of one shape")
        return Add(output_shape=shape)

    return node.args, bind


def _cat_call(node: fx.Node, shape: Shape) -> tuple[Sequence[object], Bind]:
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    parts = node.args[0]
    axis = axis + len(shape) + 1 if isinstance(axis, int) and axis < 0 else axis
    if not isinstance(axis, int) or axis < 1 or not isinstance(parts, (list, tuple)):
        raise unsupported(node.name, "cat", f"dim={axis!r}", "concatenate along an axis after the batch")

    def bind(*values: Tensor) -> Operator:
        return Concat(output_shape=shape, axis=axis - 1, sizes=tuple(v.shape[axis] for v in values))

    return parts, bind


MOVES: frozenset[Any] = frozenset({torch.flatten, torch.reshape, "flatten", "view", "reshape", "contiguous"})
"""Calls that give the same numbers another shape, as the shape of an example says."""

FUNCTIONS: Mapping[Any, Call] = {
    F.relu: _relu_call,
    torch.relu: _relu_call,
    operator.add: _add_call,
    operator.iadd: _add_call,
    torch.add: _add_call,
    torch.cat: _cat_call,
}
METHODS: Mapping[Any, Call] = {"relu": _relu_call, "add": _add_call}
