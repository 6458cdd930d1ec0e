"""The backward pass of a search, and its gradient by one pass forwards: no claim rests on either.

Where a form's lower bound over the region is reached, the input is a corner ``x`` and every ReLU is one of its two lines. So the
bound's gradient in the form's coefficient on a node is that node's value when ``x`` goes forwards through those lines: the
gradient in a slope is the coefficient there times the pre-activation, as long as the coefficient is positive. This takes a
fraction of what automatic differentiation does, and rounding is not paid for: see :func:`verify.bounds.backward.backward`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from verify.bounds.backward import Rows
from verify.bounds.relaxation import Lines
from verify.network import Network
from verify.operators import Add, Concat, Linear, ReLU
from verify.region import Box


@dataclass(frozen=True)
class Relaxed:
    """Estimates (B, S) of lower bounds, and where they are reached.

    By ReLU, (B, S, *shape): ``on_relu`` the coefficients on its output, ``pre`` the pre-activations; ``start`` (B, S, *shape):
    the value of the node at which the rows start.
    """

    lower: Tensor
    on_relu: dict[int, Tensor]
    pre: dict[int, Tensor]
    start: Tensor


def relaxed(network: Network, region: Box, rows: Rows, lines: Mapping[int, Lines]) -> Relaxed:
    """The bounds of ``rows`` over the region, about, and the values that the nodes have there."""
    back = _Back(network, lines)
    starts = ((rows.start, rows.coefficient), *rows.also.items())
    for j, a in starts:
        back.push(j, a)
    for i in range(rows.start, 0, -1):
        back.step(i)
    nothing = rows.coefficient.new_zeros(1, rows.coefficient.shape[1], *network.input_shape)
    values = {0: region.about_minimiser(back.pending.get(0, nothing))}
    for i in range(1, rows.start + 1):
        if all(j in values for j in network.nodes[i].inputs):
            values[i] = _value(back, i, values)
    # The forms and the constants on the way add up to what the forms that were asked for are at these values.
    lower = rows.constant
    for j, a in starts:
        lower = lower + _weigh(a, values[j])
    pre = {r: values[network.nodes[r].inputs[0]] for r in back.on_relu}
    for r, y in pre.items():
        line = lines[r]
        if line.multiplier is not None and line.distance is not None:
            lower = lower + _weigh(line.multiplier, y) + _weigh(line.multiplier.abs(), line.distance)
    return Relaxed(lower, back.on_relu, pre, values[rows.start])


@dataclass
class _Back:
    """The form on its way back: coefficients by node, those that reached ReLUs, which of them are positive (1 or 0), and the
    slopes that they took."""

    network: Network
    lines: Mapping[int, Lines]
    pending: dict[int, Tensor] = field(default_factory=dict)
    on_relu: dict[int, Tensor] = field(default_factory=dict)
    rising: dict[int, Tensor] = field(default_factory=dict)
    slopes: dict[int, Tensor] = field(default_factory=dict)

    def push(self, j: int, a: Tensor) -> None:
        self.pending[j] = self.pending[j] + a if j in self.pending else a

    def step(self, i: int) -> None:
        a = self.pending.pop(i, None)
        if a is None:
            return
        node = self.network.nodes[i]
        match node.operator:
            case ReLU():
                self._relu(i, a)
            case Add():
                for j in node.inputs:
                    self.push(j, a)
            case Concat(sizes=sizes, axis=axis):
                for j, part in zip(node.inputs, a.split(sizes, dim=axis + 2), strict=True):
                    self.push(j, part)
            case Linear() as op:
                self.push(node.inputs[0], op.transpose(a.flatten(0, 1)).unflatten(0, a.shape[:2]))

    def _relu(self, i: int, a: Tensor) -> None:
        line = self.lines[i]
        # Arithmetic, not ``where``: a choice by the signs of coefficients takes a processor ten times as long.
        rising = a.sign().clamp_(min=0)
        slope = (rising * (line.lower - line.upper)).add_(line.upper)
        self.on_relu[i], self.rising[i], self.slopes[i] = a, rising, slope
        moved = a * slope
        self.push(self.network.nodes[i].inputs[0], moved if line.multiplier is None else moved.add_(line.multiplier))


def _value(back: _Back, i: int, values: Mapping[int, Tensor]) -> Tensor:
    node = back.network.nodes[i]
    inputs = [values[j] for j in node.inputs]
    match node.operator:
        case ReLU():
            if i not in back.on_relu:
                return inputs[0].clamp(min=0)  # no form depends on it
            line = back.lines[i]
            value = torch.addcmul(line.intercept, back.slopes[i], inputs[0])
            return value.addcmul_(back.rising[i], line.intercept, value=-1.0)
        case Add():
            return inputs[0] + inputs[1]
        case Concat(axis=axis):
            return torch.cat(inputs, dim=axis + 2)
        case Linear() as op:
            moved: Tensor = op.apply(inputs[0].flatten(0, 1)).unflatten(0, inputs[0].shape[:2])
            return moved
    raise TypeError(f"{type(node.operator).__name__} has no value of its own")


def _weigh(a: Tensor, v: Tensor) -> Tensor:
    """``a . v`` over a node's shape: (B, S, *shape) each, or 1 where all share it -> (B, S)."""
    total: Tensor = (a * v).flatten(2).sum(-1)
    return total
