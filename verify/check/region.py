"""The region: its bounding box, rounded outwards, and lower bounds of linear forms over it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import rounded
from verify.check.backward import against
from verify.check.forms import Exact, Numbers, chosen, read, require
from verify.check.model import Ends, Frame, Model

Array = NDArray[Any]
_BALL = {"centre": Numbers("F64", "input"), "epsilon": Exact(), "at_least?": Exact(), "at_most?": Exact()}
_KINDS = {
    "box": {"lower": Numbers("F64", "input"), "upper": Numbers("F64", "input")},
    "linf": _BALL,
    "l2": _BALL,
    "l1": _BALL,
}


@dataclass(frozen=True)
class Region:
    """``box``: the bounding box, outwards, ends (n, 1). l2 and l1 balls are less than their box: they have a centre (n, 1)."""

    kind: str
    box: Ends
    centre: Array
    epsilon: Fraction
    words: str

    @property
    def is_box(self) -> bool:
        """Whether the region is all of its box."""
        return self.kind in ("box", "linf")


def read_region(entry: Any, size: int) -> Region:
    """The region of a claim, for an input of this size."""
    kind, form = chosen(_KINDS, entry, "kind", "the region")
    given = read(form | {"kind": str}, entry, "the region", {"input": size})
    if kind == "box":
        lower, upper, centre, epsilon = given["lower"], given["upper"], np.zeros(size), Fraction(0)
        words = f"all x of a given box of {size} inputs"
    else:
        centre, epsilon = given["centre"], given["epsilon"]
        require(epsilon >= 0, f"epsilon is {epsilon}, negative")
        words = f"all x with {kind}(x - centre) <= {epsilon}"
        least, most = given.get("at_least", -np.inf), given.get("at_most", np.inf)
        words += f" and every entry of x from {least} to {most}" if (least, most) != (-np.inf, np.inf) else ""
        exact = [Fraction(x) for x in centre.tolist()]
        lowest, highest = [max(x - epsilon, least) for x in exact], [min(x + epsilon, most) for x in exact]
        lower, upper = (np.array([rounded(x, side) for x in ends]) for ends, side in ((lowest, -1), (highest, 1)))
    require((lower <= upper).all(), "the region is empty: an end of its box is below the other")
    return Region(kind, (lower[:, None], upper[:, None]), centre[:, None], epsilon, words)


def minimum(model: Model, region: Region, frame: Frame, a: Array, constant: Array) -> Array:
    """At most ``min a . x + constant`` over the B frames' boxes and the ball, float64 (B S,), for a (n, B S)."""
    arithmetic = model.arithmetic
    least = _over_box(model, frame, a) if region.is_box else _over_ball(model, region, frame, a)
    return arithmetic.ends(arithmetic.down(constant + least), -1)


def _over_box(model: Model, frame: Frame, a: Array) -> Any:
    lower, upper = (model.arithmetic.lift(ends[model.known[0]]) for ends in (frame.lower, frame.upper))
    grouped = a.reshape(*lower.shape, -1)
    value = against(lower, np.maximum(grouped, 0)) + against(upper, np.minimum(grouped, 0))
    return model.arithmetic.down(value - _slip(model, a, model.layers[0].magnitude))


def _slip(model: Model, a: Array, x: Array) -> Any:
    """Over the error of a dot product of each column of ``a`` with a vector below ``x`` (n, 1), and of some roundings of ``a``."""
    lost = model.arithmetic.gamma(4 * len(x) + 32) * (model.arithmetic.lift(x).T @ np.abs(a))[0]
    return model.arithmetic.up(lost + model.tiny)


def _over_ball(model: Model, region: Region, frame: Frame, a: Array) -> Any:
    """For any p: ``min over ball and box of a . x >= (min over the ball of p . x) + (min over the box of (a - p) . x)``.

    The first is ``p . c - epsilon |p|`` in the dual norm. p is found by a search in float64, and is the optimal one up to rounding.
    """
    arithmetic, known = model.arithmetic, model.known[0]
    box = frame.lower[known][:, :1], frame.upper[known][:, :1]
    found = _search(region, arithmetic.ends(a, -1), *box)
    p, centre = arithmetic.lift(np.where(np.isfinite(found), found, 0.0)), arithmetic.lift(region.centre)
    norm = np.abs(p).max(axis=0)
    if region.kind == "l2":
        squares = (p * p).sum(axis=0)
        squares = arithmetic.up(squares + arithmetic.gamma(4 * len(p) + 32) * squares + len(p) * arithmetic.tiny)
        # the square root of IEEE 754 is rounded correctly
        norm = arithmetic.lift(np.nextafter(np.sqrt(arithmetic.ends(squares, 1)), np.inf))
    along = arithmetic.down((centre.T @ p)[0] - arithmetic.up(arithmetic.number(region.epsilon) * norm))
    along = arithmetic.down(along - _slip(model, p, np.abs(region.centre)))
    # a - p is rounded, which a slip of the box covers
    rest = arithmetic.down(_over_box(model, frame, a - p) - _slip(model, a - p, model.layers[0].magnitude))
    return arithmetic.down(along + rest)


def _search(region: Region, a: Array, lower: Array, upper: Array) -> Array:
    """The best p, by bisection for t. l2: ``p = t (c - x)``, where ``x = clip(c - a / t)`` is at a distance of epsilon from c.

    l1: ``p = clip(a, -t, t)``, with t where the box's share of the entries beyond t is as long as epsilon.
    """
    c, epsilon = region.centre, rounded(region.epsilon, 1)
    low, high = np.zeros((1, a.shape[1])), np.abs(a).max(axis=0, keepdims=True)
    if region.kind == "l2":
        high = np.sqrt((a * a).sum(axis=0, keepdims=True)) / epsilon
    for _ in range(60):
        t = low / 2 + high / 2
        if region.kind == "l2":
            beyond = np.sqrt(((c - np.clip(c - a / t, lower, upper)) ** 2).sum(axis=0, keepdims=True)) >= epsilon
        else:
            share = np.where(a > t, c - lower, 0) + np.where(a < -t, upper - c, 0)
            beyond = share.sum(axis=0, keepdims=True) >= epsilon
        low, high = np.where(beyond, t, low), np.where(beyond, high, t)
    return np.clip(a, -high, high) if region.kind == "l1" else high * (c - np.clip(c - a / high, lower, upper))
