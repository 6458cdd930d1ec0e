"""Where a run stands: counts, the errors of the network so far with their bracket, and the time that is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from verify.dataset.record import Record


@dataclass(frozen=True)
class Tally:
    """Counts over the records of a run of ``total`` inputs."""

    total: int
    states: Counter[str]
    misclassified: int
    reasons: Counter[str]  # of unknown inputs
    stages: Counter[str]  # which settled them, unknown ones left out

    @property
    def done(self) -> int:
        """Inputs with a record."""
        return sum(self.states.values())

    @property
    def clean_error(self) -> float:
        """Share of all inputs that are known to be misclassified as they are."""
        return self.misclassified / self.total

    @property
    def attacked_error(self) -> float:
        """Share of all inputs with a counterexample so far: the true error under attack is at least this, at any time."""
        return self.states["falsified"] / self.total

    @property
    def certified_error(self) -> float:
        """Share of all inputs that are not verified so far: the true error under attack is at most this, at any time."""
        return 1.0 - self.states["verified"] / self.total

    def plus(self, records: Iterable[Record]) -> Tally:
        """The counts with ``records`` that were not among them."""
        states, reasons, stages = self.states.copy(), self.reasons.copy(), self.stages.copy()
        misclassified = self.misclassified
        for record in records:
            states[record.state] += 1
            misclassified += record.misclassified
            if record.state == "unknown":
                reasons[record.reason] += 1
            elif record.state != "error":
                stages[record.stage] += 1
        return Tally(self.total, states, misclassified, reasons, stages)


def tally(records: Iterable[Record], total: int) -> Tally:
    """The counts over ``records``."""
    return Tally(total, Counter(), 0, Counter(), Counter()).plus(records)


@dataclass(frozen=True)
class Progress:
    """What a run tells whoever listens, after every task: ``settled`` inputs of ``asked`` in this process, in ``seconds``."""

    tally: Tally
    stage: str
    settled: int
    asked: int
    seconds: float

    @property
    def left(self) -> float | None:
        """Seconds until the end of this stage at its pace so far, or None before the first task."""
        return None if not self.settled else self.seconds / self.settled * (self.asked - self.settled)
