"""The one backward pass: a linear form of the output becomes a bound over the region.

The invariant, in exact arithmetic and for every x of the region, after each node i has been passed:
``C v_start(x) + d >= sum_j coefficient_j . v_j(x) + constant`` over the nodes j that still carry a coefficient.
Every method of this project is this pass with other slopes (DESIGN.md section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from verify.bounds.nouns import Bounds
from verify.bounds.relaxation import Lines
from verify.floating import TINY, UNIT, down, gamma, up
from verify.network import Network
from verify.operators import Add, Concat, Linear, ReLU
from verify.region import Box


@dataclass(frozen=True)
class Rows:
    """Linear functionals of node ``start``: ``coefficient`` (B or 1, S, *shape) and ``constant`` (B or 1, S).

    ``also``: coefficients on nodes before ``start``, (B or 1, S, *shape) each; the functional is the sum.
    """

    start: int
    coefficient: Tensor
    constant: Tensor
    also: Mapping[int, Tensor] = field(default_factory=dict)


@dataclass
class _Pass:
    """The form while it moves: coefficients by node, and what has become constant. Local to one pass.

    When every ReLU's lines are parallel, minus a row has minus the row's coefficients, and ``mirrored`` is the
    constant of that form: one pass then gives both sides.
    """

    network: Network
    bounds: Bounds
    lines: Mapping[int, Lines] | None
    pending: dict[int, Tensor]
    constant: Tensor
    mirrored: Tensor | None
    seen: dict[int, Tensor] | None = None  # where given, the coefficients that reach each ReLU are kept in it

    def add(self, amount: Tensor) -> None:
        """The form gains ``amount``; the mirrored one loses it."""
        self.constant = down(self.constant + amount)
        if self.mirrored is not None:
            self.mirrored = down(self.mirrored - amount)

    def push(self, j: int, a: Tensor) -> None:
        """Give node j the coefficient ``a``; where one waits already, the sum's rounding is paid for."""
        if j not in self.pending:
            self.pending[j] = a
            return
        total = self.pending[j] + a
        self.pending[j] = total
        size = math.prod(total.shape[2:])
        magnitude = self.bounds.values[j].magnitude() * (2.0 * UNIT * (1.0 + gamma(size + 8)))
        self.lose(up(_dot(total.abs(), magnitude)))

    def lose(self, loss: Tensor) -> None:
        """Both forms lose ``loss``."""
        self.constant = down(self.constant - loss)
        if self.mirrored is not None:
            self.mirrored = down(self.mirrored - loss)

    def lose_slack(self, i: int, a: Tensor) -> None:
        """What a step through node i with coefficients ``a`` loses: ``|a| . slack``."""
        loss = self.bounds.slack[i]
        if loss is not None:
            self.lose(_dot(a.abs(), loss))


def backward(
    network: Network,
    region: Box,
    bounds: Bounds,
    rows: Rows,
    lines: Mapping[int, Lines] | None,
    *,
    seen: dict[int, Tensor] | None = None,
) -> Tensor:
    """Lower bounds (B, S) of ``rows`` over the region.

    ``lines`` gives the slopes of every ReLU on the way; with None the pass stops at the ReLUs and takes their
    intervals (interval bounds with the last layers merged into the rows). Differentiable in the slopes, the weights
    and the region. ``bounds`` and ``region`` may hold one input that all rows' B domains share.

    ``seen``, when given, is filled with the coefficients (B, S, *shape) that the form had on each ReLU's output, and
    under 0 those on the input.

    Recomputed: everything, in the dtype of the arguments, with every rounding error of float64 paid for through
    ``bounds.slack`` (float32 arguments serve searches only). Trusted: that ``bounds`` hold over the region.
    """
    pending = {rows.start: rows.coefficient, **rows.also}
    return _run(_Pass(network, bounds, lines, pending, rows.constant, None, seen), region, rows.start)[0]


@dataclass(frozen=True)
class LinearForm:
    """``C v_start(x) + d >= coefficient . x + constant`` for every x: (B, S, *input shape) and (B, S).

    ``at_relus``: by ReLU, the coefficient (B or 1, S, *shape) that the form had there on its way; a search's hint.
    """

    coefficient: Tensor
    constant: Tensor
    at_relus: Mapping[int, Tensor]


def backward_form(network: Network, bounds: Bounds, rows: Rows, lines: Mapping[int, Lines]) -> LinearForm:
    """What :func:`backward` bounds over the region in the end: a linear form of the input below each row.

    Recomputed and trusted: as :func:`backward`; the form holds where ``bounds`` hold.
    """
    seen: dict[int, Tensor] = {}
    state = _Pass(network, bounds, lines, {rows.start: rows.coefficient}, rows.constant, None, seen)
    a = _to_input(state, rows.start)
    count, width = len(bounds.underflow), rows.coefficient.shape[1]
    if a is None:
        a = rows.coefficient.new_zeros(1, 1, *network.input_shape)
    state.lose(bounds.underflow.unsqueeze(1))
    constant = state.constant.expand(count, width)
    return LinearForm(a.expand(count, width, *network.input_shape), constant, seen)


def backward_both(
    network: Network, region: Box, bounds: Bounds, rows: Rows, lines: Mapping[int, Lines]
) -> tuple[Tensor, Tensor]:
    """Lower bounds of ``rows`` and of their negations, (B, S) each, in one pass; every line must be parallel.

    Recomputed and trusted: as :func:`backward`.
    """
    assert all(line.parallel for line in lines.values()) and not rows.also
    state = _Pass(network, bounds, lines, {rows.start: rows.coefficient}, rows.constant, -rows.constant)
    lower, negated = _run(state, region, rows.start)
    assert negated is not None
    return lower, negated


