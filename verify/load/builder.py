"""Building a network node by node, with the rewrites that turn piecewise-linear operators into ReLUs.

Both importers (torch and ONNX) call only this, so an operator means the same in both. Shapes here are the source's
own, its batch axis of 1 included; a value is reshaped, at no cost, where one of our operators wants another view.
Data movement (transpose, slice, pad, split, gather, expand, ...) is done by the importer to ``positions(value)`` and
handed to :meth:`Builder.select`. Weights are converted to float64 exactly. Where a constant has to be rounded, the
operator is told (``weight_ulps``, ``bias_error``), so that bounds hold for the source's own real arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from verify.errors import UnsupportedOperator
from verify.floating import UNIT
from verify.load.fold import fold
from verify.network import Network, Node
from verify.operators import Add, Affine, Concat, Conv, Input, Operator, ReLU, Reshape, Scale, Select, Shape


@dataclass(frozen=True)
class Value:
    """A value of the network under construction: the node that makes it, and the shape the source gives it."""

    node: int
    shape: Shape


@dataclass
class Builder:
    """Collects nodes; :meth:`finish` returns the network. ``here`` is the source's node, for names and errors."""

    nodes: list[Node] = field(default_factory=list)
    here: str = ""
    here_op: str = ""

    def input(self, shape: Sequence[int], name: str = "input") -> Value:
        """The input, of the source's shape; a leading batch axis of 1 is dropped from the network's input shape."""
        shape = tuple(int(n) for n in shape)
        self.nodes.append(Node(name, Input(output_shape=shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)))
        return Value(0, shape)

    def finish(self, output: Value, source: str = "", *, folded: bool = True) -> Network:
        """The network whose output is ``output``, flattened to a vector; nodes that it does not need are dropped.

        ``folded``: with constant factors merged and views dropped (``fold.py``); without, the source's own operators.
        """
        last = self._viewed(output, (math.prod(output.shape),)).node
        needed = {last, 0}
        for i in range(last, -1, -1):
            if i in needed:
                needed.update(self.nodes[i].inputs)
        place = {old: new for new, old in enumerate(sorted(needed))}
        kept = (replace(self.nodes[i], inputs=tuple(place[j] for j in self.nodes[i].inputs)) for i in sorted(needed))
        nodes = tuple(kept)
        if len(nodes) == 1:  # the identity network: an output node of its own keeps node 0 the input
            shape = nodes[0].shape
            nodes = (*nodes, Node("output", Reshape(input_shape=shape, shape=(math.prod(shape),)), (0,)))
        network = Network(nodes, source)
        return fold(network) if folded else network

    # --- linear operators -------------------------------------------------------------------------------------------

    def affine(
        self,
        x: Value,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        weight_ulps: int = 0,
        bias_error: Tensor | None = None,
    ) -> Value:
        """``x W^T + b`` over the last axis, ``weight`` (out, in), ``bias`` and ``bias_error`` (out,) or None."""
        shape = (*x.shape[:-1], weight.shape[0])
        lead = tuple(n for n in x.shape[:-1] if n != 1)
        view = self._viewed(x, (*lead, x.shape[-1]))
        op = Affine(
            input_shape=(*lead, x.shape[-1]),
            weight=_exact(weight),
            bias=None if bias is None else _exact(bias),
            weight_ulps=weight_ulps,
            bias_error=bias_error,
        )
        return replace(self._add(op, view), shape=shape)

    def conv(
        self,
        x: Value,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0, 0, 0),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        weight_ulps: int = 0,
        bias_error: Tensor | None = None,
    ) -> Value:
        """Two-dimensional convolution of ``x`` (1, channels, height, width); ``padding`` top, left, bottom, right.

        A one-dimensional one is given as (1, channels, 1, width) with a kernel (out, in/groups, 1, k).
        """
        self._require_batch_of_one(x, 4)
        top, left, bottom, right = padding
        if (top, left) != (bottom, right):
            x = self.select(x, torch.nn.functional.pad(self.positions(x), (left, right, top, bottom), value=-1))
            top = left = 0
        view = self._viewed(x, x.shape[1:])
        op = Conv(
            input_shape=x.shape[1:],
            weight=_exact(weight),
            bias=None if bias is None else _exact(bias),
            stride=_pair(stride),
            padding=(top, left),
            dilation=_pair(dilation),
            groups=groups,
            weight_ulps=weight_ulps,
            bias_error=None if bias_error is None else bias_error.reshape(-1, 1, 1),
        )
        y = self._add(op, view)
        return replace(y, shape=(1, *y.shape))

    def scale(
        self,
        x: Value,
        weight: Tensor | float,
        bias: Tensor | float = 0.0,
        *,
        weight_ulps: int = 0,
        bias_error: Tensor | None = None,
    ) -> Value:
        """``weight * x + bias``, entry by entry; both broadcast to the shape of ``x`` and may enlarge it."""
        w, b = (_exact(v) for v in (weight, bias))
        shape = tuple(np.broadcast_shapes(x.shape, w.shape, b.shape))
        if shape != x.shape:
            x = self.select(x, self.positions(x).expand(shape))
        if bool((w == 1).all()) and weight_ulps == 0:  # an addition: none at all, or the bias of the node before
            if not bool((b != 0).any()) and bias_error is None:
                return x
            joined = self._with_bias(x, b, bias_error)
            if joined is not None:
                return joined
        inner = self._without_batch(x, shape)

        def full(t: Tensor) -> Tensor:
            return t.expand(shape).reshape(inner)

        op = Scale(
            input_shape=inner,
            weight=full(w) if w.dim() else w,
            bias=full(b) if bool((b != 0).any()) else None,
            weight_ulps=weight_ulps,
            bias_error=None if bias_error is None else full(bias_error),
        )
        return self._add(op, self._viewed(x, inner), shape=shape)

    def constant(self, values: Tensor, error: Tensor | None = None) -> Value:
        """A value that does not depend on the input: zeros of it, and ``values`` as a bias."""
        nothing = self.select(Value(0, self.nodes[0].shape), torch.full(values.shape, -1))
        return self.scale(nothing, 1.0, values, bias_error=error)

    def divide(self, x: Value, divisor: Tensor) -> Value:
        """``x / divisor`` by a constant; the reciprocal is rounded and its rounding paid for."""
        divisor = _exact(divisor)
        if bool((divisor == 0).any()):
            raise UnsupportedOperator(self.here, self.here_op, "division by zero")
        return self.scale(x, 1.0 / divisor, weight_ulps=1)

    def batch_norm(self, x: Value, statistics: Sequence[Tensor], epsilon: float) -> Value:
        """``(x - mean) / sqrt(variance + epsilon) * weight + bias`` over axis 1.

        ``statistics``: weight, bias, mean, variance, each (channels,).
        """
        weight, bias, mean, variance = (_exact(t).reshape(-1, *[1] * (len(x.shape) - 2)) for t in statistics)
        factor = weight / torch.sqrt(variance + epsilon)  # 3 roundings, each at most u
        offset = bias - mean * factor
        error = (bias.abs() + (mean * factor).abs()) * (16.0 * UNIT) + 2.0**-1000
        return self.scale(x, factor, offset, weight_ulps=6, bias_error=error)

    def add(self, x: Value, y: Value) -> Value:
        """The sum of two values, broadcast to one shape."""
        x, y = self._broadcast(x, y)
        inner = self.nodes[x.node].shape
        return self._add(Add(output_shape=inner), x, self._viewed(y, inner), shape=x.shape)

    def subtract(self, x: Value, y: Value) -> Value:
        """``x - y``."""
        return self.add(x, self.scale(y, -1.0))

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Values one after another along ``axis`` of the source's shape."""
        axis = axis % len(values[0].shape)
        shape = list(values[0].shape)
        shape[axis] = sum(v.shape[axis] for v in values)
        drop = 1 if axis > 0 and shape[0] == 1 else 0  # the batch axis
        views = [self._viewed(v, v.shape[drop:]) for v in values]
        sizes = tuple(v.shape[axis] for v in values)
        op = Concat(output_shape=tuple(shape[drop:]), axis=axis - drop, sizes=sizes)
        return self._add(op, *views, shape=tuple(shape))

    # --- data movement ----------------------------------------------------------------------------------------------

    def positions(self, x: Value) -> Tensor:
        """0, 1, 2, ... in the shape of ``x``: do the movement to this, then :meth:`select`. -1 stands for zero."""
        return torch.arange(math.prod(x.shape)).reshape(x.shape)

    def select(self, x: Value, index: Tensor) -> Value:
        """Each entry of the result is the entry of ``x`` at ``index`` (its flattened positions), or 0 for -1."""
        shape = tuple(index.shape)
        if index.numel() == math.prod(x.shape) and bool((index.reshape(-1) == self.positions(x).reshape(-1)).all()):
            return Value(x.node, shape)  # only the shape changed
        op = Select(input_shape=self.nodes[x.node].shape, index=index.reshape(shape or (1,)).contiguous())
        return self._add(op, Value(x.node, self.nodes[x.node].shape), shape=shape)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same numbers under another shape (all sizes known)."""
        return self.select(x, self.positions(x).reshape(tuple(shape)))

    # --- piecewise-linear operators ---------------------------------------------------------------------------------

    def relu(self, x: Value) -> Value:
        """``max(x, 0)``."""
        return self._add(ReLU(output_shape=self.nodes[x.node].shape), x, shape=x.shape)

    def leaky_relu(self, x: Value, slope: Tensor | float) -> Value:
        """``x`` where positive, ``slope x`` elsewhere: ``slope x + (1 - slope) relu(x)`` for any constant slope."""
        slope = _exact(slope)
        return self.add(self.scale(x, slope), self.scale(self.relu(x), 1.0 - slope, weight_ulps=1))

    def clip(self, x: Value, lowest: float | None, highest: float | None) -> Value:
        """``min(max(x, lowest), highest)``: two ReLUs."""
        if lowest is not None and highest is not None and lowest > highest:
            return self.scale(x, 0.0, highest)
        if lowest is not None:
            x = self.scale(self.relu(self.scale(x, 1.0, -lowest)), 1.0, lowest)
        if highest is not None:
            x = self.scale(self.relu(self.scale(x, -1.0, highest)), -1.0, highest)
        return x

    def absolute(self, x: Value) -> Value:
        """``|x| = relu(x) + relu(-x)``."""
        return self.add(self.relu(x), self.relu(self.scale(x, -1.0)))

    def maximum(self, x: Value, y: Value) -> Value:
        """``max(x, y) = y + relu(x - y)``."""
        x, y = self._broadcast(x, y)
        return self.add(y, self.relu(self.subtract(x, y)))

    def max_pool(self, x: Value, windows: Tensor) -> Value:
        """The largest entry of each window, ``windows`` (..., k) positions in ``x``, -1 where a window is cut off.

        A tournament: half the entries against the other half, until one is left.
        """
        first = windows.max(dim=-1, keepdim=True).values  # a cut-off entry is replaced by one that is there
        windows = torch.where(windows < 0, first, windows)
        entries = [self.select(x, windows[..., k]) for k in range(windows.shape[-1])]
        while len(entries) > 1:
            pairs = zip(entries[::2], entries[1::2], strict=False)
            entries = [self.maximum(a, b) for a, b in pairs] + ([entries[-1]] if len(entries) % 2 else [])
        return entries[0]

    def average_pool(self, x: Value, windows: Tensor, counts: Tensor) -> Value:
        """The sum over each window divided by ``counts``; ``windows`` (..., k) positions in ``x``, -1 for zero."""
        picked = self.select(x, windows)
        total = self.affine(picked, torch.ones(1, windows.shape[-1], dtype=torch.float64))
        return self.divide(self.reshape(total, windows.shape[:-1]), counts.expand(windows.shape[:-1]))

    # --- inside -----------------------------------------------------------------------------------------------------

    def _add(self, op: Operator, *inputs: Value, shape: Shape | None = None) -> Value:
        name = self.here or f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op, tuple(v.node for v in inputs)))
        return Value(len(self.nodes) - 1, op.output_shape if shape is None else shape)

    def _viewed(self, x: Value, shape: Shape) -> Value:
        """``x`` with its node in ``shape``, through a Reshape node when it is not already."""
        have = self.nodes[x.node].shape
        if have == shape:
            return Value(x.node, shape)
        source = x.node
        if isinstance(self.nodes[source].operator, Reshape):  # a view of a view
            source = self.nodes[source].inputs[0]
            have = self.nodes[source].shape
            if have == shape:
                return Value(source, shape)
        return self._add(Reshape(input_shape=have, shape=shape), Value(source, have))

    def _with_bias(self, x: Value, bias: Tensor, error: Tensor | None) -> Value | None:
        """``x + bias`` as a copy of the Affine or Conv that made ``x``, when that has no bias and one can say it.

        A file's MatMul and Add are one operator then. Where others read ``x`` too, both nodes stay.
        """
        made = self.nodes[x.node]
        op = made.operator
        if not isinstance(op, Affine | Conv) or op.bias is not None or op.bias_error is not None:
            return None
        of_conv = isinstance(op, Conv)

        def each(t: Tensor) -> Tensor:  # (out channels, repetitions)
            full = t.expand(x.shape)
            return full.reshape(op.weight.shape[0], -1) if of_conv else full.reshape(-1, op.weight.shape[0]).T

        offset = each(bias)
        if not bool((torch.isfinite(offset) & (offset == offset[:, :1])).all()):
            return None
        worst = None if error is None else each(error).max(dim=1).values
        if worst is not None and of_conv:
            worst = worst.reshape(-1, 1, 1)
        joined = replace(op, bias=offset[:, 0].clone(), bias_error=worst)
        self.nodes.append(replace(made, operator=joined))
        return Value(len(self.nodes) - 1, x.shape)

    def _without_batch(self, x: Value, shape: Shape) -> Shape:
        """``shape``, or without its batch axis of 1 when the node of ``x`` has none: one Reshape less.

        A number that the source gives no axis at all is a vector of one here: no node has shape ().
        """
        return shape[1:] if shape[:1] == (1,) and self.nodes[x.node].shape == shape[1:] else shape or (1,)

    def _broadcast(self, x: Value, y: Value) -> tuple[Value, Value]:
        shape = tuple(np.broadcast_shapes(x.shape, y.shape))
        x = x if x.shape == shape else self.select(x, self.positions(x).expand(shape))
        y = y if y.shape == shape else self.select(y, self.positions(y).expand(shape))
        return x, y

    def _require_batch_of_one(self, x: Value, axes: int) -> None:
        if len(x.shape) != axes or x.shape[0] != 1:
            raise UnsupportedOperator(
                self.here,
                self.here_op,
                f"input of shape {x.shape}",
                f"a batch of one with {axes} axes is read",
            )


def _exact(values: Tensor | float) -> Tensor:
    """A float64 copy that owns its memory; numbers, float16, bfloat16, float32 and small integers convert exactly."""
    if not isinstance(values, Tensor):  # not through torch's default dtype, which rounds 0.3 to float32
        return torch.tensor(values, dtype=torch.float64)
    return values.detach().cpu().to(torch.float64).clone()


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = (int(v) for v in values)
    return first, second
