"""How margins are distributed: lower bounds of verified inputs, upper bounds of falsified ones.

Branch and bound often proves only the sign of a margin; its lower bound is then the least positive number. Such inputs are
counted apart: among the sizes they would look like margins of zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from verify.report.axis import Axis, Tick, round_step
from verify.report.subject import Subject

SIGN_ONLY = math.ulp(0.0)
"""The lower bound of a margin of which only the sign was proved."""
WIDTH, HEIGHT = 480.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 12.0, 14.0, 46.0  # around the bars
_APART = 46.0  # width kept for the inputs of which only the sign is known
_BINS = 24


@dataclass(frozen=True)
class Bar:
    """``count`` values between ``low`` and ``high``, and the rectangle that shows them."""

    low: float
    high: float
    count: int
    x: float
    y: float
    width: float
    height: float

    @property
    def words(self) -> str:
        """What the bar says."""
        return f"{self.count:,} from {self.low:.6g} to {self.high:.6g}"


@dataclass(frozen=True)
class Histogram:
    """A chart on a paper of WIDTH by HEIGHT; ``sign_only``: the bar of inputs of which only the sign is known, if any."""

    kind: str
    title: str
    label: str
    words: str
    bars: tuple[Bar, ...]
    sign_only: Bar | None
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    left: float
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    base: float = HEIGHT - _BOTTOM
    width: float = WIDTH
    height: float = HEIGHT


def margin_histograms(subject: Subject) -> tuple[Histogram, ...]:
    """Of the verified inputs and of the falsified ones, where there are any with a number."""
    verified = [row.lower for row in subject.rows if row.state == "verified" and row.lower is not None]
    falsified = [row.upper for row in subject.rows if row.state == "falsified" and row.upper is not None]
    return tuple(
        _histogram(kind, title, label, values)
        for kind, title, label, values in (
            ("verified", "Verified inputs", "lower bound of the smallest margin (units of the scores)", verified),
            ("falsified", "Falsified inputs", "upper bound of the smallest margin (units of the scores)", falsified),
        )
        if values
    )


def _histogram(kind: str, title: str, label: str, values: Sequence[float]) -> Histogram:
    sized = [value for value in values if value != SIGN_ONLY]
    signs = len(values) - len(sized)
    left = _LEFT + (_APART if signs else 0.0)
    low, high = (min(sized), max(sized)) if sized else (0.0, 1.0)
    step = round_step(high - low, _BINS)
    first = math.floor(low / step)
    # A value on the edge between two bins belongs to the right one, so the last bin is open to the right.
    counts = Counter(math.floor(value / step) for value in sized)
    last = max(counts, default=first) + 1
    across = Axis(first * step, last * step, left, WIDTH - _RIGHT)
    up = Axis(0.0, float(max([signs, *counts.values()])), HEIGHT - _BOTTOM, _TOP)
    bars = tuple(
        _bar(k * step, (k + 1) * step, counts[k], across.at(k * step), across.at((k + 1) * step), up)
        for k in sorted(counts)
    )
    alone = _bar(0.0, 0.0, signs, _LEFT + 6.0, _LEFT + _APART - 14.0, up) if signs else None
    return Histogram(
        kind,
        title,
        label,
        _words(values, sized, signs),
        bars,
        alone,
        across.ticks(6) if sized else (),
        up.ticks(4, least=1.0),
        left,
    )


def _bar(low: float, high: float, count: int, x: float, end: float, up: Axis) -> Bar:
    top = up.at(count)
    return Bar(low, high, count, x, top, round(max(end - x - 1.0, 1.0), 2), round(up.at(0.0) - top, 2))


def _words(values: Sequence[float], sized: Sequence[float], signs: int) -> str:
    """What the chart says, in a sentence."""
    parts = [f"{len(values):,} inputs"]
    if signs:
        parts.append(f"of {signs:,} only the sign was proved (“> 0”) and not a size")
    if sized:
        middle = sorted(sized)[len(sized) // 2]
        rest = f"the other {len(sized):,} " if signs else ""
        parts.append(f"{rest}from {min(sized):.4g} to {max(sized):.4g}, median {middle:.4g}")
    return ", ".join(parts) + "."
