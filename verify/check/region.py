"""The region: its bounding box, rounded outwards, and lower bounds of linear forms over it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from verify.check.arithmetic import below
from verify.check.backward import least
from verify.check.forms import Array, Numbers, chosen, require
from verify.check.model import Model, crossed, magnitude


@dataclass(frozen=True)
class Region:
    """``box``: the bounding box, outwards, ends (2, n, 1, 1). ``ball``: l2 or l1, where the region is less than all of it."""

    ball: str
    box: Array
    centre: Array
    epsilon: float
    words: str


def read_region(entry: Any, size: int) -> Region:
    """The region of a claim, for an input of this size."""
    point = Numbers("F64", (size,))
    ball = {"centre": point, "epsilon": Fraction, "at_least?": Fraction, "at_most?": Fraction}
    forms = {"box": {"lower": point, "upper": point}, "linf": ball, "l2": ball, "l1": ball}
    kind, given = chosen(forms, "kind", entry, "the region")
    centre, epsilon = given.get("centre", np.zeros(size)), given.get("epsilon", Fraction(0))
    if kind == "box":
        box, words = np.stack([given["lower"], -given["upper"]]), f"all x of a given box of {size} inputs"
    else:
        require(epsilon >= 0, f"epsilon is {epsilon}, negative")
        least_, most = given.get("at_least", -np.inf), given.get("at_most", np.inf)
        clip = f" and every entry of x from {least_} to {most}" if (least_, most) != (-np.inf, np.inf) else ""
        words = f"all x with {kind}(x - centre) <= {epsilon}{clip}"
        values, place = np.unique(centre, return_inverse=True)  # each once: images have few different values
        exact = [Fraction(x) for x in values.tolist()]
        lower, minus_upper = [max(x - epsilon, least_) for x in exact], [max(-x - epsilon, -most) for x in exact]
        box = np.array([[below(x) for x in ends] for ends in (lower, minus_upper)])[:, place]
    box = box.reshape(2, size, 1, 1)
    require(not crossed(box).any(), "the region is empty: an end of its box is below the other")
    return Region("" if kind in ("box", "linf") else kind, box, centre[:, None, None], -below(-epsilon), words)


def minimum(model: Model, region: Region, frame: Array, a: Any, constant: Any) -> Array:
    """At most ``min a . x + constant`` over the frames' boxes and the ball, float64 (B, S), for the form (n, B, S) of `backward`.

    For any p: ``min over ball and box of a . x >= (min over the ball of p . x) + (min over the box of (a - p) . x)``. The first is
    ``p . c - epsilon |p|`` in the dual norm. p is found by a search in float64, and is the optimal one up to rounding.
    """
    arithmetic, ends = model.arithmetic, frame[:, model.known[0]]
    if region.ball:
        lift, found = arithmetic.lift, _search(region, arithmetic.lower(a), ends[0], -ends[1])
        p, centre = lift(np.where(np.isfinite(found), found, 0.0)), lift(region.centre)
        norm = np.abs(p).max(axis=0)
        if region.ball == "l2":  # the square root of IEEE 754 is rounded correctly
            squares = (p * p).sum(axis=0) + lift(len(p) * arithmetic.tiny)
            norm = lift(np.nextafter(np.sqrt(-arithmetic.lower(-squares)), np.inf))
        a, reach, size = a - p, lift(region.epsilon) * norm, lift(magnitude(model.layers[0].ends))
        mass = (np.abs(p) * np.abs(centre) + np.abs(a) * size).sum(axis=0) + reach
        constant = constant + (p * centre).sum(axis=0) - reach - lift(model.gamma) * mass
    return np.asarray(arithmetic.lower(constant + least(model, ends, a)))


def _search(region: Region, a: Array, lower: Array, upper: Array) -> Array:
    """The best p, by bisection for the multiplier t of the ball: the x in the box at which ``a . x + t |x - c|`` is smallest, or

    ``a . x + t |x - c|^2 / 2`` for l2, is at a distance of epsilon from c. p is what the ball has to say about a there.
    """
    c, l2, order = region.centre, region.ball == "l2", 2 if region.ball == "l2" else 1
    low, high = np.zeros((1, *a.shape[1:])), np.abs(a).max(axis=0, keepdims=True)
    if l2:
        high = np.sqrt((a * a).sum(axis=0, keepdims=True)) / region.epsilon
    for _ in range(60):
        t = low / 2 + high / 2
        x = np.clip(c - a / t if l2 else np.where(np.abs(a) > t, -np.sign(a) * np.inf, c), lower, upper)
        beyond = (np.abs(x - c) ** order).sum(axis=0, keepdims=True) >= region.epsilon**order
        low, high = np.where(beyond, t, low), np.where(beyond, high, t)
    return high * (c - np.clip(c - a / high, lower, upper)) if l2 else np.clip(a, -high, high)
