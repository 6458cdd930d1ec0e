"""The region: its bounding box, rounded outwards, and lower bounds of linear forms over it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import rounded
from verify.check.forms import Numbers, chosen, read, require
from verify.check.model import Ends, Frame, Model

Array = NDArray[Any]


@dataclass(frozen=True)
class Region:
    """``box``: the bounding box, outwards, ends (n, 1, 1). l2 and l1 balls are less than their box: they have a centre."""

    kind: str
    box: Ends
    centre: Array
    epsilon: float
    words: str

    @property
    def is_box(self) -> bool:
        """Whether the region is all of its box."""
        return self.kind in ("box", "linf")


def read_region(entry: Any, size: int) -> Region:
    """The region of a claim, for an input of this size."""
    point = Numbers("F64", (size,))
    ball = {"centre": point, "epsilon": Fraction, "at_least?": Fraction, "at_most?": Fraction}
    forms = {"box": {"lower": point, "upper": point}, "linf": ball, "l2": ball, "l1": ball}
    given = read(chosen(forms, entry, "kind", "the region") | {"kind": str}, entry, "the region")
    kind, epsilon, centre = given["kind"], given.get("epsilon", Fraction(0)), given.get("centre", np.zeros(size))
    if kind == "box":
        lower, upper, words = given["lower"], given["upper"], f"all x of a given box of {size} inputs"
    else:
        require(epsilon >= 0, f"epsilon is {epsilon}, negative")
        least, most = given.get("at_least", -np.inf), given.get("at_most", np.inf)
        clip = f" and every entry of x from {least} to {most}" if (least, most) != (-np.inf, np.inf) else ""
        words, exact = f"all x with {kind}(x - centre) <= {epsilon}{clip}", [Fraction(x) for x in centre.tolist()]
        lower = np.array([rounded(max(x - epsilon, least), -1) for x in exact])
        upper = np.array([rounded(min(x + epsilon, most), 1) for x in exact])
    require((lower <= upper).all(), "the region is empty: an end of its box is below the other")
    lower, upper, centre = (array[:, None, None] for array in (lower, upper, centre))
    return Region(kind, (lower, upper), centre, rounded(epsilon, 1), words)


def minimum(model: Model, region: Region, frame: Frame, a: Array, constant: Any) -> Array:
    """At most ``min a . x + constant`` over the frames' boxes and the ball, float64 (S, B), for a (n, S, B). Its sums are paid for."""
    least = _over_box(model, frame, a) if region.is_box else _over_ball(model, region, frame, a)
    found: Array = model.arithmetic.ends(constant + least, -1)
    return found


def _over_box(model: Model, frame: Frame, a: Array) -> Any:
    lower, upper = (model.arithmetic.lift(ends[model.known[-1]]) for ends in (frame.lower, frame.upper))
    return (lower * np.maximum(a, 0) + upper * np.minimum(a, 0)).sum(axis=0)


def _over_ball(model: Model, region: Region, frame: Frame, a: Array) -> Any:
    """For any p: ``min over ball and box of a . x >= (min over the ball of p . x) + (min over the box of (a - p) . x)``.

    The first is ``p . c - epsilon |p|`` in the dual norm. p is found by a search in float64, and is the optimal one up to rounding.
    """
    lift, known = model.arithmetic.lift, model.known[-1]
    found = _search(region, model.arithmetic.ends(a, -1), frame.lower[known], frame.upper[known])
    p, centre = lift(np.where(np.isfinite(found), found, 0.0)), lift(region.centre)
    norm = np.abs(p).max(axis=0)
    if region.kind == "l2":  # the square root of IEEE 754 is rounded correctly
        squares = (p * p).sum(axis=0) + lift(len(p) * model.arithmetic.tiny)
        norm = lift(np.nextafter(np.sqrt(model.arithmetic.ends(squares, 1)), np.inf))
    reach, size = lift(region.epsilon) * norm, lift(model.layers[0].magnitude)
    mass = (np.abs(p) * np.abs(centre) + np.abs(a - p) * size).sum(axis=0) + reach
    return (
        (p * centre).sum(axis=0)
        - reach
        + _over_box(model, frame, a - p)
        - (lift(model.gamma) * mass + lift(model.tiny))
    )


def _search(region: Region, a: Array, lower: Array, upper: Array) -> Array:
    """The best p, by bisection for the multiplier t of the ball: at x, which minimises ``a . x + t |x - c|`` over the box

    (``t |x - c|^2 / 2`` for l2), the distance from c is epsilon. p is what the ball's part says of a there.
    """
    c, l2 = region.centre, region.kind == "l2"
    low, high = np.zeros((1, *a.shape[1:])), np.abs(a).max(axis=0, keepdims=True)
    if l2:
        high = np.sqrt((a * a).sum(axis=0, keepdims=True)) / region.epsilon
    for _ in range(60):
        t = low / 2 + high / 2
        x = np.clip(c - a / t if l2 else np.where(np.abs(a) > t, -np.sign(a) * np.inf, c), lower, upper)
        distance = (
            np.sqrt(((x - c) ** 2).sum(axis=0, keepdims=True)) if l2 else np.abs(x - c).sum(axis=0, keepdims=True)
        )
        low, high = np.where(distance >= region.epsilon, t, low), np.where(distance >= region.epsilon, high, t)
    return high * (c - np.clip(c - a / high, lower, upper)) if l2 else np.clip(a, -high, high)
