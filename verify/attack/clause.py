"""Candidates that may satisfy every row of a clause: sampling, descent and corner search, the cheapest first.

Everything here is a proposal in float32: only :mod:`verify.witness` says whether a candidate is a counterexample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from verify.attack.aim import Aim, aim, groups, is_round, slack
from verify.attack.corners import MOST, search_corners
from verify.attack.descent import descend, diversify
from verify.attack.pool import Pool
from verify.attack.sampling import draw, sample
from verify.attack.search import Search, quick
from verify.attack.zoom import zoom
from verify.network import Network
from verify.property import Clause
from verify.representable import representable

_FEW = 64
"""Inputs up to which random points are worth more than as starts; beyond, none of them comes near a decision boundary."""

_WALKERS = 4
"""Searches over corners for each clause; sixteen took three times as long on sat_relu and found nothing more."""

_NUMBERS = 2**26
"""Numbers that the nodes of all points descended at once may hold: 256 MiB in float32."""

_POLISH = 2.0**-6
"""First step of a polish, in units of the region's reach: a near miss lies close by."""


def candidates(network: Network, clauses: Sequence[Clause], search: Search | None = None) -> list[Tensor]:
    """For each clause, points (k, *shape) that may satisfy it, the most promising first; nothing is claimed.

    The points are float64, inside their region, and float32 numbers where the region has any; k <= ``search.keep``. The
    search (by default :func:`verify.attack.search.quick`) ends with the first stage after which some clause looks
    satisfied: one counterexample decides a property. Sampling; projected descent from the best samples; local search
    over corners; descent from output-diversified starts (Tashiro et al. 2020). The same seed gives the same points, as
    long as the deadline is not what ends the search.
    """
    search = _fitted(network, search or quick())
    numbers = sum(math.prod(node.shape) for node in network.nodes)
    generator = torch.Generator().manual_seed(search.seed)
    found: list[Tensor] = [torch.empty(0)] * len(clauses)
    done = False
    for group in groups(clauses, max(1, _NUMBERS // (numbers * search.starts))):
        target = aim(network, [clauses[k] for k in group])
        # Once a clause is satisfied, a glance at the others is enough for each to have its candidates.
        pool, reached = _search(target, _glance(search) if done else search, generator)
        done = done or reached
        for j, k in enumerate(group):
            found[k] = _finished(target, j, pool.points[j], search)
    return found


def refine(network: Network, clause: Clause, points: Tensor, search: Search | None = None) -> Tensor:
    """Like :func:`candidates` for one clause, from given ``points`` (N, *shape): relaxation solutions, old candidates.

    One descent of ``search.steps`` short steps, since the points are already good; they need not be in the region.
    """
    search = search or quick()
    target = aim(network, [clause])
    owner = torch.zeros(len(points), dtype=torch.long)
    x = target.region.select(owner).project(points.to(torch.float32))
    x, margin = descend(target, x, owner, search, rate=0.25)
    return _finished(target, 0, x[margin.argsort()[: search.keep]], search)


def _glance(search: Search) -> Search:
    return replace(search, samples=search.keep, rounds=0)


def _search(target: Aim, search: Search, generator: torch.Generator) -> tuple[Pool, bool]:
    """The best candidates of every clause, and whether some clause looks satisfied."""
    size = math.prod(target.network.input_shape)
    pool = sample(target, search.samples, generator, keep=_kept(search))
    corners = not is_round(target.region) and size <= MOST
    for number in range(search.rounds):
        if number == 0 and size <= _FEW and not _reached(target, pool):
            pool = _with(pool, *zoom(target, pool, search, generator), search)
        if _reached(target, pool) or search.late:
            break
        x, owner = _starts(target, pool, number, search, generator)
        pool = _with(pool, *descend(target, x, owner, search), search)
        if number == 0 and corners and search.flips and not _reached(target, pool):
            x, owner = _best_starts(target, pool, _WALKERS)
            pool = _with(pool, *search_corners(target, x, owner, search, generator), search)
    return pool, _reached(target, pool)


def _fitted(network: Network, search: Search) -> Search:
    """The schedule for this network: a crowd of starts in a few dimensions, no more points than memory holds."""
    numbers = sum(math.prod(node.shape) for node in network.nodes)
    most = max(2, _NUMBERS // numbers)
    few = math.prod(network.input_shape) <= _FEW
    starts = min(most, search.starts * (search.crowd if few else 1))
    return replace(search, starts=starts, samples=search.samples if few else min(search.samples, starts))


def _kept(search: Search) -> int:
    return max(search.keep, search.starts)


def _starts(target: Aim, pool: Pool, number: int, search: Search, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where the descent of a round begins, and for which clause.

    The best points so far (in the first round), random points and output-diversified ones. Each finds what the others
    miss: on mnist_fc the scores can be flat around the input, so that only diversified points lead anywhere; on ACAS Xu
    the best samples lie in the wide basins, and the counterexamples of two networks in a narrow one.
    """
    count = max(1, search.starts // 3)
    x, _ = _best_starts(target, pool, count if number == 0 else 0)
    fresh = draw(target.region, max(2, search.starts - (count if number == 0 else 0)), generator)
    mine = torch.arange(target.count).unsqueeze(1).expand(fresh.shape[:2])
    half = fresh.shape[1] // 2
    diverse = diversify(target, fresh[:, half:].flatten(0, 1), mine[:, half:].flatten(), generator)
    shape = (target.count, -1, *x.shape[1:])
    together = torch.cat([x.reshape(shape) if len(x) else fresh[:, :0], fresh[:, :half], diverse.reshape(shape)], 1)
    return together.flatten(0, 1), torch.arange(target.count).repeat_interleave(together.shape[1])


def _best_starts(target: Aim, pool: Pool, count: int) -> tuple[Tensor, Tensor]:
    x = pool.points[:, :count]
    return x.flatten(0, 1), torch.arange(target.count).repeat_interleave(x.shape[1])


def _with(pool: Pool, x: Tensor, margin: Tensor, search: Search) -> Pool:
    shape = (len(pool.points), -1)
    return pool.with_more(x.unflatten(0, shape), margin.unflatten(0, shape), _kept(search))


def _reached(target: Aim, pool: Pool) -> bool:
    owner = torch.arange(target.count).repeat_interleave(pool.margin.shape[1])
    return bool(target.reached(pool.points.flatten(0, 1), owner, pool.margin.flatten()).any())


def _finished(target: Aim, k: int, points: Tensor, search: Search) -> Tensor:
    """The points of clause ``k`` as they are handed out: inside the region, float32 numbers unless that spoils them.

    A near miss, missing by no more than float32's slack, is descended further in float64.
    """
    fine = target.fine
    assert fine is not None
    owner = torch.full((len(points),), k)
    region = fine.region.select(owner)
    scores = fine.network(points.double())
    if _near_miss(fine.rows(scores, owner).amax(1), slack(scores)):
        polished, _ = descend(fine, points.double(), owner, search, rate=_POLISH)
        points = torch.cat([points.double(), polished])
        owner, region = owner.repeat(2), fine.region.select(owner.repeat(2))
    inside = region.project(points.double())
    rounded = representable(region, inside)
    value = fine.rows(fine.network(rounded), owner).amax(1)
    spoiled = (value > 0) & (fine.rows(fine.network(inside), owner).amax(1) <= 0)
    ready = torch.where(spoiled.reshape(-1, *[1] * (inside.dim() - 1)), inside, rounded)
    value = torch.where(spoiled, 0.0, value)
    return ready[value.argsort(stable=True)[: search.keep]]


def _near_miss(worst: Tensor, slack: Tensor) -> bool:
    return bool((worst > 0).all()) and bool((worst <= 4.0 * slack).any())
