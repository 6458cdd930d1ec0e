"""The only place where a counterexample is made: by evaluating a candidate, never by believing whoever proposed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward
from verify.bounds.compute import node_bounds
from verify.network import Network
from verify.property import Clause, PropertyCounterexample
from verify.region import Box, box
from verify.specification import Query
from verify.verdict import Counterexample

Replay: TypeAlias = Callable[[Tensor], Tensor]
"""Another runtime's outputs: points (N, *shape) float64 -> scores (N, n_out)."""


def margins_at(query: Query, x: Tensor) -> tuple[Tensor, Tensor]:
    """Rigorous lower and upper bounds, (B, S) each, of the margins at the points ``x`` (B, *shape), in real arithmetic.

    Recomputed by interval arithmetic over the point, so ``lower <= margin <= upper`` holds exactly; nothing is trusted.
    """
    at = replace(query, region=box(x, x))
    bounds = node_bounds(query.network, at.region)
    last, spec = len(query.network.nodes) - 1, query.specification
    below = backward(query.network, at.region, bounds, Rows(last, spec.C, spec.d), None)
    above = backward(query.network, at.region, bounds, Rows(last, -spec.C, -spec.d), None)
    return below, -above


def upper_margins(query: Query, candidates: Tensor) -> Tensor:
    """For points (B, *shape): the margin at each that lies inside its region exactly, rounded up; +inf elsewhere. (B, S)."""
    inside = query.region.contains(candidates)
    _, above = margins_at(query, candidates)
    return torch.where(inside.unsqueeze(1), above, torch.full_like(above, torch.inf))


def confirm(query: Query, candidates: Tensor) -> list[Counterexample | None]:
    """For each input, the counterexample that its candidate (B, *shape) is, or None.

    A candidate counts only if it is inside the region exactly and some margin is at most 0 in real arithmetic, with
    every rounding error of the evaluation counted against it. The margin that torch gets in float32 is recorded too.
    """
    above = upper_margins(query, candidates)
    worst, row = above.min(dim=1)
    small = query.network.to(dtype=torch.float32)(candidates.to(torch.float32))
    scores = query.network(candidates)
    found: list[Counterexample | None] = []
    for i in range(len(candidates)):
        if not bool(worst[i] <= 0):
            found.append(None)
            continue
        spec = query.specification.select(torch.tensor([i]))
        in_float32 = (spec.C[0].to(torch.float32) @ small[i] + spec.d[0].to(torch.float32)).min()
        found.append(
            Counterexample(
                x=candidates[i].clone(),
                target=int(spec.targets[0, row[i]]),
                predicted=int(scores[i].argmax()),
                margin=float(worst[i]),
                float32_margin=float(in_float32),
            )
        )
    return found


def representable(region: Box, x: Tensor) -> Tensor:
    """The points ``x`` (B, *shape) moved to float32 numbers inside the region, where there are any; else as they are.

    A counterexample in float32 is one that the deployed network can be given.
    """
    x = region.project(x)
    rounded = x.to(torch.float32)
    for end, towards in ((region.inner_lower, torch.inf), (region.inner_upper, -torch.inf)):
        beyond = rounded.double() < end if towards > 0 else rounded.double() > end
        step = torch.nextafter(rounded, torch.full_like(rounded, towards))
        rounded = torch.where(beyond, step, rounded)
    moved = rounded.double()
    fits = (region.inner_lower <= moved) & (moved <= region.inner_upper)
    return torch.where(fits, moved, x)


def confirm_clause(
    network: Network, clause: Clause, points: Tensor, *, number: int = 0, replays: Sequence[Replay] = ()
) -> PropertyCounterexample | None:
    """The first of the candidates (N, *shape) that satisfies ``clause``, which is the property's ``number``-th, or None.

    A candidate counts only if it is inside the region exactly, if every row is at most 0 (below 0 where strict) in real
    arithmetic with every rounding error counted against it, and if every runtime of ``replays`` agrees.
    """
    region = clause.region.select(torch.zeros(len(points), dtype=torch.long))
    inside = region.contains(points)
    at = box(points, points)
    rows = Rows(len(network.nodes) - 1, -clause.C.unsqueeze(0), -clause.inner_d.unsqueeze(0))
    above = -backward(network, at, node_bounds(network, at), rows, None)
    holds = torch.where(clause.strict, above < 0, above <= 0).all(1) & inside
    for i in holds.nonzero().flatten().tolist():
        point = points[i : i + 1]
        if all(_agrees(clause, replay(point)[0]) for replay in replays):
            return PropertyCounterexample(x=point[0].clone(), clause=number, scores=network(point)[0])
    return None


def _agrees(clause: Clause, scores: Tensor) -> bool:
    value = clause.C @ scores.double() + clause.inner_d
    return bool(torch.where(clause.strict, value < 0, value <= 0).all())
