"""The network over a region: the interval of every node, what its roundings and executions may miss, and frames.

Every frame is a part of the region, so one error term a node serves all frames. A form with coefficients a on a node's value
W v + b that is moved back to v misses by at most ``2 n u |a| (|W| |v| + |b|)``, where n is over the number of products and sums that
anything is made of, u is 2^-53, and at a ReLU and the input W is 1: it holds what a W and a b, sums with other coefficients
and those in the constant are rounded by. It is paid for at that node, as ``|a| . error``, and so is a value that is propagated
through it. All values are columns, (size, 1, B) of B frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import Arithmetic
from verify.check.forms import Rejected, require
from verify.check.network import Node

Array = NDArray[Any]
Ends = tuple[Array, Array]  # lower and upper, float64
_FLUSHED = 2.0**-126  # below it, float32 may take a number for 0
_BUDGET = 2**23  # bytes of an array of coefficients


@dataclass(frozen=True)
class Layer:
    """A node in an arithmetic: its numbers as operands, and the interval of its value over the region."""

    node: Node
    weight: Any
    absolute: Any  # the magnitudes of the weight
    bias: Any
    error: Any
    lower: Array
    upper: Array

    @property
    def magnitude(self) -> Array:
        """At least ``|value|``."""
        found: Array = np.maximum(-self.lower, self.upper)
        return found


@dataclass(frozen=True)
class Frame:
    """B frames: the ends of the input box, and of each ReLU's argument, one below the other, float64 (N, 1, B)."""

    lower: Array
    upper: Array

    def within(self, rows: Any, lower: Any, upper: Any) -> Frame:
        """The frames in which what is at ``rows`` is known to be in ``[lower, upper]`` too. What is not finite is rejected."""
        require(np.isfinite(lower).all() and np.isfinite(upper).all(), "a derived bound is not a finite number")
        lowers, uppers = self.lower.copy(), self.upper.copy()
        lowers[rows], uppers[rows] = np.maximum(lowers[rows], lower), np.minimum(uppers[rows], upper)
        return Frame(lowers, uppers)

    @property
    def crossed(self) -> Array:
        """Which of the B frames have a crossed interval: no x is left in them."""
        found: Array = (self.lower > self.upper).any(axis=(0, 1))
        return found


@dataclass(frozen=True)
class Model:
    """The network over the region. ``tiny``: more than underflow takes from a form on its way to the input.

    ``relus``: the nodes; ``known``: where a frame has the ends of their arguments, and of the input under -1. ``columns``: so many
    columns of values may be computed at once.
    """

    arithmetic: Arithmetic
    layers: list[Layer]
    relus: list[int]
    float32: bool
    gamma: float
    tiny: float
    known: dict[int, slice]
    columns: int


