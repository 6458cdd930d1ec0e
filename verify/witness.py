"""The only place where a counterexample is made: by evaluating a candidate, never by believing whoever proposed it.

About a network with the semantics ``float32`` a candidate counts when it is a float32 number and some execution there falls
short: torch's, or what a given runtime shows. That real arithmetic falls short is then neither needed nor enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TypeAlias

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward
from verify.bounds.compute import node_bounds
from verify.exact_evaluation import exact_rows, exact_scores
from verify.executed import executed
from verify.floating import float_above, gamma, up
from verify.network import Network
from verify.property import Clause, PropertyCounterexample
from verify.region import box
from verify.specification import Query, Specification
from verify.verdict import Counterexample

Replay: TypeAlias = Callable[[Tensor], Tensor]
"""Another runtime's outputs: points (N, *shape) float64 -> scores (N, n_out)."""

_TIES = 8
"""Candidates evaluated in rational arithmetic in one call, at most a second each."""

_NEAR = 1e-4
"""Of a row's size: how far beyond 0 torch's execution may put a point that another runtime is asked about."""


def margins_at(query: Query, x: Tensor) -> tuple[Tensor, Tensor]:
    """Rigorous lower and upper bounds, (B, S) each, of the margins at the points ``x`` (B, *shape), for all functions meant.

    Recomputed by interval arithmetic over the point, so ``lower <= margin <= upper`` holds exactly; nothing is trusted.
    """
    at = replace(query, region=box(x, x))
    bounds = node_bounds(query.network, at.region)
    last, spec = len(query.network.nodes) - 1, query.specification
    below = backward(query.network, at.region, bounds, Rows(last, spec.C, spec.d), None)
    above = backward(query.network, at.region, bounds, Rows(last, -spec.C, -spec.d), None)
    return below, -above


def upper_margins(query: Query, candidates: Tensor) -> Tensor:
    """For points (B, *shape): the margin at each that lies inside its region exactly, rounded up; +inf elsewhere. (B, S).

    A margin that rounding leaves on both sides of 0 is evaluated in rational arithmetic, as long as no other margin of its
    input is at most 0 and the network allows it (:mod:`verify.exact_evaluation`): a tie is a counterexample. With the
    semantics float32, the margin of torch's execution at float32 points, exactly: the minimum is over executions too.
    """
    inside = query.region.contains(candidates)
    if query.network.semantics == "float32":
        inside &= _are_float32(candidates)
        above = _rows_above(query.specification, executed(query.network, candidates))
        for i in (inside & (above <= 0).any(1)).nonzero().flatten().tolist():
            # In a batch torch may sum in another order; what counts is what a replay of this one point shows.
            spec = query.specification.select(torch.tensor([i]))
            above[i] = _rows_above(spec, executed(query.network, candidates[i : i + 1]))[0]
        return torch.where(inside.unsqueeze(1), above, torch.full_like(above, torch.inf))
    below, above = margins_at(query, candidates)
    doubtful = inside & (below <= 0).any(1) & (above > 0).all(1)
    for i in doubtful.nonzero().flatten()[:_TIES].tolist():
        scores = exact_scores(query.network, candidates[i])
        if scores is None:
            break
        spec = query.specification.select(torch.tensor([i]))
        exact = [float_above(row) for row in exact_rows(spec.C[0], spec.d[0], scores)]
        above[i] = torch.minimum(above[i], torch.tensor(exact, dtype=above.dtype))
    return torch.where(inside.unsqueeze(1), above, torch.full_like(above, torch.inf))


def confirm(query: Query, candidates: Tensor) -> list[Counterexample | None]:
    """For each input, the counterexample that its candidate (B, *shape) is, or None.

    A candidate counts only if it is inside the region exactly and some margin is at most 0 in real arithmetic, with
    every rounding error of the evaluation counted against it; with the semantics float32, in torch's execution. The
    margin that torch gets in float32 is recorded too.
    """
    above = upper_margins(query, candidates)
    worst, row = above.min(dim=1)
    found: list[Counterexample | None] = [None] * len(candidates)
    broken = (worst <= 0).nonzero().flatten()
    if not len(broken):
        return found
    points, spec = candidates[broken], query.specification.select(broken)
    small, executes = query.network.to(dtype=torch.float32), query.network.semantics == "float32"
    # Where torch's execution counts, each point alone, as a replay shows it: in a batch torch may sum in another order.
    parts = points.to(torch.float32).split(1 if executes else len(points))
    scores = torch.cat([small(part) for part in parts])
    C, targets = spec.C.expand(len(points), -1, -1), spec.targets.expand(len(points), -1)
    in_float32 = torch.einsum("bso,bo->bs", C.to(torch.float32), scores) + spec.d.to(torch.float32)
    predicted = (scores if executes else query.network(points)).argmax(1)
    for k, i in enumerate(broken.tolist()):
        found[i] = Counterexample(
            x=points[k].clone(),
            target=int(targets[k, row[i]]),
            predicted=int(predicted[k]),
            margin=float(worst[i]),
            float32_margin=float(in_float32[k].min()),
        )
    return found