def _to_input(state: _Pass, start: int) -> Tensor | None:
    """Move the form back to the input; its coefficient there, or None where nothing is left."""
    for i in range(start, 0, -1):
        if i in state.pending:
            op = state.network.nodes[i].operator
            _STEPS[type(op) if not isinstance(op, Linear) else Linear](state, i, state.pending.pop(i))
    return state.pending.pop(0, None)


def _run(state: _Pass, region: Box, start: int) -> tuple[Tensor, Tensor | None]:
    a = _to_input(state, start)
    if a is not None:
        if state.seen is not None:
            state.seen[0] = a
        if state.mirrored is not None:
            low, negated = region.minimise_both(a)
            state.mirrored = down(state.mirrored + negated)
        else:
            low = region.minimise(a)
        state.constant = down(state.constant + low)
    state.lose(state.bounds.underflow.unsqueeze(1))
    return state.constant, state.mirrored


def _linear(state: _Pass, i: int, a: Tensor) -> None:
    """``a (W v + b) = (a W) v + a b``, less the rounding of both: ``|a| . slack``."""
    node = state.network.nodes[i]
    op = node.operator
    assert isinstance(op, Linear)
    state.lose_slack(i, a)
    if op.bias is not None:
        state.add(a.flatten(2) @ op.full_bias().reshape(-1))
    count, rows = a.shape[:2]
    state.push(node.inputs[0], op.transpose(a.flatten(0, 1)).unflatten(0, (count, rows)))


def _relu(state: _Pass, i: int, a: Tensor) -> None:
    """Positive coefficients take the lower line, negative ones the upper; the intercept becomes constant.

    No rounding is lost on the coefficients: the computed ``a s`` is ``a s'`` for some s' in [0, 1], which is a sound
    slope too, and ``intercept`` was rounded up for it.
    """
    if state.lines is None:
        return _at_interval(state, i, a)
    if state.seen is not None:
        state.seen[i] = a
    state.lose_slack(i, a)
    line = state.lines[i]
    negative = a.clamp(max=0)
    state.constant = down(state.constant + _weigh(negative, line.intercept))
    if line.parallel:
        if state.mirrored is not None:
            state.mirrored = down(state.mirrored + _weigh(negative - a, line.intercept))
        return state.push(state.network.nodes[i].inputs[0], a * line.upper)
    moved = torch.addcmul(negative * line.upper, a.clamp(min=0), line.lower)
    if line.multiplier is not None and line.distance is not None:
        moved = moved + line.multiplier
        state.constant = down(state.constant + _held(line.multiplier, line.distance.squeeze(1), moved))
    return state.push(state.network.nodes[i].inputs[0], moved)


def _held(multiplier: Tensor, distance: Tensor, moved: Tensor) -> Tensor:
    """A lower bound (B, S) of ``|m| . distance`` for the exact multipliers m that the rounded coefficients ``moved`` stand for.

    Each is within u ``|moved|`` of the computed one, and the products and their sum are rounded; 0 is always a bound.
    """
    size = math.prod(moved.shape[2:])
    gain = _dot(multiplier.abs(), distance) * (1.0 - gamma(2 * size + 8))
    lost = up(_dot(moved.abs(), distance) * (2.0 * UNIT) + 4 * size * TINY)
    return down(gain - lost).clamp(min=0)


def _at_interval(state: _Pass, i: int, a: Tensor) -> None:
    """``a . v >= sum min(a l, a u)`` at a node whose interval is known."""
    at = state.bounds.values[i]
    size = math.prod(a.shape[2:])
    loss = up(_dot(a.abs(), at.magnitude() * (gamma(2 * size + 8) * (1.0 + gamma(size)))))
    low = _dot(a.clamp(min=0), at.lower) + _dot(a.clamp(max=0), at.upper)
    state.constant = down(state.constant + (low - loss))


def _add(state: _Pass, i: int, a: Tensor) -> None:
    state.lose_slack(i, a)
    for j in state.network.nodes[i].inputs:
        state.push(j, a)


def _concat(state: _Pass, i: int, a: Tensor) -> None:
    node = state.network.nodes[i]
    assert isinstance(node.operator, Concat)
    for j, part in zip(node.inputs, a.split(node.operator.sizes, dim=node.operator.axis + 2), strict=True):
        state.push(j, part)


_STEPS: dict[type, Callable[[_Pass, int, Tensor], None]] = {
    Linear: _linear,
    ReLU: _relu,
    Add: _add,
    Concat: _concat,
}


def _weigh(a: Tensor, intercept: Tensor) -> Tensor:
    """``a . intercept`` over a node's shape, for intercepts (B, 1 or S, *shape) shared by the rows or their own."""
    return _dot(a, intercept.squeeze(1)) if intercept.shape[1] == 1 else (a * intercept).flatten(2).sum(-1)


def _dot(a: Tensor, v: Tensor) -> Tensor:
    """``a . v`` over a node's whole shape: (B or 1, S, *shape) and (B or 1, *shape) -> (B, S)."""
    a, v = a.flatten(2), v.flatten(1)
    if a.shape[0] == 1:
        return v @ a[0].T
    if v.shape[0] == 1:
        return a @ v[0]
    return torch.matmul(a, v.unsqueeze(-1)).squeeze(-1)
