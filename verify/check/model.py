"""The network over a region: the interval of every node, and what its roundings and executions may miss; and frames.

Intervals are ends (2, n, B, 1), of B frames: lower ends, and lower ends of minus the value. A frame has those of the input and
of each ReLU's argument, one below the other. It is a part of the region, so one error term a node serves all frames.

A form with coefficients a on a node's value W v + b that is moved back to v misses by at most ``2 n u |a| (|W| |v| + |b|)``, where
n is over the number of products and sums that a coefficient and an entry of the value are made of, u is 2^-53, and W is 1 at a
ReLU and the input: it holds what a W, sums with other coefficients, and those in the constant are rounded by. What is summed
over all entries of a node, a b or the constants of a ReLU, misses by the node's size more. All of it is paid for at that
node, as ``|a| . error``; and a value that is propagated through the node pays ``error``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.check.arithmetic import Arithmetic
from verify.check.forms import Array, about, require
from verify.check.network import Node

_FLUSHED = 2.0**-126  # below it, float32 may take a number for 0
_BUDGET = 2**23  # bytes of an array of coefficients


@dataclass(frozen=True)
class Layer:
    """A node in an arithmetic: its numbers as operands, its error, and the ends of its value over the region."""

    node: Node
    weight: Any
    magnitude: Any  # of the weight
    bias: Any
    error: Any
    ends: Array


@dataclass(frozen=True)
class Model:
    """The network over the region. ``gamma``: 2 n u at the input; ``tiny``: over what underflow takes from a form on its way.

    ``relus``: the nodes. ``known``: where a frame has the ends of their arguments, and under node 0 those of the input.
    ``columns``: so many columns of values may be computed at once.
    """

    arithmetic: Arithmetic
    layers: list[Layer]
    relus: list[int]
    float32: bool
    gamma: float
    tiny: float
    known: dict[int, slice]
    columns: int


def magnitude(ends: Array) -> Array:
    """At least ``|value|``."""
    return np.asarray(np.maximum(-ends[0], -ends[1]))


def crossed(frame: Array) -> Array:
    """Which of the B frames have a crossed interval: no x is left in them."""
    return np.asarray((frame[0] > -frame[1]).any(axis=(0, 2)))


def within(frame: Array, rows: Any, ends: Any) -> Array:
    """The frames in which what is at ``rows`` is known to have these ends too. What is not finite is rejected."""
    require(np.isfinite(ends).all(), "a derived bound is not a finite number")
    frame = frame.copy()
    frame[:, rows] = np.maximum(frame[:, rows], ends)
    return frame


def build_model(arithmetic: Arithmetic, nodes: list[Node], box: Array, float32: bool) -> tuple[Model, Array]:
    """The model, and the frame without assumptions. The last two nodes, the clauses' rows, are in real arithmetic."""
    met = np.zeros(len(nodes), int)  # how many products a coefficient on each node's value may be the sum of
    for node in nodes[1:]:
        np.add.at(met, node.inputs, node.back)
    terms, layers = int(met.max()) + 8 * len(nodes) + 64, list[Layer]()
    for j, node in enumerate(nodes):
        with about(f"node {j} ({node.op})"):
            ends = np.concatenate([layers[i].ends for i in node.inputs] or [box], axis=1)
            layers.append(_layer(arithmetic, node, ends, terms, float32 and j < len(nodes) - 2))
    relus, known, end = [j for j, node in enumerate(nodes) if node.op == "relu"], dict[int, slice](), 0
    for j in (0, *relus):
        known[j] = slice(end, end := end + nodes[j].size)
    gamma, most = 2 * arithmetic.unit * (terms + nodes[0].size), terms + max(node.fan + node.size for node in nodes)
    tiny = arithmetic.tiny * most * sum(float(magnitude(layer.ends).sum()) + 8 * layer.node.size for layer in layers)
    columns = max(1, _BUDGET // (arithmetic.item_bytes * max(max(node.size, node.index.size) for node in nodes)))
    model = Model(arithmetic, layers, relus, float32, gamma, tiny, known, columns)
    arguments = [layers[nodes[j].inputs[0]].ends for j in relus]
    return model, np.concatenate([layers[0].ends, *arguments], axis=1)


def apply_interval(model: Model, frame: Array, relu: int) -> Array:
    """Rule `interval`: propagate from the box and the outputs of the ReLUs before node ``relu`` to its argument, and intersect."""
    argument, values = model.layers[relu].node.inputs[0], dict[int, Array]()
    needed = {argument}
    for j in range(argument, 0, -1):
        needed.update(model.layers[j].node.inputs if j in needed and j not in model.known else [])
    for j in sorted(needed):
        layer = model.layers[j]
        if j in model.known:
            ends = frame[:, model.known[j]]
            values[j] = relu_output(ends, model.float32) if j else ends
        else:  # The errors are those of magnitudes over the region, so what rounding put outside of it is cut off.
            ends = np.concatenate([values[i] for i in layer.node.inputs], axis=1)
            values[j] = np.maximum(_propagated(model.arithmetic, layer, ends), layer.ends)
    return within(frame, model.known[relu], values[argument])


def relu_output(ends: Array, float32: bool) -> Array:
    """Of the output of a ReLU, from those of its argument; where these are crossed, it is the point of the lower end."""
    low, minus_high = np.maximum(ends[0], 0.0), np.minimum(np.minimum(-ends[0], ends[1]), 0.0)
    return np.stack([np.where(low > _FLUSHED, low, 0.0) if float32 else low, minus_high])


def _propagated(arithmetic: Arithmetic, layer: Layer, ends: Array) -> Array:
    """Of the value of a linear node, from those of its inputs."""
    low, high = arithmetic.lift(ends[0]), -arithmetic.lift(ends[1])
    middle = (low + high) / 2  # nearly; the radius is from where it is
    value = layer.node.forwards(layer.weight, middle) + layer.bias
    spread = layer.node.forwards(layer.magnitude, np.maximum(high - middle, middle - low)) + layer.error
    return np.asarray(arithmetic.lower(np.stack([value - spread, -value - spread])))


def _layer(arithmetic: Arithmetic, node: Node, ends: Array, terms: int, float32: bool) -> Layer:
    """The layer of a node whose inputs, one after another, have these ends; the input itself has."""
    lift, size = arithmetic.lift, magnitude(ends)
    weight, weights = (None, None) if node.weight is None else (lift(node.weight), lift(np.abs(node.weight)))
    bias = lift((np.zeros(node.size) if node.bias is None else node.bias)[:, None, None])
    product = node.forwards(weights, lift(size)) if node.op == "linear" else lift(size)
    total, missed = product + np.abs(bias), 0.0 if node.bias_error is None else node.bias_error[:, None, None]
    sums, dots = (lift(2 * arithmetic.unit * (terms + n)) for n in (node.fan, node.size))
    error = (sums if node.op == "linear" else dots) * total + dots * np.abs(bias)
    error = error + lift(arithmetic.tiny * (node.fan + 8))
    error = error + lift(node.weight_ulps * 2.0**-53) * product + lift(missed)
    if float32 and (node.fan or node.op == "relu"):
        relative, flushed = _execution(node, float(size.max()))
        error = error + lift(relative) * total + lift(flushed)
        most = -float(arithmetic.lower(-(total + error)).min())
        require(most < 3.4e38, f"float32 is claimed, and its value may be as large as {most:.3g}, beyond float32")
    layer = Layer(node, weight, weights, bias, error + dots * error, ends)  # the last is for sums of errors
    if node.op != "input":
        ends = relu_output(ends, float32) if node.op == "relu" else _propagated(arithmetic, layer, ends)
    require(np.isfinite(ends).all() and not crossed(ends).any(), "the interval of its value is empty or beyond float64")
    return replace(layer, ends=ends)


def _execution(node: Node, size: float) -> tuple[float, float]:
    """How far an execution in float32 is from ``W v + b``, for ``|v| <= size``: so much times ``|W| |v| + |b|``, and so much more.

    The model is that of `arithmetic`, with ``u = 2^-24`` and fan + 1 roundings, in any order, fused or not. Flushing small operands
    and results to 0 adds less than ``2^-126`` times ``|v| + |w| + 4`` a product, which later roundings can at most double.
    """
    if node.op == "relu":
        return 0.0, _FLUSHED
    require(not node.weight_ulps and node.bias_error is None, "float32 is claimed, and it has inexact numbers")
    arrays = [array for array in (node.weight, node.bias) if array is not None]
    require(all((a.astype(np.float32) == a).all() for a in arrays), "float32 is claimed, and a number is not a float32")
    unit = (node.fan + 3) * 2.0**-24
    require(unit < 2**-6, f"float32 is claimed, and sums of {node.fan} products are too many to bound")
    largest = size + (1.0 if node.weight is None else float(np.abs(node.weight).max()))
    return float(np.nextafter(unit / (1 - unit), 1)), (node.fan + 3) * 2.0**-123 * (3 + largest)
