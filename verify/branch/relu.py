"""ReLU branch and bound: domains split neuron by neuron until each is empty of counterexamples, or one is found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.climb import Ascent
from verify.branch.bounding import bound
from verify.branch.domains import Domains, halved, joined
from verify.branch.outcome import Limits
from verify.branch.pool import Pool
from verify.branch.problem import Problem
from verify.branch.rules import ranked, tried
from verify.branch.tighten import tightened
from verify.property import PropertyCounterexample

Confirm = Callable[[Tensor, Tensor], PropertyCounterexample | None]
"""Points (N, *shape) and the clause (N,) that each may satisfy -> a counterexample, if one is."""

COPIES = 3  # of the pool, at most, that live at once: the caller's, the search's, and one that is being put together
STALE = 3  # a domain is worth tightening again after so many splits


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How the search spends its time; the defaults suit everybody.

    Work is counted in steps of one row (a form) through the network, so that what is done does not depend on the clock.
    """

    steps: int = 20
    rate: float = 0.1
    choices: int = 24  # columns that a domain remembers as promising, whose intervals are tightened
    trials: int = 4  # of which so many are tried before a split
    batch_bytes: int = 128 * 2**20  # what the coefficients of one batch may take
    most: int = 512  # domains in one batch
    tighten_steps: int = 10
    share: float = 1.0  # work on tightening intervals, in units of the work on splitting
    work: float = math.inf  # after which the search hands back what is open


@dataclass(frozen=True)
class Branched:
    """What a search leaves: the domains still open (none: every clause was decided), and a counterexample if one was met.

    ``reason`` says why domains are open: ``timeout``, ``memory``, ``work``, or ``leaf`` (domains without unstable neurons that
    not even a linear program decided: their margin is zero up to rounding). ``bounded``: how many
    domains were; ``splits`` (K,): how many were split, by clause; ``work``: what that took (see :class:`Effort`).
    """

    open: Domains
    counterexample: PropertyCounterexample | None
    reason: str
    bounded: int
    splits: Tensor
    work: float


@dataclass
class _Search:
    """One run: what has happened so far. Local to one call."""

    problem: Problem
    copy: Problem
    limits: Limits
    confirm: Confirm
    effort: Effort
    leaves: list[Domains]
    interrupted: Callable[[], bool]
    splits: Tensor
    bounded: int = 0
    splitting: float = 0.0
    tightening: float = 0.0
    witness: PropertyCounterexample | None = None


