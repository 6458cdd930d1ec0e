"""What is known of every node over the whole region: its interval, and the error terms of the arithmetic and the semantics.

Every frame is a part of the region, so these magnitudes serve all frames, and an error term costs one dot product a node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import Arithmetic
from verify.check.linear import MOVED, WEIGHTED, forwards, terms
from verify.check.network import Node
from verify.check.reasons import require

Array = NDArray[Any]
Ends = tuple[Array, Array]  # lower and upper, float64, (B, the value's shape)


@dataclass(frozen=True)
class Layer:
    """A node in an arithmetic. Over the region its value is in ``[lower, upper]``, float64 of the value's shape."""

    node: Node
    weight: Array | None
    abs_weight: Array | None
    bias: Array | None
    lower: Array
    upper: Array
    spread: (
        Array | None
    )  # what is added to both sides of an interval: rounding, executions, what the stored numbers may miss
    loss: (
        Array | None
    )  # flat; a form with coefficients a on the value loses |a| . loss + tiny on its way past this node
    tiny: Any
    creation: Array | None  # flat; |a| . creation covers four roundings of a


@dataclass(frozen=True)
class Model:
    """The network over the region. ``segments[r]``: the nodes between earlier ReLUs and the argument of ReLU r, in order."""

    arithmetic: Arithmetic
    layers: list[Layer]
    relus: list[int]
    segments: list[list[int]]
    float32: bool

    def argument(self, relu: int) -> int:
        """The node whose value is the argument of a ReLU."""
        return self.layers[self.relus[relu]].node.inputs[0]


def build_model(arithmetic: Arithmetic, nodes: list[Node], box: Ends, float32: bool) -> Model:
    """Propagate the box (1, input's shape) through the network, node by node: rule `interval` for ReLU 0, 1, ..."""
    relus = [j for j, node in enumerate(nodes) if node.op == "relu"]
    fed = {nodes[j].inputs[0] for j in relus}
    layers: list[Layer] = []
    for j, node in enumerate(nodes):
        if float32:
            what = f"node {j} ({node.op})"
            require(
                node.weight_ulps == 0 and node.bias_error is None, f"float32 is claimed, and {what} has inexact numbers"
            )
            for array in (node.weight, node.bias):
                require(
                    array is None or _is_float32(array),
                    f"float32 is claimed, and {what} has a number that is not a float32",
                )
        layers.append(_layer(arithmetic, node, layers, box, j in fed, float32))
    segments = []
    for j in relus:
        needed, waiting = set(), [nodes[j].inputs[0]]
        while waiting:
            i = waiting.pop()
            if i not in needed and nodes[i].op != "relu":
                waiting.extend(nodes[i].inputs)
            needed.add(i)
        segments.append(sorted(needed))
    return Model(arithmetic, layers, relus, segments, float32)


def node_interval(arithmetic: Arithmetic, layer: Layer, inputs: list[Ends]) -> Ends:
    """The value of a linear node, from those of its inputs: outwards, with its spread, and never wider than over the region."""
    node = layer.node
    lifted = [(arithmetic.lift(lower), arithmetic.lift(upper)) for lower, upper in inputs]
    lower, upper = lifted[0]
    if node.op in WEIGHTED:
        # The radius covers both ends whatever the rounding of the middle, which is between them.
        middle = np.minimum(np.maximum(lower / 2 + upper / 2, lower), upper)
        reach = forwards(node, layer.abs_weight, arithmetic.up(np.maximum(upper - middle, middle - lower)))
        centre = forwards(node, layer.weight, middle)
        centre = centre if layer.bias is None else centre + layer.bias
        lower, upper = arithmetic.down(centre - reach), arithmetic.up(centre + reach)
    elif node.op == "add":
        lower, upper = arithmetic.down(lower + lifted[1][0]), arithmetic.up(upper + lifted[1][1])
    elif node.op == "concat":
        lower, upper = (np.concatenate(ends, axis=node.axis + 1) for ends in zip(*lifted, strict=True))
    elif node.op in MOVED:
        lower, upper = forwards(node, None, lower), forwards(node, None, upper)
        if layer.bias is not None:
            lower, upper = arithmetic.down(lower + layer.bias), arithmetic.up(upper + layer.bias)
    if layer.spread is not None:
        lower, upper = arithmetic.down(lower - layer.spread), arithmetic.up(upper + layer.spread)
    # The error terms are those of magnitudes over the region, so what rounding put outside of it is cut off.
    return np.maximum(arithmetic.lower(lower), layer.lower), np.minimum(arithmetic.upper(upper), layer.upper)


def relu_output(lower: Array, upper: Array, float32: bool) -> Ends:
    """The output of a ReLU whose argument is in ``[lower, upper]``; where that is crossed, it is the point ``lower``."""
    low, high = np.maximum(lower, 0.0), np.maximum(np.maximum(lower, upper), 0.0)
    return (np.where(low > _FLUSHED, low, 0.0) if float32 else low), high


