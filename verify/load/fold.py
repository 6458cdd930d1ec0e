"""Simplifications of a network that keep what it computes: constant factors merged, views dropped.

:func:`fold` applies the RULES below until none applies. A merged constant is rounded; by how much is derived here and
declared in ``weight_ulps`` and ``bias_error``, so that bounds still hold for the source's own real arithmetic.

**Products.** Let w, s be stored numbers, w', s' the true ones, ``|w' - w| <= p u |w|``, ``|s' - s| <= q u |s|``, and
``m = fl(w s)``. Without underflow ``|m - w s| <= r u |m|``, r = 0 when s is a power of two and 1 otherwise, hence
``|w s| <= (1 + u) |m|`` and ``|w' s' - m| <= ((p + q + p q u)(1 + r u) + r) u |m|``, which is at most
``(p + q + r) u |m|`` when at most one of p, q, r is not 0, and ``(p + q + r + 1) u |m|`` otherwise (p, q < 2^25).
A merge in which a product underflows, or a number overflows, is not made.

**Offsets.** ``s (w.x + b) + o`` becomes ``m.x + c`` with ``c = fl(fl(b s) + o)``. With ``|b' - b| <= f`` and
``|o' - o| <= g`` the true offset differs from c by at most
``|s| (1 + q u) f + |b s| q u + u |fl(b s)| + u |c| + g``. A factor in front of a sum of n terms, ``W (s x + o) + b``,
has ``c = fl(W o + b)``, off by at most ``gamma_n (|W| |o| + |b|) + p u |W| |o| (1 + ...) + |W| (1 + p u) g + f``.
The sums of these terms are computed in float64 and enlarged by a factor that pays for their own rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.floating import TINY, UNIT, gamma
from verify.network import Network, Node
from verify.operators import Add, Affine, Conv, Linear, ReLU, Reshape, Scale, Select

_SMALLEST = 2.0**-960  # products below are left alone: their rounding is not relative
_MANY = 2**25  # more rounded bits than that are not added up
_PAID = 1.0 + 64.0 * UNIT  # pays for the handful of roundings in an error term


@dataclass
class _Graph:
    """The nodes while they are rewritten; positions keep their meaning, unread nodes are dropped at the end."""

    nodes: list[Node]
    output: int

    def readers(self, i: int) -> list[int]:
        return [k for k, node in enumerate(self.nodes) for j in node.inputs if j == i]

    def alone(self, i: int) -> bool:
        """Whether exactly one node reads node i, and nobody outside."""
        return i != self.output and len(self.readers(i)) == 1

    def forget(self, i: int, instead: int) -> None:
        """Whoever reads node i reads ``instead``; nothing is left in its place that a rule could touch."""
        self.nodes = [replace(n, inputs=tuple(instead if j == i else j for j in n.inputs)) for n in self.nodes]
        self.nodes[i] = replace(self.nodes[0])
        self.output = instead if i == self.output else self.output


def fold(network: Network) -> Network:
    """The same function with fewer nodes: see the RULES. Input and output shapes stay."""
    graph = _Graph(list(network.nodes), len(network.nodes) - 1)
    changed = True
    while changed:
        changed = False
        for i in range(1, len(graph.nodes)):
            while any(rule(graph, i) for rule in RULES.values()):
                changed = True
        graph = _without_unread(graph)
    if graph.output == 0:  # the identity network keeps an output node of its own
        shape = network.input_shape
        graph.nodes.append(Node("output", Reshape(input_shape=shape, shape=(math.prod(shape),)), (0,)))
    return Network(tuple(graph.nodes), network.source)


def _without_unread(graph: _Graph) -> _Graph:
    needed = {0, graph.output}
    for i in range(graph.output, -1, -1):
        if i in needed:
            needed.update(graph.nodes[i].inputs)
    place = {old: new for new, old in enumerate(sorted(needed))}
    kept = [replace(graph.nodes[i], inputs=tuple(place[j] for j in graph.nodes[i].inputs)) for i in place]
    return _Graph(kept, place[graph.output])


# --- constant factors ------------------------------------------------------------------------------------------------


def scale_after(graph: _Graph, i: int) -> bool:
    """A Scale that alone reads an Affine, a Conv or a Scale is multiplied into it."""
    node = graph.nodes[i]
    if not isinstance(node.operator, Scale) or not graph.alone(node.inputs[0]):
        return False
    before = graph.nodes[node.inputs[0]]
    merged = _multiplied(before.operator, node.operator) if isinstance(before.operator, Linear) else None
    if merged is None:
        return False
    graph.nodes[i] = Node(before.name, merged, before.inputs)
    return True


def _multiplied(first: Linear, scale: Scale) -> Linear | None:
    parts = _by_channel(first, scale)
    if parts is None or not isinstance(first, (Affine, Conv, Scale)):
        return None
    s, o, g = parts
    rows = s.reshape(-1, *[1] * (first.weight.dim() - 1)) if not isinstance(first, Scale) else s
    weight = first.weight * rows
    rounded = 0 if _powers_of_two(s) else 1
    ulps = _ulps(first.weight_ulps, scale.weight_ulps, rounded)
    if ulps is None or not _merges(weight, first.weight, rows):
        return None
    b, f = _offsets(first, s.shape)
    product = b * s
    bias = product + o
    relative = scale.weight_ulps * UNIT
    error = s.abs() * f * (1.0 + relative) + product.abs() * relative + g
    if rounded:
        error = error + product.abs() * UNIT
    if bool((o != 0).any()) and bool((product != 0).any()):
        error = error + bias.abs() * UNIT
    if not _merges(product, b, s) or not bool(torch.isfinite(bias).all()):
        return None
    return _with(first, weight, bias, error, ulps)


def scale_before(graph: _Graph, i: int) -> bool:
    """A Scale that is read by one Affine, or by one Conv without padding (or without an offset), goes into it.

    A Reshape may stand between the two, as it does between normalisation and a fully-connected layer.
    """
    node = graph.nodes[i]
    op = node.operator
    if not isinstance(op, (Affine, Conv)) or not graph.alone(node.inputs[0]):
        return False
    place, before = node.inputs[0], graph.nodes[node.inputs[0]]
    view = before.operator
    if isinstance(view, Reshape) and graph.alone(before.inputs[0]):
        before = graph.nodes[before.inputs[0]]
    scale = before.operator
    if not isinstance(scale, Scale):
        return False
    merged = _spread(op, _viewed_scale(scale, op.input_shape))
    if merged is None:
        return False
    if isinstance(view, Reshape):
        graph.nodes[place] = replace(graph.nodes[place], inputs=before.inputs)
    graph.nodes[i] = Node(node.name, merged, (place,) if isinstance(view, Reshape) else before.inputs)
    return True


def _spread(op: Affine | Conv, scale: Scale) -> Linear | None:
    axis = 0 if isinstance(op, Conv) else len(scale.input_shape) - 1
    parts = _channels(scale, axis)
    if parts is None:
        return None
    s, o, g = parts
    shifts = bool((o != 0).any()) or bool((g != 0).any())
    if isinstance(op, Conv) and shifts and op.padding != (0, 0):
        return None  # the padding is zero after the offset, not before
    if isinstance(op, Conv):
        s, o, g = (t.reshape(op.groups, -1) for t in (s, o, g))
        owner = torch.arange(op.weight.shape[0]) // (op.weight.shape[0] // op.groups)
        s, o, g = (t[owner][:, :, None, None] for t in (s, o, g))  # (out, in / groups, 1, 1)
    weight = op.weight * s
    ulps = _ulps(op.weight_ulps, scale.weight_ulps, 0 if _powers_of_two(s) else 1)
    if ulps is None or not _merges(weight, op.weight, s):
        return None
    b, f = _offsets(op, (op.weight.shape[0],))
    if not shifts:
        return _with(op, weight, b, f, ulps)
    bias = b + (op.weight * o).flatten(1).sum(1)
    size, spread = (op.weight.abs() * o.abs()).flatten(1).sum(1), (op.weight.abs() * g).flatten(1).sum(1)
    terms = op.weight[0].numel() + 1
    relative = op.weight_ulps * UNIT
    lost = gamma(terms) * (size + b.abs()) + relative * size + (1.0 + relative) * spread + f
    error = lost * (1.0 + 2.0 * gamma(terms)) + terms * TINY
    return _with(op, weight, bias, error, ulps) if bool(torch.isfinite(bias).all()) else None


def scale_by_one(graph: _Graph, i: int) -> bool:
    """A Scale by one without an offset is dropped."""
    op = graph.nodes[i].operator
    if not isinstance(op, Scale) or op.weight_ulps or not bool((op.weight == 1).all()):
        return False
    if any(t is not None and bool((t != 0).any()) for t in (op.bias, op.bias_error)):
        return False
    graph.forget(i, graph.nodes[i].inputs[0])
    return True


def _by_channel(first: Linear, scale: Scale) -> tuple[Tensor, Tensor, Tensor] | None:
    """Factor, offset and the offset's error of ``scale``, one for each output channel of ``first``."""
    if isinstance(first, Scale):
        full = (_full(t, scale) for t in (scale.weight, scale.bias, scale.bias_error))
        s, o, g = full
        return s, o, g
    if isinstance(first, Affine):
        return _channels(scale, len(scale.input_shape) - 1)
    return _channels(scale, 0) if isinstance(first, Conv) else None


