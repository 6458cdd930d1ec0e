"""What came of a gate: lines of evidence, thresholds held and missed, and what changed since the baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from verify.gate.policy import Check, Policy


class Status(str, Enum):
    """Of a threshold, a check or the gate."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"  # time was up before either was known


def worst(statuses: Sequence[Status]) -> Status:
    """Failed where one is failed, else undecided where one is, else passed."""
    for status in (Status.FAILED, Status.UNDECIDED):
        if status in statuses:
            return status
    return Status.PASSED


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is known of one input, and the evidence: the same network, data and policy give the same line again.

    ``question``: SHA-256 of the claim that a certificate would make, but for the network. ``state``: verified, falsified,
    unknown or error, with the ``reason`` of the last two. ``lower``: a lower bound of the smallest margin, at ``target``.
    ``evidence``: how ``verified`` is known (certified, recomputed, solver claim); ``certificate``, ``counterexample``: SHA-256 of
    the file in the cache of evidence.
    """

    index: int
    label: int
    question: str
    state: str
    predicted: int | None = None
    reason: str = ""
    evidence: str = ""
    lower: float | None = None
    target: int | None = None
    certificate: str | None = None
    counterexample: str | None = None

    @property
    def misclassified(self) -> bool:
        """Whether the input is wrong as it is."""
        return self.predicted is not None and self.predicted != self.label


@dataclass(frozen=True)
class Held:
    """One threshold: what was wanted and found, in words; ``slack``: by how much it holds, negative where it does not.

    ``inputs``: the indices that stand in its way, as far as it is about single inputs.
    """

    name: str
    status: Status
    wanted: str
    found: str
    slack: float
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Change:
    """An input that is verified now or was in the baseline, but not both: ``before`` and ``now`` are states."""

    index: int
    before: str
    now: str

    @property
    def lost(self) -> bool:
        """Whether the input lost its certificate; else it gained one."""
        return self.before == "verified"


@dataclass(frozen=True)
class RadiusChange:
    """The largest epsilon of the policy's checks at which an input is verified, before and now; None: at no one."""

    model: str
    index: int
    before: str | None
    now: str | None
    shrunk: bool


@dataclass(frozen=True, kw_only=True)
class CheckOutcome:
    """One check. ``network``: its identity; ``sources``: how many answers came from cache, transfer, baseline and fresh work.

    ``changes`` since the baseline: None where there is none. ``notes``: what was noticed, such as evidence that was rejected.
    """

    check: Check
    network: str
    lines: tuple[Line, ...]
    thresholds: tuple[Held, ...]
    sources: Counter[str]
    changes: tuple[Change, ...] | None
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """The worst of its thresholds."""
        return worst([held.status for held in self.thresholds])

    @property
    def states(self) -> Counter[str]:
        """How many inputs are verified, falsified, unknown, error."""
        return Counter(line.state for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class GateOutcome:
    """The whole gate. ``versions``: of what computed; ``baseline``: the file compared with."""

    policy: Policy
    checks: tuple[CheckOutcome, ...]
    radii: tuple[RadiusChange, ...]
    baseline: str | None
    versions: dict[str, Any]
    seconds: float

    @property
    def status(self) -> Status:
        """The worst of the checks; an undecided threshold fails where the policy says so."""
        found = worst([check.status for check in self.checks])
        return Status.FAILED if found is Status.UNDECIDED and self.policy.undecided == "fail" else found

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 3 undecided; 2 is misuse, which is an error and no outcome."""
        return {Status.PASSED: 0, Status.FAILED: 1, Status.UNDECIDED: 3}[self.status]
