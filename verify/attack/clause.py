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
from verify.attack.zoom import PARENTS, zoom
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
    generator = torch.Generator().manual_seed(search.seed)
    found: list[Tensor] = [torch.empty(0)] * len(clauses)
    done = False
    for group in groups(clauses, _at_once(network, search)):
        target = aim(network, [clauses[k] for k in group])
        # Once a clause is satisfied, a glance at the others is enough for each to have its candidates.
        pool, reached = _search(target, _glance(search) if done or search.late else search, generator)
        done = done or reached
        for j, k in enumerate(group):
            found[k] = _finished(target, j, pool.points[j, : 2 * search.keep], search)
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
            x, owner = _flat(pool.points[:, :_WALKERS])
            pool = _with(pool, *search_corners(target, x, owner, search, generator), search)
    return pool, _reached(target, pool)


def _fitted(network: Network, search: Search) -> Search:
    """The schedule for this network: a crowd of starts in a few dimensions, no more points than memory holds."""
    few = math.prod(network.input_shape) <= _FEW
    starts = min(search.starts * (search.crowd if few else 1), max(2, _NUMBERS // _numbers(network)))
    return replace(search, starts=starts, samples=search.samples if few else min(search.samples, starts))


def _at_once(network: Network, search: Search) -> int:
    """How many clauses are searched at once."""
    size = math.prod(network.input_shape)
    points = max(search.starts, PARENTS * search.scatter if size <= _FEW else 0, _WALKERS * size if size <= MOST else 0)
    return max(1, _NUMBERS // (_numbers(network) * points))


def _numbers(network: Network) -> int:
    return sum(math.prod(node.shape) for node in network.nodes)


def _kept(search: Search) -> int:
    return max(search.keep, search.starts)


def _starts(target: Aim, pool: Pool, number: int, search: Search, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where the descent of a round begins, and for which clause.

    The best points so far (in the first round), random points and output-diversified ones. Each finds what the others
    miss: on mnist_fc the scores can be flat around the input, so that only diversified points lead anywhere; on ACAS Xu
    the best samples lie in the wide basins, and the counterexamples of two networks in a narrow one.
    """
    known = pool.points[:, : search.starts // 3 if number == 0 else 0]
    fresh = draw(target.region, max(2, search.starts - known.shape[1]), generator)
    plain, varied = fresh.tensor_split(2, dim=1)
    owner = torch.arange(target.count).repeat_interleave(varied.shape[1])
    varied = diversify(target, varied.flatten(0, 1), owner, generator).reshape(varied.shape)
    return _flat(torch.cat([known, plain, varied], 1))


def _flat(points: Tensor) -> tuple[Tensor, Tensor]:
    """Points (K, k, *shape) as (K k, *shape), and the clause of each."""
    return points.flatten(0, 1), torch.arange(len(points)).repeat_interleave(points.shape[1])


def _with(pool: Pool, x: Tensor, margin: Tensor, search: Search) -> Pool:
    shape = (len(pool.points), -1)
    return pool.with_more(x.unflatten(0, shape), margin.unflatten(0, shape), _kept(search))


def _reached(target: Aim, pool: Pool) -> bool:
    return bool(target.reached(*_flat(pool.points), pool.margin.flatten()).any())


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
