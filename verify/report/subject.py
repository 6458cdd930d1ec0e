"""What a report is about: one question about many inputs, whether a run or a check of a gate asked it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import verify
from verify.wording import claim, decimal

if TYPE_CHECKING:
    from verify.gate.outcome import CheckOutcome, Line


@dataclass(frozen=True, kw_only=True)
class Row:
    """The answer about one input; the fields are those of :class:`verify.Record`, files given by their SHA-256."""

    index: int
    label: int
    predicted: int | None
    state: str
    reason: str
    evidence: str
    lower: float | None
    target: int | None
    certificate: str | None
    counterexample: str | None
    stage: str = ""
    upper: float | None = None
    seconds: float | None = None

    @property
    def misclassified(self) -> bool:
        """Whether the input is wrong as it is."""
        return self.predicted is not None and self.predicted != self.label


@dataclass(frozen=True)
class Ball:
    """The region in words that are printed: ``epsilon`` and the ends of ``clip`` as decimals."""

    epsilon: str
    norm: str
    clip: tuple[str, str] | None

    @property
    def words(self) -> str:
        """Norm, radius and clip in one phrase."""
        inside = "" if self.clip is None else f", clipped to [{self.clip[0]}, {self.clip[1]}]"
        return f"{_NORMS[self.norm]} ball, ε = {self.epsilon} in the units of the input{inside}"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One question about ``total`` inputs and the ``rows`` of those that have an answer.

    ``network``: its identity, ``file`` and ``shape`` what else is known of it; ``data``: which inputs, in words that are equal
    for equal inputs; ``options`` and ``versions``: name and value; ``table``: where the same rows are as a file, or "".
    """

    title: str
    ball: Ball
    method: str
    semantics: str
    network: str
    data: str
    total: int
    rows: tuple[Row, ...]
    options: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    stages: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    file: str = ""
    shape: str = ""
    table: str = ""

    @property
    def name(self) -> str:
        """Of the network: its file's, or the beginning of its identity."""
        return self.file or f"network {self.network[:12]}"

    @property
    def claim(self) -> str:
        """What is claimed of a verified input."""
        return claim(self.ball.epsilon, self.ball.norm, self.ball.clip, self.semantics)

    @cached_property
    def states(self) -> Counter[str]:
        """How many inputs are in each state."""
        return Counter(row.state for row in self.rows)

    @property
    def clean_error(self) -> float:
        """Share of all inputs that are known to be misclassified as they are."""
        return sum(row.misclassified for row in self.rows) / self.total

    @property
    def attacked_error(self) -> float:
        """Share of all inputs that are falsified: the true error under attack is at least this."""
        return self.states["falsified"] / self.total

    @property
    def certified_error(self) -> float:
        """Share of all inputs that are not verified: the true error under attack is at most this."""
        return 1.0 - self.states["verified"] / self.total


def subject_of_run(run: verify.Run, title: str, network: verify.Network | None = None) -> Subject:
    """A run as a subject; ``network``, if it is the run's own, adds where it came from and its shape."""
    asked = run.identity
    region = asked["region"]
    clip = None if region["clip"] is None else (decimal(region["clip"][0]), decimal(region["clip"][1]))
    part, parts = asked["shard"]
    mine = network if network is not None and verify.identity(network) == asked["network"] else None
    data = f"{asked['data']['inputs']} inputs, SHA-256 {asked['data']['sha256']}"
    return Subject(
        title=title,
        ball=Ball(decimal(region["epsilon"]), region["norm"], clip),
        method=asked["method"],
        semantics=asked["options"]["semantics"],
        network=asked["network"],
        file="" if mine is None else mine.source.rsplit("/", 1)[-1],
        shape="" if mine is None else _shape(mine),
        data=data if parts == 1 else f"{data}, of them shard {part}/{parts}",
        total=run.tally.total,
        rows=tuple(_row_of_record(record) for record in run.records.values()),
        options=_words(asked["options"]),
        versions=_words(asked["versions"]),
        stages=tuple(run.seconds.items()),
        notes=run.notes,
        table=str(run.folder / "samples.csv"),
    )


def subject_of_check(outcome: CheckOutcome, versions: dict[str, Any]) -> Subject:
    """A check of a gate as a subject."""
    asked = outcome.check
    facts = {k: v for k, v in asked.facts().items() if k in ("timeout", "trust_solver", "seed", "index")}
    return Subject(
        title=asked.name,
        ball=Ball(asked.epsilon, asked.norm, asked.clip),
        method=asked.method,
        semantics=asked.semantics,
        network=outcome.network,
        file=asked.model,
        data=f"{asked.data}, index {asked.index}",
        total=len(outcome.lines),
        rows=tuple(_row_of_line(line) for line in outcome.lines),
        options=_words(facts),
        versions=_words(versions),
        notes=outcome.notes,
    )


def _row_of_record(record: verify.Record) -> Row:
    names = (
        "index",
        "label",
        "predicted",
        "state",
        "reason",
        "evidence",
        "lower",
        "target",
        "stage",
        "upper",
        "seconds",
    )
    return Row(
        **{name: getattr(record, name) for name in names},
        certificate=None if record.certificate is None else record.certificate.sha256,
        counterexample=None if record.counterexample is None else record.counterexample.sha256,
    )


def _row_of_line(line: Line) -> Row:
    names = ("index", "label", "predicted", "state", "reason", "evidence", "target", "certificate", "counterexample")
    finite = line.lower is not None and math.isfinite(line.lower)
    return Row(**{name: getattr(line, name) for name in names}, lower=line.lower if finite else None)


def _shape(network: verify.Network) -> str:
    return f"input {' x '.join(str(n) for n in network.input_shape)}, {network.outputs} classes"


def _words(facts: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _said(value)) for name, value in facts.items())


def _said(value: Any) -> str:
    words = {True: "yes", False: "no", None: "none"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


_NORMS = {"linf": "ℓ∞", "l2": "ℓ2", "l1": "ℓ1"}
