"""What became of the inputs: the parts of the verdict bar, and the bracket of the error under attack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from verify.report.subject import Subject

_ROOM = 0.045  # share of the bar from which on a part can hold its count


@dataclass(frozen=True)
class Part:
    """A part of the bar: ``kind`` names its look, ``words`` say what it is; ``start`` and ``share`` in percent."""

    kind: str
    words: str
    count: int
    start: float
    share: float

    @property
    def wide(self) -> bool:
        """Whether the count can stand inside."""
        return self.share >= 100 * _ROOM


def parts_of(subject: Subject) -> tuple[Part, ...]:
    """The parts that hold an input, in the order of the bar."""
    rows = subject.rows
    reasons = Counter(row.reason or "no reason given" for row in rows if row.state == "unknown")
    wrong = sum(row.state == "falsified" and row.misclassified for row in rows)
    open_ = subject.total - len(rows)
    counts = [
        ("verified", "verified", subject.states["verified"]),
        ("falsified", "falsified: counterexample within the region", subject.states["falsified"] - wrong),
        ("misclassified", "falsified: misclassified as it is", wrong),
        *(("unknown", f"unknown: {reason}", count) for reason, count in sorted(reasons.items())),
        ("error", "error: no answer was computed", subject.states["error"]),
        ("open", "not asked yet", open_),
    ]
    parts: list[Part] = []
    before = 0
    for kind, words, count in counts:
        if count:
            parts.append(Part(kind, words, count, _percent(before, subject.total), _percent(count, subject.total)))
            before += count
    return tuple(parts)


@dataclass(frozen=True)
class Share:
    """An error of the network: its name, the share in percent, how many inputs that are, and what it means."""

    name: str
    percent: float
    count: int
    words: str


def errors_of(subject: Subject) -> tuple[Share, ...]:
    """Clean, attacked and certified error, in rising order of what they count."""
    named = (
        ("clean error", subject.clean_error, "misclassified as they are"),
        ("attacked error", subject.attacked_error, "with a counterexample: the error under attack is at least this"),
        ("certified error", subject.certified_error, "not verified: the error under attack is at most this"),
    )
    return tuple(
        Share(name, round(100 * share, 4), round(share * subject.total), words) for name, share, words in named
    )


def evidence_of(subject: Subject) -> tuple[tuple[str, int], ...]:
    """How the verified inputs are known to be, and how many each."""
    return tuple(sorted(Counter(row.evidence for row in subject.rows if row.state == "verified").items()))


def settled_by(subject: Subject) -> tuple[tuple[str, int, float], ...]:
    """Each stage of a run: how many inputs it verified or falsified, and its processor seconds."""
    settled = Counter(row.stage for row in subject.rows if row.state in ("verified", "falsified"))
    return tuple((stage, settled[stage], seconds) for stage, seconds in subject.stages)


def _percent(count: int, total: int) -> float:
    return round(100 * count / total, 4)
