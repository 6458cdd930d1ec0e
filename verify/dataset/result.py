"""A run as its folder holds it, and the folder's names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.dataset.journal import NAME, Passed, content_of, read_journal
from verify.dataset.progress import Tally, tally
from verify.dataset.question import Selection, digests_of
from verify.dataset.record import File, Record
from verify.errors import UsageError
from verify.load.dataset import Dataset

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

    def content(self, file: File) -> bytes:
        """The bytes of a record's file. Raises LoadError where they are not those that the record was written for."""
        return content_of(self.folder, file)

    def require(self, data: Dataset) -> None:
        """Raise UsageError unless every record is about the input, and its label, that ``data`` holds at its index."""
        facts = {k: v for k, v in self.identity.items() if k not in ("format", "data", "shard")}
        there = [i for i in self.records if i < len(data)]
        digests = digests_of(facts, data.inputs[there], data.labels[there])
        known = dict(zip(there, digests, strict=True))
        for index, record in self.records.items():
            if known.get(index) != record.question:
                what = "has no such input" if index not in known else "holds another input or label there"
                raise UsageError(
                    f"the run in {str(self.folder)!r} is not about {data.source}: it answers about input {index}, and "
                    f"the data {what}. Give the data, with the split and scale, that the run was about"
                )


def read_run(folder: str | Path) -> Run:
    """The run in ``folder``, finished or not. Raises LoadError where there is none or its journal is damaged."""
    past = read_journal(Path(folder) / NAME)
    return Run(Path(folder), past.run, dict(sorted(past.records.items())), past.passed)
