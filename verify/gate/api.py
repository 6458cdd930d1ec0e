"""``verify.gate``: every check of a policy answered, judged, and compared with the baseline."""

from __future__ import annotations

import time
from pathlib import Path

import verify
from verify.gate.answers import Answers, Asked, answer, read_asked
from verify.gate.compare import Comparison, compared, radius_changes
from verify.gate.evidence import Evidence
from verify.gate.ledger import Account, Ledger, read_ledger
from verify.gate.outcome import CheckOutcome, GateOutcome
from verify.gate.policy import Policy
from verify.gate.thresholds import COMPARING, Facts, judged


def gate(policy: Policy, *, baseline: str | Path | None = None, workers: int = 1) -> GateOutcome:
    """Answer every check, from kept evidence where it holds up and afresh otherwise, and say which thresholds hold.

    ``baseline``: a ledger to compare with, instead of the policy's. New evidence goes into the policy's cache. Everything a policy
    names is loaded before anything is computed, so misuse is said at once: UsageError or LoadError.
    """
    begun = time.perf_counter()
    end = None if policy.budget is None else begun + policy.budget
    file = policy.baseline if baseline is None else Path(baseline)
    ledger = None if file is None else read_ledger(file)
    evidence = None if policy.cache is None else Evidence(policy.cache)
    asked = [read_asked(check, policy.file.parent) for check in policy.checks]
    accounts = [_account(one, ledger) for one in asked]
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


def _account(asked: Asked, ledger: Ledger | None) -> Account | None:
    """What the baseline knows of a check. Raises UsageError where a threshold needs a baseline and there is none."""
    if ledger is not None:
        return ledger.account(asked.check)
    wanted = asked.check.thresholds
    if needs := [name for name in COMPARING if getattr(wanted, name) is not None]:
        raise verify.UsageError(
            f"check {asked.check.name!r} has the threshold {needs[0]}, which compares with a baseline, and there is none: "
            'say baseline = "ledger.json" in the policy, or --baseline'
        )
    return None


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
