"""The certified radius of an input: the largest radius that is verified and the smallest that is broken, by bisection.

Both ends carry evidence: the lower one was verified, the upper one has a counterexample that was evaluated. What is known
of one radius is used for others: a ball that is verified verifies every smaller one, and a counterexample at distance d
breaks every larger one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from verify.certify.api import batch_of, certify, predictions
from verify.errors import SoundnessError, UsageError
from verify.floating import parse_decimal
from verify.network import Network
from verify.verdict import Counterexample, Evidence, Result, Verdict


@dataclass(frozen=True)
class Radius:
    """``certified <= r < broken`` for the radius r up to which the label holds, both on the grid of ``resolution``.

    ``certified``: None where the input is misclassified as it is. ``broken``: None where nothing up to ``most`` was broken; then
    ``counterexample`` is None too. ``open``: how many radii were asked about and stayed unknown. ``evidence``: of ``certified``.
    """

    label: int
    predicted: int
    certified: Fraction | None
    broken: Fraction | None
    resolution: Fraction
    most: Fraction
    counterexample: Counterexample | None
    evidence: Evidence | None
    open: int
    seconds: float

    @property
    def exact(self) -> bool:
        """Whether the two ends are neighbours on the grid, or nothing up to ``most`` is left to ask."""
        if self.certified is None or self.certified >= self.most:
            return True
        return self.broken is not None and self.broken - self.certified <= self.resolution


def certified_radius(
    network: Network,
    x: Any,
    label: int,
    *,
    most: Fraction | float | str,
    resolution: Fraction | float | str,
    norm: str = "linf",
    clip: tuple[float | str, float | str] | None = None,
    method: str = "auto",
    **options: Any,
) -> Radius:
    """The radius of one input, up to ``most``, in steps of ``resolution``; the options are those of :func:`verify.certify`.

    Bisection for the largest verified radius, counting an unknown one as too large, then for the smallest broken one among those
    above it, counting an unknown one as too small. Every radius that is asked about is a whole number of steps, so the claims are
    about decimals that the user can read. Raises UsageError for what does not fit.
    """
    begun = time.perf_counter()
    step, steps = _grid(most, resolution)
    centre = batch_of(network, x, single=True)
    search = _Search(steps + 1)

    def ask(k: int) -> None:
        found = certify(network, centre, label, epsilon=k * step, norm=norm, clip=clip, method=method, **options)
        witness = found.counterexample
        search.hear(k, found, k if witness is None else _steps_to(centre[0], witness.x, norm, step))

    ask(0)
    if search.lowest == 0:
        while search.ceiling - search.lowest > 1:
            ask((search.lowest + search.ceiling) // 2)
        while search.highest - search.floor > 1:
            ask((search.floor + search.highest) // 2)
    return Radius(
        label=int(label),
        predicted=int(predictions(network, centre)[0]),
        certified=None if search.lowest < 0 else search.lowest * step,
        broken=None if search.highest > steps else search.highest * step,
        resolution=step,
        most=steps * step,
        counterexample=search.witness,
        evidence=search.evidence,
        open=len(search.unknown),
        seconds=time.perf_counter() - begun,
    )


class _Search:
    """What is known, in steps: verified up to ``lowest``, broken from ``highest`` on, and the unknown ones."""

    def __init__(self, beyond: int) -> None:
        self.lowest, self.highest = -1, beyond
        self.unknown: list[int] = []
        self.witness: Counterexample | None = None
        self.evidence: Evidence | None = None

    @property
    def ceiling(self) -> int:
        """The least radius that is not verified, as far as has been asked."""
        return min([self.highest, *(k for k in self.unknown if k > self.lowest)])

    @property
    def floor(self) -> int:
        """The largest radius that is not broken, as far as has been asked."""
        return max([self.lowest, *(k for k in self.unknown if k < self.highest)])

    def hear(self, k: int, found: Result, broken: int) -> None:
        """The answer about radius ``k``; a counterexample breaks every radius from ``broken`` on."""
        if found.verdict is Verdict.VERIFIED:
            self.lowest, self.evidence = k, found.evidence
        elif found.counterexample is not None:
            self.highest, self.witness = min(k, broken), found.counterexample
        else:
            self.unknown.append(k)
        if self.lowest >= self.highest:
            raise SoundnessError(
                f"radius {self.lowest} steps is verified and {self.highest} broken: no number of this run can be trusted"
            )


def _grid(most: Fraction | float | str, resolution: Fraction | float | str) -> tuple[Fraction, int]:
    """The step, and how many of them go into the largest radius."""
    step, end = parse_decimal(resolution, "resolution"), parse_decimal(most, "the largest radius")
    if step <= 0:
        raise UsageError(f"resolution is {resolution}: give a positive number")
    if end < step:
        raise UsageError(f"the largest radius is {most}, less than one step of {resolution}: give a larger one")
    return step, int(end / step)


def _steps_to(centre: Tensor, x: Tensor, norm: str, step: Fraction) -> int:
    """The least number of steps whose ball around ``centre`` holds ``x``, exactly."""
    pairs = zip(x.flatten().tolist(), centre.flatten().tolist(), strict=True)
    sizes = [abs(Fraction(a) - Fraction(b)) / step for a, b in pairs]
    if norm == "l2":
        square = sum(size * size for size in sizes)
        return math.isqrt(math.ceil(square) - 1) + 1 if square else 0
    return math.ceil(sum(sizes) if norm == "l1" else max(sizes))