def _channels(scale: Scale, axis: int) -> tuple[Tensor, Tensor, Tensor] | None:
    """The same along ``axis``; None when they differ within a channel."""
    size = scale.input_shape[axis]
    parts = (scale.weight, scale.bias, scale.bias_error)
    full = [_full(t, scale).movedim(axis, 0).reshape(size, -1) for t in parts]
    if not all(bool((t == t[:, :1]).all()) for t in full):
        return None
    s, o, g = (t[:, 0] for t in full)
    return s, o, g


def _full(t: Tensor | None, op: Linear) -> Tensor:
    return torch.zeros(op.output_shape, dtype=torch.float64) if t is None else t.expand(op.output_shape)


def _offsets(op: Linear, shape: torch.Size | tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Bias and its error, of ``shape``: the output shape of a Scale, (out,) otherwise."""
    zero = torch.zeros(shape, dtype=torch.float64)

    def whole(t: Tensor | None) -> Tensor:
        return zero if t is None else t.reshape(-1) if isinstance(op, Conv) else t.expand(shape)

    return whole(op.bias), whole(op.bias_error)


def _with(op: Affine | Conv | Scale, weight: Tensor, bias: Tensor, error: Tensor, ulps: int) -> Linear:
    wrong = error * _PAID + TINY if bool((error != 0).any()) else None
    if wrong is not None and isinstance(op, Conv):
        wrong = wrong.reshape(-1, 1, 1)
    kept = bias.contiguous() if op.bias is not None or bool((bias != 0).any()) else None
    return replace(op, weight=weight, bias=kept, weight_ulps=ulps, bias_error=wrong)


def _ulps(p: int, q: int, r: int) -> int | None:
    total = p + q + r + (1 if sum(k > 0 for k in (p, q, r)) > 1 else 0)
    return total if total < _MANY else None


def _powers_of_two(t: Tensor) -> bool:
    mantissa = torch.frexp(t).mantissa
    return bool(((mantissa.abs() == 0.5) | (mantissa == 0)).all())


def _merges(product: Tensor, a: Tensor, b: Tensor) -> bool:
    """Whether no product overflowed or came near underflow."""
    small = (product.abs() < _SMALLEST) & (a != 0) & (b != 0)
    return bool(torch.isfinite(product).all()) and not bool(small.any())


# --- views -----------------------------------------------------------------------------------------------------------


def view_of_view(graph: _Graph, i: int) -> bool:
    """A Reshape or Select of a Reshape or Select is one of them."""
    node = graph.nodes[i]
    if not isinstance(node.operator, (Reshape, Select)):
        return False
    before = graph.nodes[node.inputs[0]]
    inner, outer = before.operator, node.operator
    if not isinstance(inner, (Reshape, Select)):
        return False
    merged: Linear
    if isinstance(inner, Reshape):
        merged = replace(outer, input_shape=inner.input_shape)
    elif isinstance(outer, Reshape):
        merged = replace(inner, index=inner.index.reshape(outer.shape))
    else:
        picked = inner.index.reshape(-1)[outer.index.clamp(min=0)]
        merged = replace(inner, index=torch.where(outer.index < 0, -1, picked))
    graph.nodes[i] = Node(node.name, merged, before.inputs)
    return True


def view_that_is_none(graph: _Graph, i: int) -> bool:
    """A Select of everything in order is a Reshape, and a Reshape to the same shape nothing."""
    node = graph.nodes[i]
    op = node.operator
    if isinstance(op, Select) and torch.equal(op.index.reshape(-1), torch.arange(math.prod(op.input_shape))):
        graph.nodes[i] = replace(node, operator=Reshape(input_shape=op.input_shape, shape=op.output_shape))
        return True
    if isinstance(op, Reshape) and op.input_shape == op.shape:
        graph.forget(i, node.inputs[0])
        return True
    return False


def view_after_elementwise(graph: _Graph, i: int) -> bool:
    """A Reshape in front of a ReLU or a Scale that alone reads it goes behind it, to meet the next one."""
    node = graph.nodes[i]
    if not isinstance(node.operator, (ReLU, Scale)) or not graph.alone(node.inputs[0]):
        return False
    place = node.inputs[0]
    view = graph.nodes[place]
    if not isinstance(view.operator, Reshape):
        return False
    graph.nodes[place] = Node(node.name, _viewed(node.operator, view.operator.input_shape), view.inputs)
    graph.nodes[i] = Node(view.name, view.operator, (place,))
    return True


def view_after_sum(graph: _Graph, i: int) -> bool:
    """Two Reshapes of one shape in front of an Add that alone reads them become one behind it."""
    node = graph.nodes[i]
    if not isinstance(node.operator, Add) or not all(graph.alone(j) for j in node.inputs):
        return False
    first, second = (graph.nodes[j] for j in node.inputs)
    a, b = first.operator, second.operator
    if not isinstance(a, Reshape) or not isinstance(b, Reshape) or a.input_shape != b.input_shape:
        return False
    place = max(node.inputs)
    graph.nodes[place] = Node(node.name, Add(output_shape=a.input_shape), (*first.inputs, *second.inputs))
    graph.nodes[i] = Node(first.name, a, (place,))
    return True


def _viewed(op: ReLU | Scale, shape: tuple[int, ...]) -> ReLU | Scale:
    return ReLU(output_shape=shape) if isinstance(op, ReLU) else _viewed_scale(op, shape)


def _viewed_scale(op: Scale, shape: tuple[int, ...]) -> Scale:
    """The Scale on another view of its input."""

    def view(t: Tensor | None) -> Tensor | None:
        return None if t is None else t.expand(op.input_shape).reshape(shape)

    weight = op.weight if op.weight.dim() == 0 else op.weight.expand(op.input_shape).reshape(shape)
    return replace(op, input_shape=shape, weight=weight, bias=view(op.bias), bias_error=view(op.bias_error))


# The order matters in one place: factors merge before a view is moved away from between them.
RULES: Mapping[str, Callable[[_Graph, int], bool]] = {
    "scale_by_one": scale_by_one,
    "scale_after": scale_after,
    "scale_before": scale_before,
    "view_of_view": view_of_view,
    "view_that_is_none": view_that_is_none,
    "view_after_elementwise": view_after_elementwise,
    "view_after_sum": view_after_sum,
}
