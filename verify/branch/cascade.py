"""From a region and its clauses to a decision: the cheapest bound first, each stage only on the clauses still open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds, spec_bounds
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
from verify.property import Clause, PropertyCounterexample
from verify.verdict import Verdict

GAIN = 0.03  # a round of tightening that closes less of the worst gap than this is the last one
ROUNDS = 40
QUICK = 1500.0  # work for each clause in the quick search: some thirty domains


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
    domains = first_domains(problem).select(clauses_open)
    quick = replace(effort, work=QUICK * len(domains), share=0.0)
    return _branched(problem, domains, limits, confirm, (quick, effort))


def _branched(
    problem: Problem, domains: Domains, limits: Limits, confirm: Confirm, efforts: tuple[Effort, Effort]
) -> Outcome:
    """A quick search, which decides most clauses that are nearly decided; then intervals tightened, then the long one."""
    search, quick, bounded = problem.to_search(), efforts[0], len(domains)
    ascent = Ascent(steps=40, rate=0.25, deadline=limits.deadline)
    domains, witness = _rooted(problem, search, domains, ascent, confirm)
    if witness is None and len(domains):
        first = by_relu_splits(problem, domains, limits, confirm, quick)
        bounded, witness = bounded + first.bounded, first.counterexample
        domains = domains.select(torch.isin(domains.clause, first.open.clause))
    for _ in range(ROUNDS):
        if witness is not None or not len(domains) or limits.left() <= 0:
            break
        before = domains
        domains = tightened(problem, search, domains, Ascent(steps=20, deadline=limits.deadline))
        domains, witness = _rooted(problem, search, domains, replace(ascent, rate=0.1), confirm)
        bounded += len(before)
        if len(domains) == len(before) and bool((domains.lower < (1.0 - GAIN) * before.lower).all()):
            break
    reason = "timeout" if len(domains) else ""
    if witness is None and len(domains) and limits.left() > 0:
        rest = by_relu_splits(problem, domains, limits, confirm, efforts[1])
        bounded, witness, reason = bounded + rest.bounded, rest.counterexample, rest.reason
    if witness is not None:
        return Outcome(Verdict.FALSIFIED, witness, domains=bounded)
    return Outcome(Verdict.UNKNOWN if reason else Verdict.VERIFIED, reason=reason, domains=bounded)


def _rooted(
    problem: Problem, search: Problem, domains: Domains, ascent: Ascent, confirm: Confirm
) -> tuple[Domains, PropertyCounterexample | None]:
    """The domains that stay open with longer optimised bounds, and a counterexample that the bounding forms point at."""
    found = bound(problem, search, domains, ascent)
    left = ranked(problem, found, Effort().choices)
    open_ = left.lower <= 0
    return left.select(open_), confirm(found.points[open_], left.clause[open_])


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