def _layer(
    arithmetic: Arithmetic, node: Node, layers: list[Layer], box: Ends, feeds_relu: bool, float32: bool
) -> Layer:
    lift, up, gamma, tiny = arithmetic.lift, arithmetic.up, arithmetic.gamma, arithmetic.tiny
    weight, bias = (None if array is None else lift(array) for array in (node.weight, node.bias))
    everywhere = np.full(node.shape, np.inf)
    layer = Layer(
        node, weight, None if weight is None else np.abs(weight), bias, -everywhere, everywhere, None, None, tiny, None
    )
    inputs = [(layers[i].lower[None], layers[i].upper[None]) for i in node.inputs]
    magnitudes = [lift(np.maximum(-lower, upper)) for lower, upper in inputs]
    fan, back = terms(node)

    # spread: |value - (W v + b)| <= spread, and it covers what node_interval loses in this arithmetic.
    error: Any = 0  # what is between the stored numbers and the network that is meant, or executed
    product: Any = 0  # over |W| |v|
    if node.op in (*WEIGHTED, *MOVED):
        product = forwards(node, layer.abs_weight, magnitudes[0])[0]
        product = up(product + gamma(8 * fan + 8) * product + fan * tiny)
    elif node.op == "add":
        product = up(magnitudes[0] + magnitudes[1])[0]
    total = product if bias is None else up(product + np.abs(bias))
    if node.weight_ulps:
        error = error + arithmetic.number(Fraction(node.weight_ulps, 2**53)) * product
    if node.bias_error is not None:
        error = error + lift(node.bias_error)
    if float32 and (node.op in (*WEIGHTED, "add") or bias is not None):
        error = _execution(arithmetic, node, fan, inputs, total)
    spread = error + gamma(4 * fan + 16) * total + (4 * fan + 4) * tiny if node.op in WEIGHTED else error
    # gamma(64): the few roundings of the terms themselves, here and below
    spread = None if np.ndim(spread) == 0 else up(spread + gamma(64) * spread + 4 * tiny)
    layer = replace(layer, spread=spread)

    if node.op == "input":
        lower, upper = box
    elif node.op == "relu":
        lower, upper = relu_output(*inputs[0], float32)
    else:
        lower, upper = node_interval(arithmetic, layer, inputs)
    finite = np.isfinite(lower).all() and np.isfinite(upper).all()
    require(bool(finite and (lower <= upper).all()), f"the interval of a value of {node.op} is empty or beyond float64")
    layer = replace(layer, lower=lower[0], upper=upper[0])

    # loss: the same errors, those of a W and of a . b, and the roundings with which a itself was made.
    magnitude = lift(np.maximum(-layer.lower, layer.upper)).ravel()
    creation = 4 * gamma(2) * magnitude if gamma(1) else None
    loss: Any = np.zeros(node.size, dtype=magnitude.dtype) + np.ravel(error)
    if node.op == "relu" and float32:
        loss = loss + arithmetic.number(_FLUSH)  # an output below 2^-126 may be flushed
    if node.op in WEIGHTED or back > 1:
        loss = loss + gamma(2 * back + 16) * np.ravel(product)
    if bias is not None:
        loss = loss + gamma(2 * node.size + 16) * np.abs(bias).ravel()
    if feeds_relu and creation is not None:
        loss = loss + creation
    # last: |a| . loss is itself a sum of as many products. In float64 these terms may be 0 by underflow, and tiny is still owed.
    rounds = creation is not None and (node.op in WEIGHTED or back > 1 or bias is not None or feeds_relu)
    owed = rounds or bool((loss != 0).any())
    loss = up(loss + gamma(2 * node.size + 64) * loss) if owed else None
    below = tiny * ((back + 2) * (sum(m.sum() for m in magnitudes) + magnitude.sum()) + 8 * node.size + 8)
    return replace(layer, loss=loss, tiny=below, creation=creation)


def _execution(arithmetic: Arithmetic, node: Node, fan: int, inputs: list[Ends], total: Array) -> Array:
    """How far an execution in float32 may be from ``W v + b``, with ``total >= |W| |v| + |b|``.

    The model is that of `arithmetic`, with ``u = 2^-24`` and fan + 1 roundings, in any order, fused or not. Flushing small operands
    and results to zero adds less than ``2^-126`` times ``|v| + |w| + 4`` a product, which later roundings can at most double.
    """
    unit = Fraction(fan + 3, 2**24)
    require(
        unit < Fraction(1, 64),
        f"float32 is claimed, and a value of {node.op} is a sum of {fan} products, too many to bound",
    )
    sizes = [float(np.maximum(-lower, upper).max()) for lower, upper in inputs]
    sizes.append(1.0 if node.weight is None else float(np.abs(node.weight).max()))
    small = (fan + 3) * Fraction(1, 2**123) * (2 + sum(map(Fraction, sizes)))
    error = arithmetic.up(arithmetic.number(unit / (1 - unit)) * total)
    error = arithmetic.up(error + arithmetic.number(small))
    most = float(arithmetic.upper(arithmetic.up(total + error)).max())
    require(
        most < 3.4e38, f"float32 is claimed, and a value of {node.op} may be as large as {most:.3g}, beyond float32"
    )
    return error


def _is_float32(array: Array) -> bool:
    with np.errstate(over="ignore", under="ignore"):
        return bool((array.astype(np.float32) == array).all())


_FLUSH = Fraction(1, 2**126)
_FLUSHED = 2.0**-126
