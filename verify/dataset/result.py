"""A run as its folder holds it, and the folder's names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.dataset.journal import NAME, Passed, read_journal
from verify.dataset.progress import Tally, tally
from verify.dataset.question import Selection
from verify.dataset.record import Record

NETWORK, CERTIFICATES, COUNTEREXAMPLES = "network.reluproof", "certificates", "counterexamples"


@dataclass(frozen=True)
class Run:
    """The identity of a run, its records by index, and what was noticed on the way (``notes``)."""

    folder: Path
    identity: dict[str, Any]
    records: dict[int, Record]
    passed: tuple[Passed, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tally(self) -> Tally:
        """The counts."""
        shard = tuple(self.identity["shard"])
        asked = Selection(tuple(range(self.identity["data"]["inputs"])), shard).blocks()
        return tally(self.records.values(), sum(len(block) for block in asked))

    @property
    def seconds(self) -> dict[str, float]:
        """Processor seconds of each stage: of its blocks, and of inputs that it took one by one."""
        spent: dict[str, float] = defaultdict(float)
        blocks = {entry.stage for entry in self.passed}
        for entry in self.passed:
            spent[entry.stage] += entry.seconds
        for record in self.records.values():
            if record.stage not in blocks:
                spent[record.stage] += record.seconds
        return dict(spent)


def read_run(folder: str | Path) -> Run:
    """The run in ``folder``, finished or not. Raises LoadError where there is none or its journal is damaged."""
    past = read_journal(Path(folder) / NAME)
    return Run(Path(folder), past.run, dict(sorted(past.records.items())), past.passed)
