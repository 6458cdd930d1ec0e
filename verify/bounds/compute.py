"""Bounds of every node, layer by layer: interval propagation, tightened at each ReLU by the method that was asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward, backward_both
from verify.bounds.execution import errors_of
from verify.bounds.interval import propagate
from verify.bounds.nouns import Bounds, Interval, unstable
from verify.bounds.record import Record
from verify.bounds.relaxation import SLOPES, Lines, lines
from verify.bounds.rounding import underflow
from verify.bounds.scope import CACHE_BYTES, Chooser, Scope, Tightener
from verify.bounds.windows import in_windows
from verify.errors import SoundnessError
from verify.floating import require_gradual_underflow, up
from verify.network import Network
from verify.operators import Input, Linear, ReLU, Reshape, Scale
from verify.region import Box
from verify.verdict import Evidence

MEMORY_BYTES = 256 * 2**20  # what the coefficients of one backward pass may take; the rows are chunked to it
SHARING = 3  # inputs share rows unless they want fewer than one in this many of each other's neurons


def node_bounds(
    network: Network,
    region: Box,
    tighten: Tightener | None = None,
    *,
    source: str = "interval",
    intersect: bool = True,
    within: Bounds | None = None,
    record: Record | None = None,
    rounding: bool = True,
) -> Bounds:
    """Intervals of every node over the region: interval propagation, and ``tighten`` before each ReLU.

    With ``intersect`` every interval is the intersection of all that is known, so that a method is never looser than
    interval bounds, and only ReLUs that those leave unstable are tightened. Without it, ``pre`` holds what the method
    gives on its own, as the published tables have it. ReLUs whose inputs intervals bound exactly are never tightened. ``within``:
    bounds of one region that holds all of these, whose ``pre`` every neuron is intersected with. Recomputed: everything but what
    ``tighten`` says, which is trusted as far as its evidence goes, and ``within``. Raises SoundnessError where two bounds exclude
    each other.

    With the semantics float32, what executions add to each node follows from the bounds so far; with ``within`` it is
    that one's, and with ``record`` that of interval bounds alone, as whoever checks the record has it.

    Without ``rounding`` nothing is paid for rounding errors, nor is an overflow refused: such bounds prove nothing. They are
    for training, where paying took longer than the bounds themselves.
    """
    require_gradual_underflow()
    executed = network.semantics == "float32"
    known_runs = () if within is None else within.execution
    if executed and record is not None:
        known_runs = node_bounds(network, region).execution
    given = [None if run is None else run.expand(region.count, *run.shape[1:]) for run in known_runs]
    runs: list[Tensor | None] = []
    values: list[Interval] = []
    slack: list[Tensor | None] = []
    loss = torch.zeros(region.count, dtype=region.lower.dtype, device=region.lower.device)
    pre: dict[int, Interval] = {}
    evidence = Evidence.RECOMPUTED if within is None else within.evidence
    for i, node in enumerate(network.nodes):
        if isinstance(node.operator, Input):
            values.append(Interval(region.lower, region.upper))
            slack.append(None)
            runs.append(None)
            continue
        if isinstance(node.operator, ReLU):
            start = node.inputs[0]
            shared = [r for r in pre if network.nodes[r].inputs[0] == start]
            known = values[start]
            if record is not None:
                record.interval(i)
            if within is not None:
                known = values[start] = known.intersect(
                    within.pre[i].expand(len(known.lower)), where=f"parts of {node.name!r}"
                )
            if shared:
                pre[i] = pre[shared[0]]
            elif tighten is None or exact_by_intervals(network, region, start):
                pre[i] = known
            else:
                wanted = unstable(known).flatten(1) if intersect else torch.ones_like(known.lower.flatten(1)).bool()
                index = wanted.any(0).nonzero().squeeze(1)
                so_far = Bounds(tuple(values), pre, tuple(slack), loss, source, evidence)
                found, how = tighten(Scope(network, region, so_far, start, index, wanted[:, index], record))
                evidence = min(evidence, how)
                raw = _scatter(known, found, index, wanted)
                values[start] = known.intersect(raw, where=f"{source} bounds of node {network.nodes[start].name!r}")
                pre[i] = values[start] if intersect else raw
        inputs = [values[j] for j in node.inputs]
        if executed:
            runs.append(given[i] if given else errors_of(node, inputs))
        interval, step = propagate(node, inputs, runs[i] if executed else None, rounding=rounding)
        values.append(interval)
        slack.append(step)
        if rounding:
            loss = loss + underflow(node, inputs)
    bounds = Bounds(tuple(values), pre, tuple(slack), up(loss), source, evidence, tuple(runs) if executed else ())
    if rounding and not all(bool(torch.isfinite(v.upper - v.lower).all()) for v in values):
        raise SoundnessError("bounds overflow float64: the region or the weights are too large to bound")
    return bounds


def exact_by_intervals(network: Network, region: Box, i: int) -> bool:
    """Whether intervals give node ``i``'s range exactly, but for rounding: one linear step over a box.

    Scaling and reshaping change one number at a time, so they lose nothing before it.
    """
    if not isinstance(network.nodes[i].operator, Linear) or not region.is_box:
        return False
    i = network.nodes[i].inputs[0]
    while isinstance(network.nodes[i].operator, Reshape | Scale):
        i = network.nodes[i].inputs[0]
    return isinstance(network.nodes[i].operator, Input)


def _scatter(known: Interval, found: Interval, index: Tensor, wanted: Tensor) -> Interval:
    """``known`` with the wanted entries replaced by ``found``, whose columns are the neurons ``index``."""
    ends = []
    for old, new in ((known.lower, found.lower), (known.upper, found.upper)):
        flat = old.flatten(1).clone()
        flat[:, index] = torch.where(wanted[:, index], new, flat[:, index])
        ends.append(flat.reshape(old.shape))
    return Interval(*ends)


def by_slopes(name: str, *, deadline: float | None = None) -> Tightener:
    """The tightener that runs the backward pass with the fixed slopes ``name`` (a key of ``SLOPES``).

    After ``deadline`` (time.perf_counter()) what is known stays as it is.
    """

    def tighten(scope: Scope) -> tuple[Interval, Evidence]:
        found = neuron_bounds(scope, lambda part, _: fixed_lines(part.bounds, name), deadline=deadline)
        return found, scope.bounds.evidence

    return in_windows(tighten, lambda bounds: fixed_lines(bounds, name))


def fixed_lines(bounds: Bounds, name: str) -> dict[int, Lines]:
    """The lines of every ReLU bounded so far, with the slopes ``name``."""
    return {r: lines(interval, SLOPES[name](interval)) for r, interval in bounds.pre.items()}


def neuron_bounds(scope: Scope, choose: Chooser, *, copies: int = 4, deadline: float | None = None) -> Interval:
    """Bounds (B, k) of the scope's neurons by the backward pass: lower bounds of ``v`` and of ``-v``.

    ``choose`` gives the lines for a piece of the rows (``v``, then ``-v``); ``copies`` tensors of the rows' size may live
    at once. Where inputs want different neurons, each wanted pair becomes an input with a row of its own, instead of
    every input paying for all of them. Entries that nobody wants, or that the ``deadline`` (time.perf_counter()) overtakes, are
    the known ones.
    """
    known = scope.bounds.values[scope.start]
    lower, upper = (t.flatten(1)[:, scope.index].clone() for t in (known.lower, known.upper))
    widest = max(math.prod(node.shape) for node in scope.network.nodes[: scope.start + 1])
    fits = len(scope.index) * widest * scope.region.lower.element_size() < MEMORY_BYTES
    if scope.record is None and fits and int(scope.wanted.sum()) * SHARING < scope.wanted.numel():
        pairs = scope.wanted.nonzero()
        rows = neuron_rows(scope, scope.index)
        for owner, place in (p.unbind(1) for p in pairs.split(_pairs_at_once(scope, copies))):
            if deadline is not None and time.perf_counter() >= deadline:
                break
            part = replace(scope, region=scope.region.select(owner), bounds=scope.bounds.select(owner))
            single = Rows(rows.start, rows.coefficient[0, place].unsqueeze(1), rows.constant[0, place].unsqueeze(1))
            low, negated = _two_sides(part, single, choose)
            lower[owner, place], upper[owner, place] = low[:, 0], -negated[:, 0]
        return Interval(lower, upper)
    for places in chunks(scope, copies=copies):
        if deadline is not None and time.perf_counter() >= deadline:
            break
        chosen = scope.index[places]
        low, negated = _two_sides(scope, neuron_rows(scope, chosen), recorded(scope, chosen, choose))
        lower[:, places], upper[:, places] = low, -negated
    return Interval(lower, upper)


def recorded(scope: Scope, index: Tensor, choose: Chooser) -> Chooser:
    """``choose``, heard by the scope's record: the lines are those that it stores."""
    record = scope.record
    if record is None:
        return choose

    def stored(part: Scope, rows: Rows) -> Mapping[int, Lines]:
        at = record.stored(part.bounds, choose(part, rows))
        record.neurons(part.start, index, part.bounds, at)
        return at

    return stored


