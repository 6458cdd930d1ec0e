"""``verify.decide``: the question of a property, clause by clause, from the cheapest method to the complete ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from verify.attack.clause import candidates
from verify.attack.search import quick
from verify.bounds.backward import Rows
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds, spec_bounds
from verify.branch.outcome import Limits, Outcome
from verify.network import Network
from verify.property import Clause, Property, PropertyCounterexample
from verify.verdict import Verdict
from verify.witness import Replay, confirm_clause


@dataclass(frozen=True)
class Decision:
    """The answer about a property. VERIFIED: it holds. FALSIFIED: ``counterexample`` breaks it. UNKNOWN: ``reason`` says why."""

    verdict: Verdict
    counterexample: PropertyCounterexample | None
    reason: str
    domains: int
    seconds: float


def decide(
    network: Network,
    prop: Property,
    *,
    timeout: float | None = None,
    seed: int = 0,
    replays: Sequence[Replay] = (),
) -> Decision:
    """Does the property hold? Complete but for the time limit (seconds), which ends the search UNKNOWN.

    Recomputed: every bound that verifies, in float64 with its rounding; every counterexample is evaluated exactly and by
    every runtime of ``replays``. Trusted: nothing.
    """
    start = time.perf_counter()
    limits = Limits(deadline=None if timeout is None else start + timeout, seed=seed)
    domains, reason = 0, ""
    attacked = candidates(network, prop.clauses, quick(seed=seed, deadline=limits.deadline))
    for k, (clause, points) in enumerate(zip(prop.clauses, attacked, strict=True)):
        found = confirm_clause(network, clause, points, number=k, replays=replays)
        if found is not None:
            return Decision(Verdict.FALSIFIED, found, "", domains, time.perf_counter() - start)
    for clause in prop.clauses:
        outcome = _clause(network, clause)
        domains += outcome.domains
        if outcome.verdict is Verdict.UNKNOWN:
            reason = outcome.reason
    verdict = Verdict.UNKNOWN if reason else Verdict.VERIFIED
    return Decision(verdict, None, reason, domains, time.perf_counter() - start)


def _clause(network: Network, clause: Clause) -> Outcome:
    bounds = node_bounds(network, clause.region, by_slopes("crown"), source="crown")
    rows = Rows(len(network.nodes) - 1, clause.C.unsqueeze(0), clause.d.unsqueeze(0))
    lower = spec_bounds(network, clause.region, bounds, rows, fixed_lines(bounds, "crown"))
    if len(clause.d) and bool((lower > 0).any()):
        return Outcome(Verdict.VERIFIED, domains=1)
    return Outcome(Verdict.UNKNOWN, reason="incomplete method", domains=1)