def confirm_clause(
    network: Network, clause: Clause, points: Tensor, *, number: int = 0, replays: Sequence[Replay] = ()
) -> PropertyCounterexample | None:
    """The first of the candidates (N, *shape) that satisfies ``clause``, which is the property's ``number``-th, or None.

    A candidate counts only if it is inside the region exactly, if every row is at most 0 (below 0 where strict) in real
    arithmetic, and if every runtime of ``replays`` agrees. The rows are evaluated in intervals, with every rounding error
    counted against the candidate; where no candidate counts but rounding leaves some in doubt, as it does ties, those are
    evaluated in rational arithmetic, if the network allows it (:mod:`verify.exact_evaluation`).

    With the semantics float32 it counts if it is a float32 number inside the region, and every runtime of ``replays``, each
    of which executes the network, agrees; without any, if torch's execution does.
    """
    if not len(points):
        return None
    region = clause.region.select(torch.zeros(len(points), dtype=torch.long))
    inside = region.contains(points)
    if network.semantics == "float32":
        return _confirm_executed(network, clause, points[inside & _are_float32(points)], number, replays)
    at = box(points, points)
    bounds, last = node_bounds(network, at), len(network.nodes) - 1
    C, d = clause.C.unsqueeze(0), clause.inner_d.unsqueeze(0)
    holds = inside
    if len(clause.d):
        above = -backward(network, at, bounds, Rows(last, -C, -d), None)
        holds = torch.where(clause.strict, above < 0, above <= 0).all(1) & inside
    for i in holds.nonzero().flatten().tolist():
        if _all_agree(clause, points[i], replays):
            return _counterexample(network, points[i], number)
    if not len(clause.d):
        return None
    below = backward(network, at, bounds, Rows(last, C, d), None)
    doubtful = torch.where(clause.strict, below < 0, below <= 0).all(1) & inside & ~holds
    for i in doubtful.nonzero().flatten()[:_TIES].tolist():
        scores = exact_scores(network, points[i])
        if scores is None:
            return None
        exact = zip(exact_rows(clause.C, clause.inner_d, scores), clause.strict.tolist(), strict=True)
        if all(row < 0 if strict else row <= 0 for row, strict in exact) and _all_agree(clause, points[i], replays):
            return _counterexample(network, points[i], number)
    return None


def _confirm_executed(
    network: Network, clause: Clause, points: Tensor, number: int, replays: Sequence[Replay]
) -> PropertyCounterexample | None:
    """The first of the float32 points of the region that satisfies the clause in every one of the executions."""
    if not len(points):
        return None
    scores = executed(network, points)
    rows = scores @ clause.C.T + clause.inner_d
    # Runtimes differ by roundings: points that torch puts just beyond a row are worth the others' time.
    near = scores.abs() @ clause.C.abs().T + clause.inner_d.abs()
    for i in (rows <= near * _NEAR).all(1).nonzero().flatten().tolist():
        found = [replay(points[i : i + 1])[0].double() for replay in replays] or [
            executed(network, points[i : i + 1])[0]
        ]
        if all(_holds_exactly(clause, one) for one in found):
            return PropertyCounterexample(x=points[i].clone(), clause=number, scores=found[0])
    return None


def _holds_exactly(clause: Clause, scores: Tensor) -> bool:
    """Whether scores that a runtime gave satisfy the clause, in rational arithmetic; NaN and infinity do not."""
    if not bool(scores.isfinite().all()):
        return False
    rows = exact_rows(clause.C, clause.inner_d, [Fraction(v) for v in scores.tolist()])
    return all(row < 0 if strict else row <= 0 for row, strict in zip(rows, clause.strict.tolist(), strict=True))


def _rows_above(spec: Specification, scores: Tensor) -> Tensor:
    """``C scores + d`` (B, S), rounded up; where the rounding hides the sign, exactly up to one rounding."""
    rows = (spec.C @ scores.unsqueeze(2)).squeeze(2) + spec.d
    size = (spec.C.abs() @ scores.abs().unsqueeze(2)).squeeze(2) + spec.d.abs()
    lost = up(size * (2.0 * gamma(scores.shape[1] + 2)))
    above = up(rows + lost)
    for i, s in ((rows - lost <= 0) & (above > 0)).nonzero().tolist():
        C, d = (t.expand(len(scores), *t.shape[1:])[i, s : s + 1] for t in (spec.C, spec.d))
        above[i, s] = float_above(exact_rows(C, d, [Fraction(v) for v in scores[i].tolist()])[0])
    return torch.where(above.isfinite(), above, torch.inf)


def _are_float32(points: Tensor) -> Tensor:
    """Which of the points (B, *shape) are float32 numbers, (B,) bool."""
    return (points == points.to(torch.float32).to(points.dtype)).flatten(1).all(1)


def _counterexample(network: Network, x: Tensor, number: int) -> PropertyCounterexample:
    return PropertyCounterexample(x=x.clone(), clause=number, scores=network(x.unsqueeze(0))[0])


def _all_agree(clause: Clause, x: Tensor, replays: Sequence[Replay]) -> bool:
    return all(_agrees(clause, replay(x.unsqueeze(0))[0]) for replay in replays)


def _agrees(clause: Clause, scores: Tensor) -> bool:
    value = clause.C @ scores.double() + clause.inner_d
    return bool(torch.where(clause.strict, value < 0, value <= 0).all())
