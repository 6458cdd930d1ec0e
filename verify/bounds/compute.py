"""Bounds of every node, layer by layer: interval propagation, tightened at each ReLU by the method that was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward, backward_both
from verify.bounds.interval import propagate
from verify.bounds.nouns import Bounds, Interval, unstable
from verify.bounds.relaxation import SLOPES, Lines, lines
from verify.errors import SoundnessError
from verify.floating import require_gradual_underflow
from verify.network import Network
from verify.operators import Input, Linear, ReLU
from verify.region import Box
from verify.verdict import Evidence

MEMORY_BYTES = 256 * 2**20  # what the coefficients of one backward pass may take; the rows are chunked to it
CACHE_BYTES = 4 * 2**20  # and rows of small networks are chunked so that a step stays in the processor's cache


@dataclass(frozen=True)
class Scope:
    """What a tightener may look at: the question, and the bounds of the nodes before ``start``."""

    network: Network
    region: Box
    bounds: Bounds
    start: int  # the node whose interval is wanted; every node before it is known
    index: Tensor  # which of its neurons, positions in its flattened value


Tightener = Callable[[Scope], tuple[Interval, Evidence]]
"""Bounds of the neurons ``index`` of node ``start``: an Interval of (B, k) tensors, and how they are known."""


def node_bounds(
    network: Network,
    region: Box,
    tighten: Tightener | None = None,
    *,
    source: str = "interval",
    intersect: bool = True,
) -> Bounds:
    """Intervals of every node over the region: interval propagation, and ``tighten`` before each ReLU.

    With ``intersect`` every interval is the intersection of all that is known, so that a method is never looser than
    interval bounds, and only ReLUs that those leave unstable are tightened. Without it, ``pre`` holds what the method
    gives on its own, as the published tables have it. Recomputed: everything but what ``tighten`` says, which is
    trusted as far as its evidence goes. Raises SoundnessError where two bounds exclude each other.
    """
    require_gradual_underflow()
    values: list[Interval] = []
    slack: list[Tensor | None] = []
    pre: dict[int, Interval] = {}
    evidence = Evidence.RECOMPUTED
    for i, node in enumerate(network.nodes):
        if isinstance(node.operator, Input):
            values.append(Interval(region.lower, region.upper))
            slack.append(None)
            continue
        if isinstance(node.operator, ReLU):
            start = node.inputs[0]
            shared = [r for r in pre if network.nodes[r].inputs[0] == start]
            known = values[start]
            if shared:
                pre[i] = pre[shared[0]]
            elif tighten is None:
                pre[i] = known
            else:
                index = _wanted(known, intersect)
                so_far = Bounds(tuple(values), pre, tuple(slack), source, evidence)
                found, how = tighten(Scope(network, region, so_far, start, index))
                evidence = min(evidence, how)
                raw = _scatter(known, found, index)
                values[start] = known.intersect(raw, where=f"{source} bounds of node {network.nodes[start].name!r}")
                pre[i] = values[start] if intersect else raw
        interval, loss = propagate(node, [values[j] for j in node.inputs])
        values.append(interval)
        slack.append(loss)
    bounds = Bounds(tuple(values), pre, tuple(slack), source, evidence)
    if not all(bool(torch.isfinite(v.upper - v.lower).all()) for v in values):
        raise SoundnessError("bounds overflow float64: the region or the weights are too large to bound")
    return bounds


def _wanted(known: Interval, intersect: bool) -> Tensor:
    """Neurons worth tightening: with ``intersect`` those unstable for some input, else all."""
    free = (
        unstable(known).flatten(1).any(0) if intersect else torch.ones_like(known.lower[0].flatten(), dtype=torch.bool)
    )
    return free.nonzero().squeeze(1)


def _scatter(known: Interval, found: Interval, index: Tensor) -> Interval:
    lower, upper = known.lower.flatten(1).clone(), known.upper.flatten(1).clone()
    lower[:, index], upper[:, index] = found.lower, found.upper
    return Interval(lower.reshape(known.lower.shape), upper.reshape(known.upper.shape))


def by_slopes(name: str) -> Tightener:
    """The tightener that runs the backward pass with the fixed slopes ``name`` (a key of ``SLOPES``)."""

    def tighten(scope: Scope) -> tuple[Interval, Evidence]:
        return neuron_bounds(scope, fixed_lines(scope.bounds, name)), scope.bounds.evidence

    return tighten


def fixed_lines(bounds: Bounds, name: str) -> dict[int, Lines]:
    """The lines of every ReLU bounded so far, with the slopes ``name``."""
    return {r: lines(interval, SLOPES[name](interval)) for r, interval in bounds.pre.items()}


def neuron_bounds(scope: Scope, at: Mapping[int, Lines]) -> Interval:
    """Bounds of the scope's neurons by the backward pass: lower bounds of ``v`` and of ``-v``, chunked by memory."""
    parallel = all(line.parallel for line in at.values())
    lower, upper = (
        [scope.region.lower.new_zeros(scope.region.count, 0)],
        [scope.region.lower.new_zeros(scope.region.count, 0)],
    )
    for part in chunks(scope):
        if parallel:
            low, negated = backward_both(scope.network, scope.region, scope.bounds, neuron_rows(scope, part), at)
        else:
            low, negated = both_sides(scope, part, at)
        lower.append(low)
        upper.append(-negated)
    return Interval(torch.cat(lower, 1), torch.cat(upper, 1))


