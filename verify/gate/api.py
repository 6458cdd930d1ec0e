"""``verify.gate``: every check of a policy answered, judged, and compared with the baseline."""

from __future__ import annotations

import time
from pathlib import Path

import verify
from verify.gate.answers import Answers, Asked, answer, read_asked
from verify.gate.compare import Comparison, compared, radius_changes
from verify.gate.evidence import Evidence
from verify.gate.ledger import Account, read_ledger
from verify.gate.outcome import CheckOutcome, GateOutcome
from verify.gate.policy import Policy
from verify.gate.thresholds import COMPARING, Facts, judged


def gate(policy: Policy, *, baseline: str | Path | None = None, compare: bool = True, workers: int = 1) -> GateOutcome:
    """Answer every check, from kept evidence where it holds up and afresh otherwise, and say which thresholds hold.

    ``baseline``: a ledger to compare with, instead of the policy's; ``compare=False``: with none, to sign off a first one. New
    evidence goes into the policy's cache. Everything that a policy names is loaded before anything is computed, so that misuse
    is said at once: UsageError or LoadError.
    """
    begun = time.perf_counter()
    end = None if policy.budget is None else begun + policy.budget
    named = policy.baseline if baseline is None else Path(baseline)
    file = named if compare else None
    ledger = None if file is None else read_ledger(file)
    evidence = None if policy.cache is None else Evidence(policy.cache)
    asked = [read_asked(check, policy.file.parent) for check in policy.checks]
    accounts = [None if ledger is None else ledger.account(check) for check in policy.checks]
    if ledger is None and compare:
        _refuse_comparing(policy)
    outcomes = []
    for one, before in zip(asked, accounts, strict=True):
        started = time.perf_counter()
        found = answer(one, evidence, before, end=end, workers=workers)
        outcomes.append(_outcome(one, found, before, time.perf_counter() - started))
    pairs = [(outcome.check, outcome.lines) for outcome in outcomes]
    return GateOutcome(
        policy=policy,
        checks=tuple(outcomes),
        radii=() if ledger is None else radius_changes(pairs, ledger),
        baseline=None if file is None else str(file),
        versions=verify.versions(),
        seconds=time.perf_counter() - begun,
    )


def _refuse_comparing(policy: Policy) -> None:
    """Raise UsageError where a threshold needs a baseline."""
    for check in policy.checks:
        if needs := [name for name in COMPARING if getattr(check.thresholds, name) is not None]:
            raise verify.UsageError(
                f"check {check.name!r} has the threshold {needs[0]}, which compares with a baseline, and there is none: "
                'say baseline = "ledger.json" in the policy, or --baseline; --no-baseline signs off a first one'
            )


def _outcome(asked: Asked, found: Answers, before: Account | None, seconds: float) -> CheckOutcome:
    lines = tuple(found.lines[place] for place in range(len(asked.index)))
    network = asked.claims[0].identity
    beside: Comparison | None = None if before is None else compared(lines, network, before)
    return CheckOutcome(
        check=asked.check,
        network=network,
        lines=lines,
        thresholds=judged(asked.check.thresholds, Facts(lines, beside, found.rejected)),
        sources=found.sources,
        changes=None if beside is None else beside.changes,
        seconds=seconds,
        notes=(*found.rejected, *found.notes),
    )
