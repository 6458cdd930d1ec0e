"""A chart's axis: round steps, and where a value lies on the paper."""

from __future__ import annotations

import math
from dataclasses import dataclass

Tick = tuple[float, str]
"""Where on the paper, and what is written there."""


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` on the paper from ``start`` to ``end`` (which may be the smaller, for heights)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where ``value`` lies, to a hundredth of the paper's unit."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, count: int, *, least: float = 0.0) -> tuple[Tick, ...]:
        """About ``count`` round values, at least ``least`` apart."""
        step = max(round_step(self.high - self.low, count), least)
        digits = max(0, -math.floor(math.log10(step)))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple((self.at(k * step), f"{k * step + 0.0:.{digits}f}") for k in range(first, last + 1))


def round_step(length: float, count: int) -> float:
    """The least of 1, 2, 5, 10, ... times a power of ten of which at most ``count`` fit into ``length``."""
    rough = (length or 1.0) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * k for k in (1.0, 2.0, 5.0, 10.0) if power * k >= rough * (1 - 1e-9))
