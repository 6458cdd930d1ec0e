"""The one place that says by which lines an unstable ReLU is replaced.

For ``l < 0 < u`` and ``l <= y <= u``: ``slope y <= relu(y)`` for any slope in [0, 1] below, and above it the chord
``relu(y) <= s y + t`` with ``s = u/(u-l)``, ``t = -s l`` (Ehlers 2017; Wong & Kolter 2018, figure 2).
Any ``s`` in [0, 1] is sound with ``t = max(u (1 - s), -s l)``, since relu is convex: that is how ``t`` is computed, upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.nouns import Interval
from verify.floating import TINY, UNIT, gamma, up


@dataclass(frozen=True)
class Lines:
    """Lines around each ReLU of a layer: ``lower y <= relu(y) <= upper y + intercept``; (B, S or 1, *shape).

    ``multiplier`` is what the phases assumed of some neurons add to the coefficient on ``y``, and ``distance`` (B, 1, *shape) how
    far at least those neurons are from 0 (see :func:`assumed`); they come together.
    """

    lower: Tensor
    upper: Tensor
    intercept: Tensor
    multiplier: Tensor | None = None
    distance: Tensor | None = None

    @property
    def parallel(self) -> bool:
        """Whether both lines have one slope, so that one pass bounds a row and its negation."""
        return self.lower is self.upper and self.multiplier is None

    def select(self, index: Tensor) -> Lines:
        """The lines of the inputs ``index``."""
        return self._each(lambda t: t[index])

    def rows(self, part: slice) -> Lines:
        """The lines of the rows ``part``; lines that all rows share stay shared."""

        return self._each(lambda t: t if t.shape[1] == 1 else t[:, part])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Lines:
        upper = change(self.upper)
        lower = upper if self.lower is self.upper else change(self.lower)
        multiplier = None if self.multiplier is None else change(self.multiplier)
        distance = None if self.distance is None else change(self.distance)
        return Lines(lower, upper, change(self.intercept), multiplier, distance)


def chord(pre: Interval) -> tuple[Tensor, Tensor]:
    """Slope and intercept of the upper line, (B, *shape): (1, 0) when active, (0, 0) when inactive.

    The intercept is rounded up far enough to pay for any slope that the product of a coefficient with ``s`` rounds to,
    and for the rounding of the dot product of coefficients with intercepts.
    """
    low, high = pre.lower.clamp(max=0), pre.upper.clamp(min=0)
    # 0 / (0 - l) when inactive; an active one has a slope of exactly 1, and nothing is divided by 0, not even unseen: the
    # gradient of what is not chosen would be NaN.
    width = torch.where(low < 0, (high - low).clamp(min=TINY), 1.0)
    s = torch.where(low < 0, high / width, (pre.lower >= 0).to(high.dtype))
    return s, intercept(pre, s)


def intercept(pre: Interval, slope: Tensor) -> Tensor:
    """The least ``t`` with ``relu(y) <= slope y + t`` on unstable ReLUs, rounded up; 0 on stable ones.

    ``slope`` in [0, 1], (B, *shape) or (B, S, *shape). See :func:`chord` for what the rounding pays for.
    """
    low, high = pre.lower.clamp(max=0), pre.upper.clamp(min=0)
    if slope.dim() > low.dim():
        low, high = low.unsqueeze(1), high.unsqueeze(1)
    # The computed coefficient is a s' with |s' - s| <= u s: t must be enough for s' as well.
    t = up(torch.maximum(high * (1.0 - slope), -low * slope)) + (high - low) * (4.0 * UNIT)
    size = pre.lower[0].numel()
    return torch.where((low < 0) & (high > 0), up(t) * (1.0 + gamma(size)), torch.zeros_like(t))


def dual_slope(_: Interval) -> None:
    """Wong & Kolter's choice: the lower line is parallel to the chord, slope ``u/(u-l)``."""


def crown_slope(pre: Interval) -> Tensor:
    """CROWN's choice (Zhang et al. 2018, section 3.2): slope 1 when ``u >= -l``, else 0, the smaller area."""
    return (pre.upper >= -pre.lower).to(pre.lower.dtype)


SLOPES: Mapping[str, Callable[[Interval], Tensor | None]] = {"dual": dual_slope, "crown": crown_slope}


def lines(pre: Interval, slope: Tensor | None, upper: Tensor | None = None) -> Lines:
    """The lines of a layer with lower slopes ``slope`` (B, *shape) or (B, S, *shape), clipped to [0, 1].

    None stands for lower lines parallel to the chords. ``upper`` (B, S, *shape): slopes of other upper lines than the
    chords. Stable ReLUs are exact whatever is said: slope 1 when active, 0 when inactive.
    """
    s, t = (v.unsqueeze(1) for v in chord(pre))
    if slope is None:
        return Lines(s, s, t)
    slope = slope if slope.dim() == s.dim() else slope.unsqueeze(1)
    free = ((pre.lower < 0) & (pre.upper > 0)).unsqueeze(1)
    lower = torch.where(free, slope.clamp(0, 1), s)
    if upper is None:
        return Lines(lower, s, t)
    chosen = torch.where(free, upper.clamp(0, 1), s)
    return Lines(lower, chosen, intercept(pre, chosen))


def assumed(line: Lines, pre: Interval, phase: Tensor, beta: Tensor) -> Lines:
    """The lines of a layer in which ``phase`` (B, *shape) is assumed: +1 for ``y >= 0``, -1 for ``y <= 0``, 0 for nothing.

    ``line`` must be that of pre-activation intervals ``pre`` which the phases were applied to, so an assumed neuron has slope
    1 or 0. ``beta`` (B, S, *shape) >= 0 are the assumptions' Lagrange multipliers (beta-CROWN, Wang et al. 2021,
    theorem 3.1), at the interval's end: where ``y >= l >= 0``, ``c v >= c v - beta (y - l)``. Any beta >= 0 is sound, and so is the
    coefficient that the subtraction rounds to: it is the exact one of another beta >= 0, rounding being monotone; what
    that changes of ``beta l`` the backward pass pays for. Negative entries count as 0.
    """
    return replace(
        line,
        multiplier=beta.clamp(min=0) * -phase.unsqueeze(1).to(beta.dtype),
        distance=distance(pre, phase),
    )


def distance(pre: Interval, phase: Tensor) -> Tensor:
    """How far each neuron is from 0 at least on the side of its ``phase`` (B, *shape): (B, 1, *shape), 0 without a phase."""
    end = torch.where(phase > 0, pre.lower, torch.where(phase < 0, -pre.upper, 0.0))
    return end.clamp(min=0).unsqueeze(1)