def both_sides(scope: Scope, index: Tensor, at: Mapping[int, Lines]) -> tuple[Tensor, Tensor]:
    """Lower bounds (B, k) of the neurons ``index`` and of their negations; slopes per row count ``v`` rows, then ``-v``."""
    low, negated = backward(scope.network, scope.region, scope.bounds, mirrored(neuron_rows(scope, index)), at).split(
        len(index), dim=1
    )
    return low, negated


def mirrored(rows: Rows) -> Rows:
    """The rows followed by their negations."""
    coefficient = torch.cat([rows.coefficient, -rows.coefficient], 1)
    return replace(rows, coefficient=coefficient, constant=torch.cat([rows.constant, -rows.constant], 1))


def neuron_rows(scope: Scope, index: Tensor) -> Rows:
    """The rows ``v`` for the neurons ``index`` of node ``start``, one linear step already taken where there is one.

    A row of an operator is read off its weights, which is exact, so the product with the identity is spared. An
    operator whose weights were rounded while they were read still has to pay for that, in the general step.
    """
    node = scope.network.nodes[scope.start]
    op = node.operator
    if isinstance(op, Linear) and op.weight_ulps == 0 and op.bias_error is None:
        constant = scope.region.lower.new_zeros(1, len(index))
        if op.bias is not None:
            constant = op.full_bias().reshape(-1)[index].unsqueeze(0)
        return Rows(node.inputs[0], op.rows(index).unsqueeze(0), constant)
    one_hot = scope.region.lower.new_zeros(len(index), math.prod(node.shape))
    one_hot[torch.arange(len(index)), index] = 1.0
    return Rows(scope.start, one_hot.reshape(1, len(index), *node.shape), one_hot.new_zeros(1, len(index)))


def chunks(scope: Scope, *, copies: int = 4) -> Iterator[Tensor]:
    """The scope's neurons in pieces whose backward pass fits the budget; ``copies`` tensors of rows live at once."""
    widest = max(math.prod(node.shape) for node in scope.network.nodes[: scope.start + 1])
    row = 2 * scope.region.count * widest * scope.region.lower.element_size()
    size = max(1, min(MEMORY_BYTES // (copies * row), max(8, CACHE_BYTES // row)))
    return iter(scope.index.split(size)) if len(scope.index) else iter(())


def spec_bounds(network: Network, region: Box, bounds: Bounds, rows: Rows, at: Mapping[int, Lines] | None) -> Tensor:
    """Lower bounds (B, S) of specification rows, a few rows at a time so that memory stays within the budget."""
    widest = max(math.prod(node.shape) for node in network.nodes)
    row = region.count * widest * region.lower.element_size()
    size = max(1, MEMORY_BYTES // (4 * row))
    if rows.coefficient.shape[1] <= size:
        return backward(network, region, bounds, rows, at)
    parts = zip(rows.coefficient.split(size, 1), rows.constant.split(size, 1), range(0, 10**9, size), strict=False)
    results = []
    for coefficient, constant, first in parts:
        piece = None if at is None else {r: _row_lines(line, first, size) for r, line in at.items()}
        results.append(
            backward(network, region, bounds, replace(rows, coefficient=coefficient, constant=constant), piece)
        )
    return torch.cat(results, 1)


def _row_lines(line: Lines, first: int, size: int) -> Lines:
    per_row = line.lower.shape[1] > 1
    return replace(line, lower=line.lower[:, first : first + size]) if per_row else line
