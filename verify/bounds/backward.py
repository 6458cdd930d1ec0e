"""The one backward pass: a linear form of the output becomes a bound over the region.

The invariant, in exact arithmetic and for every x of the region, after each node i has been passed:
``C v_start(x) + d >= sum_j coefficient_j . v_j(x) + constant`` over the nodes j that still carry a coefficient.
Every method of this project is this pass with other slopes (DESIGN.md section 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.bounds.nouns import Bounds
from verify.bounds.relaxation import Lines
from verify.bounds.rounding import underflow
from verify.floating import UNIT, down, gamma, up
from verify.network import Network
from verify.operators import Add, Concat, Input, Linear, ReLU
from verify.region import Box


@dataclass(frozen=True)
class Rows:
    """Linear functionals of node ``start``: ``coefficient`` (B or 1, S, *shape) and ``constant`` (B or 1, S)."""

    start: int
    coefficient: Tensor
    constant: Tensor


@dataclass
class _Pass:
    """The form while it moves: coefficients by node, and what has become constant. Local to one pass."""

    pending: dict[int, Tensor]
    constant: Tensor

    def add(self, amount: Tensor) -> None:
        self.constant = down(self.constant + amount)


def backward(
    network: Network,
    region: Box,
    bounds: Bounds,
    rows: Rows,
    lines: Mapping[int, Lines] | None,
) -> Tensor:
    """Lower bounds (B, S) of ``rows`` over the region.

    ``lines`` gives the slopes of every ReLU on the way; with None the pass stops at the ReLUs and takes their
    intervals (interval bounds with the last layers merged into the rows). Differentiable in the slopes, the weights
    and the region.

    Recomputed: everything, in the dtype of the arguments, with every rounding error of float64 paid for through
    ``bounds.slack`` (float32 arguments serve searches only). Trusted: that ``bounds`` hold over the region.
    """
    state = _Pass({rows.start: rows.coefficient}, rows.constant)
    for i in range(rows.start, -1, -1):
        if i not in state.pending:
            continue
        a = state.pending.pop(i)
        node = network.nodes[i]
        op = node.operator
        if isinstance(op, Input):
            state.add(region.minimise(a))
        elif isinstance(op, Linear):
            _through_linear(state, bounds, i, op, node.inputs[0], a)
        elif isinstance(op, ReLU) and lines is None:
            _at_interval(state, bounds, i, a)
        elif isinstance(op, ReLU):
            assert lines is not None
            _push(state, bounds, node.inputs[0], _through_relu(state, lines[i], a))
        elif isinstance(op, Add):
            for j in node.inputs:
                _push(state, bounds, j, a)
        elif isinstance(op, Concat):
            for j, part in zip(node.inputs, a.split(op.sizes, dim=op.axis + 2), strict=True):
                _push(state, bounds, j, part)
    loss = underflow(network, bounds, last=rows.start)
    return state.constant - loss.to(state.constant.dtype).unsqueeze(1)


def _push(state: _Pass, bounds: Bounds, j: int, a: Tensor) -> None:
    """Give node j the coefficient ``a``; where one waits already, the sum's rounding is paid for."""
    if j not in state.pending:
        state.pending[j] = a
        return
    total = state.pending[j] + a
    state.pending[j] = total
    size = total[0, 0].numel()
    magnitude = bounds.values[j].magnitude() * (2.0 * UNIT * (1.0 + gamma(size + 8)))
    state.add(-up(_dot(total.abs(), magnitude)))


def _through_linear(state: _Pass, bounds: Bounds, i: int, op: Linear, source: int, a: Tensor) -> None:
    """``a (W v + b) = (a W) v + a b``, less the rounding of both: ``|a| . slack``."""
    loss = bounds.slack[i]
    if op.bias is not None:
        state.add(a.flatten(2) @ op.full_bias().reshape(-1))
    if loss is not None:
        state.add(-_dot(a.abs(), loss))
    count, rows = a.shape[:2]
    _push(state, bounds, source, op.transpose(a.flatten(0, 1)).unflatten(0, (count, rows)))


def _through_relu(state: _Pass, line: Lines, a: Tensor) -> Tensor:
    """Positive coefficients take the lower line, negative ones the upper; the intercept becomes constant.

    No rounding is lost on the coefficients: the computed ``a s`` is ``a s'`` for some s' in [0, 1], which is a sound
    slope too, and ``intercept`` was rounded up for it.
    """
    positive, negative = a.clamp(min=0), a.clamp(max=0)
    state.add(_dot(negative, line.intercept.squeeze(1)))
    return positive * line.lower + negative * line.upper


def _at_interval(state: _Pass, bounds: Bounds, i: int, a: Tensor) -> None:
    """``a . v >= sum min(a l, a u)`` at a node whose interval is known."""
    at = bounds.values[i]
    size = a[0, 0].numel()
    rounding = at.magnitude() * gamma(2 * size + 8)
    state.add(
        _dot(a.clamp(min=0), at.lower)
        + _dot(a.clamp(max=0), at.upper)
        - up(_dot(a.abs(), rounding) * (1.0 + gamma(size)))
    )


def _dot(a: Tensor, v: Tensor) -> Tensor:
    """``a . v`` over a node's whole shape: (B or 1, S, *shape) and (B, *shape) -> (B, S)."""
    a, v = a.flatten(2), v.flatten(1)
    if a.shape[0] == 1:
        return v @ a[0].T
    return torch.matmul(a, v.unsqueeze(-1)).squeeze(-1)