def build_model(arithmetic: Arithmetic, nodes: list[Node], box: Ends, float32: bool) -> tuple[Model, Frame]:
    """Propagate the box, ends (n, 1, 1), node by node. The last two nodes, the clauses' rows, are in real arithmetic."""
    met = [0] * len(nodes)  # how many products a coefficient on each node's value may be the sum of
    for node in nodes:
        for i in node.inputs:
            met[i] += node.back
    most = max(met) + max(node.fan + node.size + node.reads for node in nodes) + 8 * len(nodes) + 64
    gamma, layers = 2 * arithmetic.unit * most, list[Layer]()
    for j, node in enumerate(nodes):
        try:
            ends = [(layers[i].lower, layers[i].upper) for i in node.inputs]
            layers.append(_layer(arithmetic, node, _joined(ends or [box]), gamma, float32 and j < len(nodes) - 2))
        except Rejected as reason:
            raise Rejected(f"node {j} ({node.op}): {reason}") from None
    relus, known, end = [j for j, node in enumerate(nodes) if node.op == "relu"], dict[int, slice](), 0
    arguments = [layers[0], *(layers[nodes[j].inputs[0]] for j in relus)]
    for r, layer in enumerate(arguments, -1):
        known[r] = slice(end, end := end + layer.node.size)
    tiny = arithmetic.tiny * most * sum(float(layer.magnitude.sum()) + 8 * layer.node.size for layer in layers)
    columns = max(1, _BUDGET // (arithmetic.item_bytes * max(max(node.size, node.index.size) for node in nodes)))
    root = Frame(*_joined([(layer.lower, layer.upper) for layer in arguments]))
    return Model(arithmetic, layers, relus, float32, gamma, tiny, known, columns), root


def apply_interval(model: Model, frame: Frame, relu: int) -> Frame:
    """Rule `interval`: propagate from the outputs of the ReLUs before ``relu`` (and the box) to its argument, and intersect."""
    starts = {0: -1} | {j: r for r, j in enumerate(model.relus)}  # the input is no ReLU
    values, argument = dict[int, Ends](), model.layers[model.relus[relu]].node.inputs[0]
    needed = {argument}
    for j in range(argument, -1, -1):
        if j in needed and j not in starts:
            needed.update(model.layers[j].node.inputs)
    for j in sorted(needed):
        if j in starts:
            rows = model.known[starts[j]]
            lower, upper = frame.lower[rows], frame.upper[rows]
            values[j] = relu_output(lower, upper, model.float32) if j else (lower, upper)
        else:
            layer = model.layers[j]
            lower, upper = _propagated(model.arithmetic, layer, *_joined([values[i] for i in layer.node.inputs]))
            # The errors are those of magnitudes over the region, so what rounding put outside of it is cut off.
            values[j] = np.maximum(lower, layer.lower), np.minimum(upper, layer.upper)
    return frame.within(model.known[relu], *values[argument])


def relu_output(lower: Array, upper: Array, float32: bool) -> Ends:
    """The output of a ReLU whose argument is in ``[lower, upper]``; where that is crossed, it is the point ``lower``."""
    low, high = np.maximum(lower, 0.0), np.maximum(np.maximum(lower, upper), 0.0)
    return (np.where(low > _FLUSHED, low, 0.0) if float32 else low), high


def _joined(ends: list[Ends]) -> Ends:
    lower, upper = (np.concatenate(side) for side in zip(*ends, strict=True))
    return lower, upper


def _propagated(arithmetic: Arithmetic, layer: Layer, lower: Array, upper: Array) -> Ends:
    """The value of a linear node whose inputs are in ``[lower, upper]``, outwards, with its error."""
    low, high = arithmetic.lift(lower), arithmetic.lift(upper)
    middle = (low + high) / 2  # nearly; the radius is from where it is
    radius = np.maximum(high - middle, middle - low)
    value = layer.node.forwards(layer.weight, middle) + layer.bias
    spread = layer.node.forwards(layer.absolute, radius) + layer.error
    return arithmetic.ends(value - spread, -1), arithmetic.ends(value + spread, 1)


def _layer(arithmetic: Arithmetic, node: Node, ends: Ends, gamma: float, float32: bool) -> Layer:
    """The layer of a node whose inputs, one after another, are in ``ends``; the input itself is."""
    lift, size = arithmetic.lift, np.maximum(-ends[0], ends[1])
    weight = None if node.weight is None else lift(node.weight)
    absolute, bias = (
        None if weight is None else np.abs(weight),
        0 if node.bias is None else lift(node.bias[:, None, None]),
    )
    product = node.forwards(absolute, lift(size)) if node.op == "linear" else lift(size)
    total = product + np.abs(bias)
    error = lift(gamma) * total + lift(arithmetic.tiny * (node.fan + 8))
    error = error + lift(node.weight_ulps * 2.0**-53) * product
    error = error if node.bias_error is None else error + lift(node.bias_error[:, None, None])
    if float32 and (node.fan or node.op == "relu"):
        relative, flushed = _execution(node, float(size.max()))
        error = error + (lift(relative) * total + lift(flushed))
        most = float(arithmetic.ends(total + error, 1).max())
        require(most < 3.4e38, f"float32 is claimed, and its value may be as large as {most:.3g}, beyond float32")
    error = error + lift(gamma) * error  # of sums with the error itself
    if node.op == "linear":
        lower, upper = _propagated(arithmetic, Layer(node, weight, absolute, bias, error, *ends), *ends)
    else:
        lower, upper = ends if node.op == "input" else relu_output(*ends, float32)
    good = np.isfinite(lower).all() and np.isfinite(upper).all() and (lower <= upper).all()
    require(good, "the interval of its value is empty or beyond float64")
    return Layer(node, weight, absolute, bias, error, lower, upper)


def _execution(node: Node, size: float) -> tuple[float, float]:
    """How far an execution in float32 may be from ``W v + b``: so much times ``|W| |v| + |b|``, and so much more; for ``|v| <= size``.

    The model is that of `arithmetic`, with ``u = 2^-24`` and fan + 1 roundings, in any order, fused or not. Flushing small operands
    and results to zero adds less than ``2^-126`` times ``|v| + |w| + 4`` a product, which later roundings can at most double.
    """
    if node.op == "relu":
        return 0.0, _FLUSHED
    require(not node.weight_ulps and node.bias_error is None, "float32 is claimed, and it has inexact numbers")
    arrays = [array for array in (node.weight, node.bias) if array is not None]
    good = all((array.astype(np.float32) == array).all() for array in arrays)
    require(good, "float32 is claimed, and it has a number that is not a float32")
    unit = (node.fan + 3) * 2.0**-24
    require(unit < 2**-6, f"float32 is claimed, and sums of {node.fan} products are too many to bound")
    largest = size + (1.0 if node.weight is None else float(np.abs(node.weight).max()))
    return float(np.nextafter(unit / (1 - unit), 1)), (node.fan + 3) * 2.0**-123 * (3 + largest)
