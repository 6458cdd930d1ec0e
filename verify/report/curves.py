"""Certified accuracy against the radius, one chart a norm, from runs at several radii and from files of radii.

What is verified at a radius is verified at every smaller one, and what is broken stays broken at every larger one. So between
two radii that were asked about the true accuracy lies under the step from the left and above the step from the right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

import verify
from verify.report.axis import Axis, Tick
from verify.report.subject import Subject

WIDTH, HEIGHT = 760.0, 380.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 14.0, 50.0
_MARKS = 16  # at most so many of a curve: more would be a thick line
SHAPES = ("circle", "square", "triangle", "diamond", "down", "cross")


@dataclass(frozen=True)
class Curve:
    """Shares of the inputs at rising radii: at least ``certified`` up to each radius, at most ``unbroken`` from it on."""

    name: str
    norm: str
    inputs: int
    radii: tuple[Fraction, ...]
    certified: tuple[float, ...]
    unbroken: tuple[float, ...]


@dataclass(frozen=True)
class Drawn:
    """A curve on the paper: two paths, the band between, and marks at (x, y) of the certified one."""

    curve: Curve
    shape: str
    series: int
    certified: str
    unbroken: str
    band: str
    marks: tuple[tuple[float, float], ...]

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Radius, certified and unbroken accuracy as text, for the table that says what the picture shows."""
        numbers = zip(self.curve.radii, self.curve.certified, self.curve.unbroken, strict=True)
        return tuple((f"{float(r):.6g}", f"{low:.2%}", f"{high:.2%}") for r, low, high in numbers)


@dataclass(frozen=True)
class Chart:
    """The curves of one norm on a paper of WIDTH by HEIGHT."""

    norm: str
    curves: tuple[Drawn, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    base: float = HEIGHT - _BOTTOM
    width: float = WIDTH
    height: float = HEIGHT


def charts(subjects: Sequence[Subject], radii: Sequence[verify.Radii]) -> tuple[Chart, ...]:
    """A chart for each norm in which there is a curve."""
    by_norm: dict[str, list[Curve]] = defaultdict(list)
    for curve in [*_curves_of(subjects), *(_curve_of_radii(one) for one in radii)]:
        by_norm[curve.norm].append(curve)
    return tuple(_chart(norm, curves) for norm, curves in by_norm.items())


def _curves_of(subjects: Sequence[Subject]) -> list[Curve]:
    """A curve for each question that was asked at two radii or more: same network, inputs, norm, clip and semantics."""
    asked: dict[tuple[object, ...], list[Subject]] = defaultdict(list)
    for one in subjects:
        asked[one.network, one.data, one.ball.norm, one.ball.clip, one.semantics].append(one)
    groups = [group for group in asked.values() if len({one.ball.epsilon for one in group}) > 1]
    return [_curve_of(group, group[0].name) for group in groups]


def _curve_of(group: Sequence[Subject], name: str) -> Curve:
    _agree(group)
    by_radius = sorted(group, key=lambda one: Fraction(one.ball.epsilon))
    radii = [Fraction(0), *(Fraction(one.ball.epsilon) for one in by_radius)]
    certified = [0.0, *(1.0 - one.certified_error for one in by_radius)]
    unbroken = [1.0 - max(one.clean_error for one in group), *(1.0 - one.attacked_error for one in by_radius)]
    return Curve(
        name,
        group[0].ball.norm,
        group[0].total,
        tuple(radii),
        tuple([*accumulate(reversed(certified), max)][::-1]),
        tuple(accumulate(unbroken, min)),
    )


def _agree(group: Sequence[Subject]) -> None:
    """Raise SoundnessError where an input is verified at one radius and falsified at the same or a smaller one."""
    verified: dict[int, Fraction] = {}
    for one in group:
        for row in one.rows:
            if row.state == "verified":
                verified[row.index] = max(verified.get(row.index, Fraction(0)), Fraction(one.ball.epsilon))
    for one in group:
        for row in one.rows:
            if row.state == "falsified" and verified.get(row.index, Fraction(-1)) >= Fraction(one.ball.epsilon):
                raise verify.SoundnessError(
                    f"input {row.index} is verified at radius {verified[row.index]} and falsified at {one.ball.epsilon} "
                    f"({one.title!r}): no number of these runs can be trusted"
                )


def _curve_of_radii(one: verify.Radii) -> Curve:
    radii = tuple(sorted({Fraction(0), one.most, *filter(None, one.certified), *filter(None, one.broken)}))
    return Curve(
        one.name,
        one.norm,
        len(one.certified),
        radii,
        tuple(1.0 - one.certified_error(r) for r in radii),
        tuple(1.0 - one.attacked_error(r) for r in radii),
    )


def _chart(norm: str, curves: Sequence[Curve]) -> Chart:
    across = Axis(0.0, max(float(curve.radii[-1]) for curve in curves), _LEFT, WIDTH - _RIGHT)
    up = Axis(0.0, 100.0, HEIGHT - _BOTTOM, _TOP)
    drawn = tuple(_drawn(curve, k, across, up) for k, curve in enumerate(curves))
    return Chart(norm, drawn, across.ticks(8), up.ticks(5))


def _drawn(curve: Curve, number: int, across: Axis, up: Axis) -> Drawn:
    x = [across.at(float(r)) for r in curve.radii]
    low, high = ([up.at(100 * share) for share in shares] for shares in (curve.certified, curve.unbroken))
    # Certified accuracy holds up to its radius, so its step comes after it; the unbroken one from its radius on.
    under = [(x[0], low[0]), *((a, b) for k in range(1, len(x)) for a, b in ((x[k - 1], low[k]), (x[k], low[k])))]
    over = [(x[0], high[0]), *((a, b) for k in range(1, len(x)) for a, b in ((x[k], high[k - 1]), (x[k], high[k])))]
    every = -(-len(x) // _MARKS)
    return Drawn(
        curve,
        SHAPES[number % len(SHAPES)],
        number % len(SHAPES),
        _path(under),
        _path(over),
        _path([*over, *reversed(under)]) + "Z",
        tuple(zip(x[1::every], low[1::every], strict=True)),
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
