"""The region: its bounding box, rounded outwards, and lower bounds of linear forms over it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import round_fraction
from verify.check.container import Container, exact_text
from verify.check.frame import Frame
from verify.check.model import Ends, Model
from verify.check.reasons import fields, listed, require

Array = NDArray[Any]


@dataclass(frozen=True)
class Ball:
    """All x with ``norm(x - centre) <= epsilon``, the norm being l2 or l1."""

    norm: str
    centre: Array  # flat, float64
    epsilon: Fraction


@dataclass(frozen=True)
class Region:
    """``box``: the bounding box, float64, outwards, (1, input's shape). ``ball``: for l2 and l1, which are less than their box."""

    box: Ends
    ball: Ball | None
    words: str


def read_region(container: Container, entry: Any, shape: tuple[int, ...]) -> Region:
    """The region of a claim, for an input of this shape."""
    require(type(entry) is dict and entry.get("kind") in ("box", "ball"), "the region is neither a box nor a ball")
    if entry["kind"] == "box":
        fields(entry, ("kind", "lower", "upper"), (), "the region")
        lower, upper = (container.array(entry[key], "F64", shape, f"{key} of the region") for key in ("lower", "upper"))
        require(bool((lower <= upper).all()), "the region is empty: an end of the box is below the other")
        return Region((lower[None], upper[None]), None, f"all x of a given box of {lower.size} inputs")
    fields(entry, ("kind", "norm", "centre", "epsilon", "clip"), (), "the region")
    norm, clip = entry["norm"], entry["clip"]
    require(type(norm) is str and norm in ("linf", *_SEARCH), f"the norm is {norm!r:.40}, not linf, l2 or l1")
    centre = container.array(entry["centre"], "F64", shape, "centre of the region")
    epsilon = Fraction(exact_text(entry["epsilon"], "epsilon"))
    require(epsilon >= 0, f"epsilon is {epsilon}, negative")
    words = f"all x with {norm}(x - centre) <= {epsilon}"
    limits: list[Fraction | None] = [None, None]
    if clip is not None:
        require(len(listed(clip, "clip")) == 2, "clip is not of two numbers")
        limits = [None if end is None else Fraction(exact_text(end, "an end of clip")) for end in clip]
        words += f" and every entry of x from {clip[0] or '-infinity'} to {clip[1] or 'infinity'}"
    low, high = limits
    exact = [Fraction(x) for x in centre.ravel().tolist()]
    lowest = (x - epsilon if low is None else max(x - epsilon, low) for x in exact)
    highest = (x + epsilon if high is None else min(x + epsilon, high) for x in exact)
    lower = np.array([round_fraction(q.numerator, q.denominator, -1) for q in lowest]).reshape(1, *shape)
    upper = np.array([round_fraction(q.numerator, q.denominator, 1) for q in highest]).reshape(1, *shape)
    require(bool((lower <= upper).all()), "the region is empty: the ball and the clip have no point in common")
    return Region((lower, upper), Ball(norm, centre.reshape(-1), epsilon) if norm in _SEARCH else None, words)


def minimum(model: Model, region: Region, frame: Frame, a: Array, constant: Array) -> Array:
    """At most ``min a . x + constant`` over the frames' boxes and the ball, float64 (R,): R a multiple of the frames."""
    arithmetic = model.arithmetic
    least = _over_box(model, frame, a) if region.ball is None else _over_ball(model, region.ball, frame, a)
    return arithmetic.lower(arithmetic.down(constant + least))


def _over_box(model: Model, frame: Frame, a: Array) -> Array:
    arithmetic = model.arithmetic
    grouped = a.reshape(len(frame.lower), -1, a.shape[1])
    lower, upper = arithmetic.lift(frame.lower)[:, :, None], arithmetic.lift(frame.upper)[:, :, None]
    value = (np.maximum(grouped, 0) @ lower + np.minimum(grouped, 0) @ upper).reshape(-1)
    return arithmetic.down(value - _slip(model, a))


def _slip(model: Model, a: Array) -> Any:
    """Over the error of a dot product of ``a`` with a vector of the box, and of one rounding of each entry of ``a``."""
    arithmetic, layer = model.arithmetic, model.layers[0]
    if not arithmetic.gamma(1):
        return 0
    size = np.maximum(-layer.lower, layer.upper).ravel()
    return arithmetic.up(np.abs(a) @ size * arithmetic.gamma(2 * size.size + 16) + layer.tiny)


def _over_ball(model: Model, ball: Ball, frame: Frame, a: Array) -> Array:
    """For any p: ``min over ball and box of a . x >= (min over the ball of p . x) + (min over the box of (a - p) . x)``.

    The first is ``p . c - epsilon |p|`` in the dual norm. p is found by a search in float64, and is the optimal one up to rounding.
    """
    arithmetic = model.arithmetic
    near = round_fraction(ball.epsilon.numerator, ball.epsilon.denominator, 1)
    found = _SEARCH[ball.norm](arithmetic.lower(a), ball.centre, near, frame.lower[0], frame.upper[0])
    p, centre = arithmetic.lift(np.where(np.isfinite(found), found, 0.0)), arithmetic.lift(ball.centre)
    norm = np.abs(p).max(axis=1) if ball.norm == "l1" else arithmetic.norm_up(p)
    along = arithmetic.down(p @ centre - arithmetic.up(arithmetic.number(ball.epsilon) * norm))
    if arithmetic.gamma(1):
        slip = np.abs(p) @ np.abs(centre) * arithmetic.gamma(4 * centre.size + 32) + model.layers[0].tiny
        # a - p is rounded: a loss of u |a - p| |x|, which one more slip of the box covers
        along = arithmetic.down(along - arithmetic.up(slip + _slip(model, a - p)))
    return arithmetic.down(along + _over_box(model, frame, a - p))


def _search_l2(a: Array, c: Array, epsilon: float, lower: Array, upper: Array) -> Array:
    """Where the ball and the box meet, ``x = clip(c - m a)`` with ``|x - c| = epsilon``: then ``p = (c - x) / m``."""
    low = epsilon / np.maximum(np.sqrt((a * a).sum(axis=1, keepdims=True)), 1e-300)
    high = low * 2.0**40
    for _ in range(60):
        m = np.sqrt(low) * np.sqrt(high)
        step = c - np.clip(c - m * a, lower, upper)
        inside = (step * step).sum(axis=1, keepdims=True) <= epsilon * epsilon
        low, high = np.where(inside, m, low), np.where(inside, high, m)
    found: Array = (c - np.clip(c - low * a, lower, upper)) / low
    return found


def _search_l1(a: Array, c: Array, epsilon: float, lower: Array, upper: Array) -> Array:
    """``p = clip(a, -t, t)``, with t where the box's share of the entries beyond t is as long as epsilon."""
    low, high = np.zeros((len(a), 1)), np.abs(a).max(axis=1, keepdims=True)
    for _ in range(60):
        t = low / 2 + high / 2
        share = np.where(a > t, c - lower, 0) + np.where(a < -t, upper - c, 0)
        beyond = share.sum(axis=1, keepdims=True) >= epsilon
        low, high = np.where(beyond, t, low), np.where(beyond, high, t)
    return np.clip(a, -low, low)


_SEARCH = {"l2": _search_l2, "l1": _search_l1}