def by_relu_splits(
    problem: Problem,
    start: Domains,
    limits: Limits,
    confirm: Confirm,
    effort: Effort,
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> Branched:
    """Decide the domains ``start``: split, bound, drop what is empty of counterexamples, until nothing or a point is left.

    Recomputed: every bound by which a domain is dropped. Best first: the domains with the lowest bounds are split next.
    Every so often the intervals of the worst domains are tightened instead. ``interrupted`` is asked between batches, and
    ends the search as the end of its ``work`` does.
    """
    search = _Search(problem, problem.to_search(), limits, confirm, effort, [], interrupted, torch.zeros(problem.count))
    widest = sum(math.prod(node.shape) for node in problem.network.nodes)
    size = max(1, min(effort.most, effort.batch_bytes // (8 * widest)))
    pool, reason = Pool(_without_leaves(search, start.where(~(start.lower > 0)))), ""
    while len(pool) and search.witness is None and not reason:
        order = pool.column("lower").argsort(stable=True)
        due = _due(search, pool, order)
        if len(due):
            pool.add(_tightened(search, pool.take(due)))
        else:
            pool.add(_halved(search, pool.take(order[:size])))
        reason = _stopped(search, pool)
    open_ = pool.all()
    open_ = joined([open_, *search.leaves]) if search.leaves else open_
    if len(open_) and not reason:
        reason = "leaf"
    return Branched(open_, search.witness, reason, search.bounded, search.splits, search.splitting + search.tightening)


def _stopped(search: _Search, pool: Pool) -> str:
    if search.limits.left() <= 0:
        return "timeout"
    if len(pool) and COPIES * pool.bytes() > search.limits.memory_bytes:
        return "memory"
    return "work" if search.splitting + search.tightening > search.effort.work or search.interrupted() else ""


def _due(search: _Search, pool: Pool, order: Tensor) -> Tensor:
    """Positions of the domains whose intervals are to be tightened now: the worst stale ones that the share allows."""
    credit = search.effort.share * search.splitting - search.tightening
    if credit <= 0:
        return order[:0]
    stale = order[pool.column("stale")[order] >= STALE]
    if not len(stale):
        return stale
    cost = (2.0 * search.effort.tighten_steps * (pool.column("choices")[stale] >= 0).sum(1)).cumsum(0)
    return stale[: max(1, int((cost <= credit).sum()))]


def _halved(search: _Search, domains: Domains) -> Domains:
    """What stays open of the halves of ``domains``."""
    columns = tried(search.copy, domains, search.effort.trials, search.limits)
    if search.limits.left() <= 0:
        return domains  # bounding the halves takes longer than looking at them
    halves = halved(search.problem, domains, columns)
    search.splits += torch.bincount(domains.clause, minlength=search.problem.count)
    search.splitting += len(halves) * (search.effort.steps + search.effort.trials)
    return _bounded(search, halves)


def _tightened(search: _Search, domains: Domains) -> Domains:
    """The domains with tighter intervals, those that stay open; worth another round where it gained much."""
    steps, before = search.effort.tighten_steps, domains.lower
    search.tightening += float(2.0 * steps * (domains.choices >= 0).sum())
    ascent = Ascent(steps=steps, deadline=search.limits.deadline)
    tighter = tightened(search.problem, search.copy, domains, ascent, chosen=True)
    return _bounded(search, replace(tighter, stale=torch.zeros_like(tighter.stale)), before)


def _bounded(search: _Search, domains: Domains, before: Tensor | None = None) -> Domains:
    """Those of ``domains`` that stay open with their new bounds. Notes leaves and counterexamples in ``search``."""
    effort = search.effort
    search.bounded += len(domains)
    ascent = Ascent(steps=effort.steps, rate=effort.rate, decay=0.97, deadline=search.limits.deadline)
    found = bound(search.problem, search.copy, domains, ascent)
    open_ = ~(found.domains.lower > 0)  # not "<= 0": a NaN must stay open
    search.witness = search.confirm(found.points[open_], domains.clause[open_])
    left = ranked(search.problem, found, effort.choices)
    if before is not None:
        gained = left.lower > 0.9 * before
        left = replace(left, stale=torch.where(gained, STALE, left.stale))
    return _without_leaves(search, left.select(open_))


def _without_leaves(search: _Search, domains: Domains) -> Domains:
    """Those of the domains that can be split; the others are settled, or noted as leaves."""
    leaf = domains.choices[:, 0] < 0
    if bool(leaf.any()) and search.witness is None:
        stuck, search.witness = leaves_settled(search.problem, domains.select(leaf), search.limits, search.confirm)
        search.leaves += [stuck] if len(stuck) else []
    return domains.where(~leaf)


def leaves_settled(
    problem: Problem, leaves: Domains, limits: Limits, confirm: Confirm
) -> tuple[Domains, PropertyCounterexample | None]:
    """The domains without unstable neurons that not even their linear program decides, and a counterexample if one is."""
    from verify.branch.leaf import settled  # brings the solvers, which few searches need

    stuck, points = settled(problem, leaves, limits)
    stays = ~(stuck.lower > 0)
    return stuck.select(stays), confirm(points[stays], stuck.clause[stays])


def first_domains(problem: Problem) -> Domains:
    """One domain for each clause, which assumes nothing, with CROWN's slopes and all rows weighed alike."""
    count, columns = problem.count, problem.columns
    low = high = torch.zeros(count, 0, dtype=torch.float64)
    if columns.count:
        low = columns.pack({r: p.lower for r, p in problem.bounds.pre.items()})
        high = columns.pack({r: p.upper for r, p in problem.bounds.pre.items()})
    return Domains(
        clause=torch.arange(count),
        phase=torch.zeros(count, columns.count, dtype=torch.int8),
        low=low,
        high=high,
        alpha=(high >= -low).float(),
        beta=torch.zeros(count, columns.count),
        mix=problem.rows.float() / problem.rows.sum(1, keepdim=True),
        lower=torch.full((count,), -torch.inf, dtype=torch.float64),
        choices=torch.full((count, 1), -1),
        stale=torch.full((count,), STALE),
        pull=torch.zeros(count, columns.count),
        part=torch.arange(count) if problem.tree is None else problem.tree.begin(count),
    )
