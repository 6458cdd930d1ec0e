"""The network over a region: the interval of every node, its error terms in the arithmetic and the semantics; and frames.

Every frame is a part of the region, so one interval a node serves all frames, and an error term costs one dot product.
All values are columns: (size, 1) of a layer, (size, B) of B frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import Arithmetic
from verify.check.forms import Rejected, require
from verify.check.network import Node

Array = NDArray[Any]
Ends = tuple[Array, Array]  # lower and upper, float64
_FLUSHED = 2.0**-126  # below it, float32 may take a number for 0


@dataclass(frozen=True)
class Layer:
    """A node in an arithmetic. Over the region its value is in ``[lower, upper]``, float64."""

    node: Node
    weights: list[Array | None]  # of the node's maps
    bias: Array | None
    spread: Any  # added to both sides of an interval: rounding, executions, what the stored numbers may miss
    loss: Array | None  # a form with coefficients a on the value loses ``|a| . loss`` on its way past this node
    lower: Array
    upper: Array

    @property
    def magnitude(self) -> Array:
        """At least ``|value|``."""
        found: Array = np.maximum(-self.lower, self.upper)
        return found


@dataclass(frozen=True)
class Model:
    """The network over the region. ``met``: how many products one coefficient may be the sum of, at most.

    ``tiny``: what underflow can take from a form at one node, and more.
    """

    arithmetic: Arithmetic
    layers: list[Layer]
    relus: list[int]
    float32: bool
    met: int
    tiny: Any
    known: dict[int, slice]  # where a frame has the ends of the input (0), and of the argument of the ReLU at a node

    def argument(self, relu: int) -> int:
        """The node whose value is the argument of a ReLU."""
        return self.layers[self.relus[relu]].node.inputs[0]


def build_model(arithmetic: Arithmetic, nodes: list[Node], box: Ends, float32: bool) -> Model:
    """Propagate the box, of ends (n, 1), through the network, node by node: rule `interval` for ReLU 0, 1, ..."""
    met = [4] * len(nodes)
    for node in nodes:
        for k, i in enumerate(node.inputs):
            met[i] += node.maps[k].back if node.maps else 2
    layers: list[Layer] = []
    for j, node in enumerate(nodes):
        try:
            layers.append(_layer(arithmetic, node, [layers[i] for i in node.inputs], box, max(met), float32))
        except Rejected as reason:
            raise Rejected(f"node {j} ({node.op}): {reason}") from None
    relus = [j for j, node in enumerate(nodes) if node.op == "relu"]
    known, begin = {}, 0
    for j in (0, *relus):
        known[j] = slice(begin, begin := begin + nodes[j].size)
    owed = (max(met) + 4) * sum(float(layer.magnitude.sum()) + 8 * layer.node.size for layer in layers)
    tiny = 0 if arithmetic.exact else arithmetic.tiny * owed
    return Model(arithmetic, layers, relus, float32, max(met), tiny, known)


def node_interval(arithmetic: Arithmetic, layer: Layer, inputs: list[Ends]) -> Ends:
    """The value of a linear node, from those of its inputs: outwards, with its spread, and never wider than over the region."""
    lower = upper = np.zeros((1, 1), int) if layer.bias is None else layer.bias
    for m, weight, ends in zip(layer.node.maps, layer.weights, inputs, strict=True):
        low, high = (arithmetic.lift(end) for end in ends)
        if weight is None:
            lower, upper = lower + m.forwards(None, low), upper + m.forwards(None, high)
        else:
            more, less = np.maximum(weight, 0), np.minimum(weight, 0)
            lower = lower + (m.forwards(more, low) + m.forwards(less, high))
            upper = upper + (m.forwards(more, high) + m.forwards(less, low))
    if layer.spread is not None:
        lower, upper = arithmetic.down(lower - layer.spread), arithmetic.up(upper + layer.spread)
    # The error terms are those of magnitudes over the region, so what rounding put outside of it is cut off.
    return np.maximum(arithmetic.ends(lower, -1), layer.lower), np.minimum(arithmetic.ends(upper, 1), layer.upper)


def relu_output(lower: Array, upper: Array, float32: bool) -> Ends:
    """The output of a ReLU whose argument is in ``[lower, upper]``; where that is crossed, it is the point ``lower``."""
    low, high = np.maximum(lower, 0.0), np.maximum(np.maximum(lower, upper), 0.0)
    return (np.where(low > _FLUSHED, low, 0.0) if float32 else low), high


def _layer(arithmetic: Arithmetic, node: Node, inputs: list[Layer], box: Ends, met: int, float32: bool) -> Layer:
    if node.op == "input":
        return Layer(node, [], None, None, None, *box)
    lift, up, gamma, tiny, fan = arithmetic.lift, arithmetic.up, arithmetic.gamma, arithmetic.tiny, node.fan
    weights = [None if m.weight is None else lift(m.weight) for m in node.maps]
    bias = None if node.bias is None else lift(node.bias[:, None])
    sizes = [lift(layer.magnitude) for layer in inputs]
    product: Any = sizes[0] if node.op == "relu" else 0  # at least |W| |v|
    for m, weight, size in zip(node.maps, weights, sizes, strict=False):
        product = product + m.forwards(None if weight is None else np.abs(weight), size)
    product = up(product + gamma(8 * fan + 8) * product + (fan + 1) * tiny)
    total = product if bias is None else up(product + np.abs(bias))

    # between the value, and W v + b with the stored numbers in real arithmetic
    error: Any = arithmetic.number(Fraction(node.weight_ulps, 2**53)) * product
    if node.bias_error is not None:
        error = error + lift(node.bias_error[:, None])
    if float32 and fan:
        error = _execution(arithmetic, node, inputs, total)
    if node.op == "relu":
        spread, (lower, upper) = None, relu_output(inputs[0].lower, inputs[0].upper, float32)
        error = arithmetic.number(Fraction(_FLUSHED)) if float32 else 0  # an output below 2^-126 may be flushed
    else:
        # gamma(64): the few roundings of the terms themselves, here and below
        spread = error + gamma(4 * fan + 16) * total + (4 * fan + 8) * tiny
        spread = up(spread + gamma(64) * spread) if fan else None
        layer = Layer(node, weights, bias, spread, None, np.array(-np.inf), np.array(np.inf))
        lower, upper = node_interval(arithmetic, layer, [(given.lower, given.upper) for given in inputs])
    finite = np.isfinite(lower).all() and np.isfinite(upper).all()
    require(finite and (lower <= upper).all(), "the interval of its value is empty or beyond float64")

    # A coefficient on an input's value is the sum of up to ``met`` products, rounded and added in any order, and perhaps
    # cancelled. All of them are paid for here, where they are made.
    loss = error + gamma(2 * met + 16) * product + (0 if bias is None else gamma(2 * node.size + 16) * np.abs(bias))
    loss = up(loss + gamma(2 * node.size + 64) * loss)
    return Layer(node, weights, bias, spread, loss if (loss != 0).any() else None, lower, upper)


def _execution(arithmetic: Arithmetic, node: Node, inputs: list[Layer], total: Array) -> Any:
    """How far an execution in float32 may be from ``W v + b``, with ``total >= |W| |v| + |b|``.

    The model is that of `arithmetic`, with ``u = 2^-24`` and fan + 1 roundings, in any order, fused or not. Flushing small operands
    and results to zero adds less than ``2^-126`` times ``|v| + |w| + 4`` a product, which later roundings can at most double.
    """
    require(not node.weight_ulps and node.bias_error is None, "float32 is claimed, and it has inexact numbers")
    weights = [m.weight for m in node.maps if m.weight is not None]
    for array in (*weights, *([] if node.bias is None else [node.bias])):
        require(
            (array.astype(np.float32) == array).all(), "float32 is claimed, and it has a number that is not a float32"
        )
    unit = Fraction(node.fan + 3, 2**24)
    require(unit < Fraction(1, 64), f"float32 is claimed, and sums of {node.fan} products are too many to bound")
    sizes = [float(layer.magnitude.max()) for layer in inputs] + [float(np.abs(weight).max()) for weight in weights]
    small = (node.fan + 3) * Fraction(1, 2**123) * (3 + sum(map(Fraction, sizes)))
    error = arithmetic.up(arithmetic.number(unit / (1 - unit)) * total)
    error = arithmetic.up(error + arithmetic.number(small))
    most = float(arithmetic.ends(arithmetic.up(total + error), 1).max())
    require(most < 3.4e38, f"float32 is claimed, and its value may be as large as {most:.3g}, beyond float32")
    return error


@dataclass(frozen=True)
class Frame:
    """B frames: the ends of the input box, and of each ReLU's argument, one below the other (`Model.known`), float64 (N, B).

    ``clause`` is the one that is assumed to be satisfied.
    """

    clause: int | None
    lower: Array
    upper: Array

    def intersected(self, rows: slice, lower: Array, upper: Array) -> Frame:
        """The frames in which what is at ``rows`` is known to be in ``[lower, upper]`` too. What is not finite is rejected."""
        require(np.isfinite(lower).all() and np.isfinite(upper).all(), "a derived bound is not a finite number")
        lowers, uppers = self.lower.copy(), self.upper.copy()
        lowers[rows], uppers[rows] = np.maximum(lowers[rows], lower), np.minimum(uppers[rows], upper)
        return replace(self, lower=lowers, upper=uppers)

    @property
    def crossed(self) -> Array:
        """Which of the B frames have a crossed interval: no x is left in them."""
        found: Array = np.any(self.lower > self.upper, axis=0)
        return found


def root_frame(model: Model) -> Frame:
    """The frame without assumptions: what building the model derived."""
    layers = [model.layers[0], *(model.layers[model.argument(r)] for r in range(len(model.relus)))]
    return Frame(
        None, np.concatenate([layer.lower for layer in layers]), np.concatenate([layer.upper for layer in layers])
    )


def apply_interval(model: Model, frame: Frame, relu: int) -> Frame:
    """Rule `interval`: propagate from the outputs of the ReLUs before ``relu`` (and the box) to its argument, and intersect."""
    argument, values = model.argument(relu), dict[int, Ends]()
    needed = {argument}
    for j in range(argument, -1, -1):
        if j in needed and j not in model.known:
            needed.update(model.layers[j].node.inputs)
    for j in sorted(needed):
        if j in model.known:
            lower, upper = frame.lower[model.known[j]], frame.upper[model.known[j]]
            values[j] = relu_output(lower, upper, model.float32) if j else (lower, upper)
        else:
            values[j] = node_interval(
                model.arithmetic, model.layers[j], [values[i] for i in model.layers[j].node.inputs]
            )
    return frame.intersected(model.known[model.relus[relu]], *values[argument])
