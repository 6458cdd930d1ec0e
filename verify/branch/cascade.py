"""From a region and its clauses to a decision: the cheapest bound first, each stage only on the clauses still open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from verify.bounds.climb import Ascent
from verify.bounds.compute import Scope, Tightener, by_slopes, fixed_lines, node_bounds, spec_bounds
from verify.bounds.nouns import Bounds
from verify.bounds.optimise import by_ascent
from verify.bounds.tighten import progressive
from verify.branch.bounding import bound, mixed_rows
from verify.branch.domains import Domains
from verify.branch.outcome import Limits, Outcome
from verify.branch.problem import Problem, problem_of
from verify.branch.relu import Confirm, Effort, by_relu_splits, first_domains
from verify.branch.rules import ranked
from verify.branch.tighten import tightened
from verify.network import Network
from verify.property import Clause
from verify.verdict import Verdict

GAIN = 0.03  # a round of tightening that closes less of the worst gap than this is the last one
ROUNDS = 40


def decide_region(
    network: Network, clauses: Sequence[Clause], limits: Limits, confirm: Confirm, effort: Effort
) -> Outcome:
    """Is some clause satisfied by an x of the region that all of ``clauses`` share?

    CROWN; alpha-CROWN with optimised pre-activation bounds; tightening with the clause as a constraint; branch and bound.
    Recomputed: every bound, in float64 with its rounding. Trusted: nothing.
    """
    region = clauses[0].region
    for bounds in _ladder(network, clauses, limits):
        problem = problem_of(network, region, bounds, clauses)
        lower = _quick(problem, bounds)
        clauses_open = (lower <= 0).nonzero().squeeze(1)
        if not len(clauses_open):
            return Outcome(Verdict.VERIFIED, domains=len(clauses))
        if limits.left() <= 0:
            return Outcome(Verdict.UNKNOWN, reason="timeout", domains=len(clauses))
    domains = first_domains(problem)
    domains = domains.select(clauses_open)
    search, count = problem.to_search(), len(clauses)
    late = limits.deadline
    gap = None
    for rounds in range(ROUNDS):
        found = bound(problem, search, domains, Ascent(steps=40, rate=0.25 if gap is None else 0.1, deadline=late))
        count += len(domains)
        open_ = found.domains.lower <= 0
        witness = confirm(found.points[open_], domains.clause[open_])
        if witness is not None:
            return Outcome(Verdict.FALSIFIED, witness, domains=count)
        ready = ranked(problem, found, effort.choices)
        domains = ready.select(open_)
        if not len(domains):
            return Outcome(Verdict.VERIFIED, domains=count)
        if limits.left() <= 0:
            return Outcome(Verdict.UNKNOWN, reason="timeout", domains=count)
        now = float(domains.lower.sum())
        if gap is not None and now < gap * (1.0 - GAIN):
            break
        gap = now
        order = list(problem.columns.index)[::-1]
        domains = tightened(problem, search, domains, Ascent(steps=20, deadline=late), order=order)
    outcome = by_relu_splits(problem, domains, limits, confirm, effort)
    return replace(outcome, domains=outcome.domains + count)


def _ladder(network: Network, clauses: Sequence[Clause], limits: Limits):  # type: ignore[no-untyped-def]
    """Bounds of every node by dearer and dearer methods."""
    region = clauses[0].region
    crown = progressive(by_slopes("dual"), by_slopes("crown"))
    yield node_bounds(network, region, crown, source="crown")
    ascent = Ascent(steps=20, deadline=limits.deadline)
    alpha = progressive(by_slopes("dual"), by_slopes("crown"), by_ascent(ascent))
    yield node_bounds(network, region, alpha, source="alpha")


def _quick(problem: Problem, bounds: Bounds) -> Tensor:
    """Each clause's best row by CROWN, (K,)."""
    K, J = problem.rows.shape
    each = torch.eye(J, dtype=torch.float64).expand(K, J, J)
    rows = mixed_rows(problem, torch.arange(K), each, {})
    flat = replace(
        rows,
        coefficient=rows.coefficient.flatten(0, 1).unsqueeze(0),
        constant=rows.constant.flatten(0, 1).unsqueeze(0),
    )
    lower = spec_bounds(problem.network, problem.region, bounds, flat, fixed_lines(bounds, "crown"))
    return torch.where(problem.rows, lower.reshape(K, J), -torch.inf).amax(1)
