"""ReLU branch and bound: domains split neuron by neuron until each is empty of counterexamples, or one is found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.bounds.climb import Ascent
from verify.branch.bounding import bound
from verify.branch.domains import Domains, joined, split
from verify.branch.outcome import Limits, Outcome
from verify.branch.problem import Problem
from verify.branch.rules import ranked, tried
from verify.branch.tighten import tightened
from verify.property import PropertyCounterexample
from verify.verdict import Verdict

Confirm = Callable[[Tensor, Tensor], PropertyCounterexample | None]
"""Points (N, *shape) and the clause (N,) that each may satisfy -> a counterexample, if one is."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How the search spends its time; the defaults suit everybody."""

    steps: int = 20
    rate: float = 0.1
    choices: int = 4  # columns tried before a split
    batch_bytes: int = 128 * 2**20  # what the coefficients of one batch may take
    most: int = 512  # domains in one batch
    tighten_every: int = 4  # splits between two tightenings of all intervals
    tighten_steps: int = 10


@dataclass
class _Search:
    """One run: the pool of open domains and what has happened. Local to one call."""

    problem: Problem
    copy: Problem
    limits: Limits
    confirm: Confirm
    effort: Effort
    done: int = 0
    stuck: bool = False

    @property
    def ascent(self) -> Ascent:
        return Ascent(steps=self.effort.steps, rate=self.effort.rate, decay=0.97, deadline=self.limits.deadline)


def by_relu_splits(problem: Problem, start: Domains, limits: Limits, confirm: Confirm, effort: Effort) -> Outcome:
    """Decide every clause of the problem from the domains ``start``, which together hold all of its counterexamples.

    VERIFIED: every domain was left without any, by recomputed bounds. FALSIFIED: a point was confirmed. UNKNOWN:
    ``timeout``, ``memory``, or ``leaf`` (a domain without unstable neurons that no bound decided).
    """
    search = _Search(problem, problem.to_search(), limits, confirm, effort)
    widest = sum(math.prod(node.shape) for node in problem.network.nodes)
    size = max(1, min(effort.most, effort.batch_bytes // (8 * widest)))
    pool = start.select(start.lower <= 0)
    while len(pool):
        if limits.left() <= 0:
            return Outcome(Verdict.UNKNOWN, reason="timeout", domains=search.done)
        if len(pool) * pool.bytes_each() > limits.memory_bytes:
            return Outcome(Verdict.UNKNOWN, reason="memory", domains=search.done)
        order = pool.lower.argsort()
        now, pool = pool.select(order[:size]), pool.select(order[size:])
        left, witness = _branched(search, now)
        if witness is not None:
            return Outcome(Verdict.FALSIFIED, witness, domains=search.done)
        pool = joined([pool, left])
    if search.stuck:
        return Outcome(Verdict.UNKNOWN, reason="leaf", domains=search.done)
    return Outcome(Verdict.VERIFIED, domains=search.done)


def _branched(search: _Search, domains: Domains) -> tuple[Domains, PropertyCounterexample | None]:
    """What is left open of the halves of ``domains``, or a counterexample."""
    problem, effort = search.problem, search.effort
    halves = split(domains, tried(search.copy, domains))
    left, witness = _bounded(search, halves)
    depth = (left.phase != 0).sum(1)
    again = depth % effort.tighten_every == 0
    if witness is None and bool(again.any()):
        ascent = Ascent(steps=effort.tighten_steps, deadline=search.limits.deadline)
        order = list(problem.columns.index)[::-1]
        tighter = tightened(problem, search.copy, left.select(again), ascent, order=order)
        tighter, witness = _bounded(search, tighter)
        left = joined([left.select(~again), tighter])
    return left, witness


def _bounded(search: _Search, domains: Domains) -> tuple[Domains, PropertyCounterexample | None]:
    """Those of ``domains`` that stay open with their new bounds, and a counterexample if their forms point at one."""
    search.done += len(domains)
    found = bound(search.problem, search.copy, domains, search.ascent)
    open_ = found.domains.lower <= 0
    witness = search.confirm(found.points[open_], domains.clause[open_])
    left = ranked(search.problem, found, search.effort.choices).select(open_)
    leaf = left.choices[:, 0] < 0
    search.stuck |= bool(leaf.any())
    return left.select(~leaf), witness


def first_domains(problem: Problem) -> Domains:
    """One domain for each clause, which assumes nothing, with CROWN's slopes and all rows weighed alike."""
    count, columns = problem.count, problem.columns
    low, high = (columns.pack({r: getattr(p, end) for r, p in problem.bounds.pre.items()}) for end in ("lower", "upper"))
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
    )
