"""The answer about one input as it stands in a journal: plain data that any program can read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from verify.errors import LoadError

STATES = ("verified", "falsified", "unknown", "error")


@dataclass(frozen=True)
class File:
    """A file beside the journal, and the SHA-256 of its content."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Witness(File):
    """The counterexample's file (an array of the network's input shape), its class and its margin, which is at most 0."""

    predicted: int
    margin: float


@dataclass(frozen=True)
class Record:
    """What became of input ``index`` of the data set.

    ``state`` is a verdict, or ``error`` where every try to answer ended without one, for the cause in ``reason``; ``stage`` says
    what settled it. ``lower <= smallest margin <= upper``, as far as they are known; ``target``: the class of the smallest
    lower bound. ``question``: SHA-256 of the whole question. ``seconds``: processor time of its share of the work.
    """

    index: int
    label: int
    predicted: int | None
    state: str
    stage: str
    question: str
    reason: str = ""
    evidence: str = ""
    lower: float | None = None
    upper: float | None = None
    target: int | None = None
    seconds: float = 0.0
    counterexample: Witness | None = None
    certificate: File | None = None

    @property
    def misclassified(self) -> bool:
        """Whether the input is wrong as it is."""
        return self.predicted is not None and self.predicted != self.label

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def record_of(data: dict[str, Any]) -> Record:
    """The record that :meth:`Record.data` wrote. Raises LoadError for anything else."""
    names = {f.name for f in fields(Record)}
    if set(data) != names or data["state"] not in STATES:
        raise LoadError(f"not a record of this version: fields {sorted(set(data) ^ names)} are missing or unknown")
    witness, certificate = data["counterexample"], data["certificate"]
    return Record(
        **{
            **data,
            "counterexample": None if witness is None else Witness(**witness),
            "certificate": None if certificate is None else File(**certificate),
        }
    )