def _two_sides(scope: Scope, rows: Rows, choose: Chooser) -> tuple[Tensor, Tensor]:
    """Lower bounds of rows and of their negations: in one pass where all lines are parallel."""
    both = mirrored(rows)
    at = choose(scope, both)
    if all(line.parallel for line in at.values()):
        return backward_both(scope.network, scope.region, scope.bounds, rows, at)
    low, negated = backward(scope.network, scope.region, scope.bounds, both, at).chunk(2, dim=1)
    return low, negated


def mirrored(rows: Rows) -> Rows:
    """The rows followed by their negations."""
    coefficient = torch.cat([rows.coefficient, -rows.coefficient], 1)
    return replace(rows, coefficient=coefficient, constant=torch.cat([rows.constant, -rows.constant], 1))


def neuron_rows(scope: Scope, index: Tensor) -> Rows:
    """The rows ``v`` for the neurons ``index`` of node ``start``, one linear step already taken where there is one.

    A row of an operator is read off its weights, which is exact, so the product with the identity is spared. An
    operator whose weights were rounded while they were read, or that is executed, still has to pay for that, in the general step.
    """
    node = scope.network.nodes[scope.start]
    op = node.operator
    exact = scope.network.semantics == "real"
    if exact and isinstance(op, Linear) and op.weight_ulps == 0 and op.bias_error is None:
        constant = scope.region.lower.new_zeros(1, len(index))
        if op.bias is not None:
            constant = op.full_bias().reshape(-1)[index].unsqueeze(0)
        return Rows(node.inputs[0], op.rows(index).unsqueeze(0), constant)
    one_hot = scope.region.lower.new_zeros(len(index), math.prod(node.shape))
    one_hot[torch.arange(len(index)), index] = 1.0
    return Rows(scope.start, one_hot.reshape(1, len(index), *node.shape), one_hot.new_zeros(1, len(index)))


def chunks(scope: Scope, *, copies: int = 4) -> Iterator[Tensor]:
    """Places in ``scope.index``, in pieces whose backward pass fits the budget with ``copies`` tensors of rows alive."""
    widest = max(math.prod(node.shape) for node in scope.network.nodes[: scope.start + 1])
    row = 2 * scope.region.count * widest * scope.region.lower.element_size()
    size = max(1, min(MEMORY_BYTES // (copies * row), max(8, CACHE_BYTES // row)))
    return iter(torch.arange(len(scope.index)).split(size)) if len(scope.index) else iter(())


def _pairs_at_once(scope: Scope, copies: int) -> int:
    """How many pairs fit: each brings the bounds of all nodes before it along."""
    total = sum(math.prod(node.shape) for node in scope.network.nodes[: scope.start + 1])
    row = (total + copies * total // 2) * scope.region.lower.element_size()
    return max(1, min(MEMORY_BYTES // row, max(64, CACHE_BYTES // row)))


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
        piece = None if at is None else {r: line.rows(slice(first, first + size)) for r, line in at.items()}
        results.append(
            backward(network, region, bounds, replace(rows, coefficient=coefficient, constant=constant), piece)
        )
    return torch.cat(results, 1)
