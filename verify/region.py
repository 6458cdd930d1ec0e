"""The set of inputs a question is about: a box, or an l_inf, l_2 or l_1 ball intersected with a box.

Every region carries B inputs at once. Its endpoints are float64 rounded outwards, so a bound over the stored region
holds over the region that was asked for; ``inner_lower`` and ``inner_upper`` are rounded inwards, so a point between
them is truly inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, TypeVar

import torch
from torch import Tensor

from verify.errors import UsageError
from verify.floating import (
    down,
    float_above,
    float_below,
    gamma,
    parse_decimal,
    shift_above,
    shift_below,
    shift_inside,
    up,
)
from verify.projection import within_l1, within_l2

R = TypeVar("R", bound="Box")


@dataclass(frozen=True)
class Box:
    """All x with ``lower <= x <= upper``; tensors (B, *shape), float64 for claims, float32 for searches."""

    lower: Tensor
    upper: Tensor
    inner_lower: Tensor
    inner_upper: Tensor

    def __post_init__(self) -> None:
        if not bool((self.lower <= self.upper).all()):
            raise UsageError("the region is empty: some lower end lies above its upper end (or is NaN)")

    @property
    def count(self) -> int:
        """Number of inputs B."""
        return len(self.lower)

    @property
    def is_box(self) -> bool:
        """Whether it is all of its box, as a ball in l_inf is: a list of those, so that what is new is none unless it says so."""
        return type(self) in (Box, LinfBall)

    def minimise(self, a: Tensor) -> Tensor:
        """A lower bound of ``min a . x`` over the region: (B or 1, S, *shape) -> (B, S); one input may serve many rows.

        Recomputed: the closed form ``a . mid - |a| . rad`` with its rounding; nothing is trusted.
        """
        middle, spread = self._parts(a)
        return down(middle - spread)

    def minimise_both(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`minimise` of ``a`` and of ``-a``."""
        middle, spread = self._parts(a)
        return down(middle - spread), down(-middle - spread)

    def _parts(self, a: Tensor) -> tuple[Tensor, Tensor]:
        a = a.flatten(2)
        mid, rad = centre_and_radius(self.lower.flatten(1), self.upper.flatten(1))
        size = a.shape[-1]
        rounding = gamma(2 * size + 8)
        paid = up((rad + (mid.abs() + rad) * rounding) * (1.0 + rounding))
        return _dot(a, mid), up(_dot(a.abs(), paid)) + _underflow(size)

    def minimiser(self, a: Tensor) -> Tensor:
        """A point of the region where ``a . x`` is smallest, up to rounding: (B, *shape) -> (B, *shape)."""
        return torch.where(a > 0, self.inner_lower, self.inner_upper)

    def about_minimiser(self, a: Tensor) -> Tensor:
        """Points about where ``a . x`` is smallest, maybe just outside: (B or 1, S, *shape) -> (B, S, *shape), for searches."""
        middle, radius = centre_and_radius(self.lower, self.upper)
        return torch.addcmul(middle.unsqueeze(1), a.sign(), radius.unsqueeze(1), value=-1.0)

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of the region, up to rounding: (B, *shape) -> (B, *shape)."""
        return torch.minimum(torch.maximum(x, self.inner_lower), self.inner_upper)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One random point of the region for each input, (B, *shape)."""
        share = torch.rand(self.lower.shape, generator=generator, dtype=self.lower.dtype)
        return self.project(self.lower + share * (self.upper - self.lower))

    def contains(self, x: Tensor) -> Tensor:
        """Whether each ``x`` (B, *shape) is inside, exactly and with no tolerance: (B,) bool."""
        inside = (self.inner_lower <= x) & (x <= self.inner_upper)
        return inside.flatten(1).all(dim=1)

    def reach(self) -> Tensor:
        """How far each coordinate can move from the middle, (B, *shape): the scale of an attack's steps."""
        return (self.upper - self.lower) / 2

    def select(self: R, index: Tensor) -> R:
        """The regions of the inputs ``index`` (k,), repeats allowed."""
        return self._map(lambda t: t[index])

    def to(self: R, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> R:
        """A copy in another dtype or on another device. A float32 region serves searches, never claims."""
        return self._map(lambda t: t.to(dtype=dtype, device=device))

    def _map(self: R, change: Any) -> R:
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {k: change(v) for k, v in tensors.items() if isinstance(v, Tensor)}
        return replace(self, **changed)


@dataclass(frozen=True)
class LinfBall(Box):
    """The box ``|x - centre| <= epsilon``, intersected with the clip box; ``clip`` is as it was asked for."""

    centre: Tensor
    epsilon: Fraction
    clip: tuple[Fraction, Fraction] | None = None


@dataclass(frozen=True)
class _RoundBall(Box):
    """A ball that is not a box, inside the bounding box that the base class holds.

    ``min a . x`` is bounded through any split ``a = p + q``: the ball bounds ``p . (x - centre)`` by
    ``-epsilon |p|_dual`` and the box bounds ``q . (x - centre)`` coordinate by coordinate. Any split is sound; the
    subclasses choose the best one (the infimal convolution of the two support functions: by strong duality exact).
    """

    centre: Tensor
    epsilon: Fraction
    clip: tuple[Fraction, Fraction] | None = None

    def minimise_both(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`minimise` of ``a`` and of ``-a``."""
        return self.minimise(a), self.minimise(-a)

    def minimiser(self, a: Tensor) -> Tensor:
        """See :meth:`Box.minimiser`: coordinates that the box pays for go to their wall, the ball's share its radius."""
        flat, centre = a.flatten(1), self.centre.flatten(1)
        wall = torch.where(flat > 0, self.inner_lower.flatten(1), self.inner_upper.flatten(1)) - centre
        move = self._move(flat, self._split(flat.unsqueeze(1), wall.abs().unsqueeze(1)).squeeze(1), wall)
        return self.project((centre + move).reshape(a.shape))

    def about_minimiser(self, a: Tensor) -> Tensor:
        """See :meth:`Box.about_minimiser`."""
        a = a.expand(max(self.count, len(a)), *a.shape[1:])
        where = self if self.count == 1 else self.select(torch.arange(len(a)).repeat_interleave(a.shape[1]))
        found: Tensor = where.minimiser(a.flatten(0, 1)).unflatten(0, a.shape[:2])
        return found

    def _move(self, a: Tensor, p: Tensor, wall: Tensor) -> Tensor:
        """The minimiser less the centre, (B, n), given the ball's part ``p`` of ``a`` and the wall each one faces."""
        raise NotImplementedError

    def _split(self, a: Tensor, room: Tensor) -> Tensor:
        """The part ``p`` (B, S, n) of ``a`` that the ball pays for; ``room`` is how far each coordinate may go."""
        raise NotImplementedError

    def _dual_norm(self, p: Tensor) -> Tensor:
        """An upper bound of the dual norm of ``p`` over the last axis."""
        raise NotImplementedError

    def minimise(self, a: Tensor) -> Tensor:
        """See :meth:`Box.minimise`; within rounding of the true minimum over ball and box together."""
        centre = self.centre.flatten(1)
        low = up((centre - self.lower.flatten(1)).clamp(min=0)).unsqueeze(1)
        high = up((self.upper.flatten(1) - centre).clamp(min=0)).unsqueeze(1)
        a = a.flatten(2).expand(max(len(centre), len(a)), -1, -1)
        p = self._split(a, torch.where(a > 0, low, high))
        q = a - p
        rounding = gamma(2 * a.shape[-1] + 8)
        worst = q.clamp(min=0) * low - q.clamp(max=0) * high  # -min of q . (x - centre), term by term
        box = up(worst.sum(-1) * (1.0 + rounding))
        ball = up(self._dual_norm(p) * float_above(self.epsilon))
        # fl(a - p) is off by at most u|q| (already inside `rounding`); a . centre by gamma_n |a| . |centre|.
        value = down(_dot(a, centre) - up(_dot(a.abs(), centre.abs()) * rounding))
        return down(down(value - ball) - box) - _underflow(a.shape[-1])

    def contains(self, x: Tensor) -> Tensor:
        """See :meth:`Box.contains`; a length that rounding leaves in doubt is compared in rational arithmetic."""
        inside = super().contains(x)
        offset = (x.double() - self.centre).flatten(1)
        length, count = self._norm(offset).squeeze(1), offset.shape[1]
        # Differences are off by u, their squares by 3u, the sum by gamma_n; squares may underflow, whose root is below 1e-150.
        room = up(length * gamma(2 * count + 16)) + count * 1e-150
        within = up(length + room) <= float_below(self.epsilon)
        doubtful = inside & ~within & ~(down(length - room) > float_above(self.epsilon))
        inside = inside & within
        for i in doubtful.nonzero().flatten().tolist():
            pairs = zip(x[i].flatten().tolist(), self.centre[i].flatten().tolist(), strict=True)
            inside[i] = self._exactly_within([Fraction(v) - Fraction(c) for v, c in pairs if v != c])
        return inside

    def _exactly_within(self, offset: list[Fraction]) -> bool:
        """Whether the norm of ``offset`` is at most epsilon, in exact arithmetic."""
        raise NotImplementedError

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of ball and box together, up to rounding: see :mod:`verify.projection`."""
        flat, centre = x.flatten(1), self.centre.flatten(1)
        lower, upper = self.inner_lower.flatten(1), self.inner_upper.flatten(1)
        offset = flat - centre
        side = offset.sign()
        room = torch.maximum(side * (lower - centre), side * (upper - centre)).clamp(min=0)
        moved = side * self._within(offset.abs(), room, float(self.epsilon) * (1.0 - 2.0**-30))
        return torch.minimum(torch.maximum(centre + moved, lower), upper).reshape(x.shape)

    def _within(self, size: Tensor, room: Tensor, radius: float) -> Tensor:
        """How far the coordinates of a projection move; all (B, n)."""
        raise NotImplementedError

    def _norm(self, offset: Tensor) -> Tensor:
        """Norm of each row, (N, 1)."""
        raise NotImplementedError


class L2Ball(_RoundBall):
    """Euclidean ball intersected with a box."""

    def _split(self, a: Tensor, room: Tensor) -> Tensor:
        # The best split needs no gradient of its own: with `q` held still, that of `minimise` is the minimiser (the envelope
        # theorem). Differentiating the formulas gives NaN wherever some a_i = 0, and a search that never moves.
        with torch.no_grad():
            p, shares = self._best_split(a, room)
        return p + torch.where(shares, a - a.detach(), 0.0) if a.requires_grad else p

    def _best_split(self, a: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        """The split, and whether the ball pays for anything in a row, (B, S, 1)."""
        # The minimiser moves each coordinate by min(|a| tau, room), tau chosen so that the moves have length epsilon.
        size = a.abs()
        epsilon2 = float(self.epsilon) ** 2
        ratio = torch.where(size > 0, room / size, torch.full_like(size, math.inf))
        order = ratio.argsort(dim=-1)
        ratio, sorted_size = ratio.gather(-1, order), size.gather(-1, order)
        sorted_room = torch.where(sorted_size > 0, room.expand_as(size).gather(-1, order), torch.zeros_like(ratio))
        full = (sorted_room**2).cumsum(-1) - sorted_room**2  # length^2 of the coordinates already at their wall
        rest = (sorted_size**2).flip(-1).cumsum(-1).flip(-1)
        tau2 = ((epsilon2 - full) / rest.clamp(min=1e-300)).clamp(min=0)
        fits = (tau2 <= ratio**2) & (full <= epsilon2)  # the first interval of tau that holds its own solution
        first = fits.to(torch.int8).argmax(-1, keepdim=True)
        tau = tau2.gather(-1, first).sqrt()
        # Nothing fits: every coordinate reaches its wall inside the ball, and the box pays for everything.
        tau = torch.where(fits.any(-1, keepdim=True), tau, torch.full_like(tau, math.inf))
        paid = torch.minimum(size, torch.where(tau > 0, room / tau, torch.full_like(size, math.inf)))
        return paid * a.sign(), tau.isfinite() & (rest.gather(-1, first) > 0)

    def _move(self, a: Tensor, p: Tensor, wall: Tensor) -> Tensor:
        length = p.norm(dim=1, keepdim=True)
        return torch.where(
            length > 0, -p * (float(self.epsilon) / length.clamp(min=1e-300)), torch.where(a == 0, 0.0, wall)
        )

    def _dual_norm(self, p: Tensor) -> Tensor:
        n = p.shape[-1]
        return up(((p * p).sum(-1) * (1.0 + gamma(n)) + n * 1e-300).sqrt())

    def _within(self, size: Tensor, room: Tensor, radius: float) -> Tensor:
        return within_l2(size, room, radius)

    def _norm(self, offset: Tensor) -> Tensor:
        length: Tensor = offset.norm(dim=1, keepdim=True)
        return length

    def _exactly_within(self, offset: list[Fraction]) -> bool:
        return sum(d * d for d in offset) <= self.epsilon**2


class L1Ball(_RoundBall):
    """l_1 ball intersected with a box."""

    def _split(self, a: Tensor, room: Tensor) -> Tensor:
        # Spend epsilon on the steepest coordinates first; `level` is the slope of the first one it cannot finish.
        size = a.abs()
        steepest, order = size.sort(dim=-1, descending=True)
        spent = room.expand_as(size).gather(-1, order).cumsum(-1)
        unfinished = spent > float(self.epsilon)
        first = unfinished.to(torch.int8).argmax(-1, keepdim=True)
        level = torch.where(unfinished.any(-1, keepdim=True), steepest.gather(-1, first), 0.0)
        return torch.minimum(torch.maximum(a, -level), level)

    def _move(self, a: Tensor, p: Tensor, wall: Tensor) -> Tensor:
        order = a.abs().argsort(dim=1, descending=True)
        room = wall.abs().gather(1, order)
        left = (float(self.epsilon) - (room.cumsum(1) - room)).clamp(min=0)
        spent = torch.zeros_like(a).scatter(1, order, torch.minimum(room, left))
        return torch.where(a == 0, 0.0, spent * wall.sign())

    def _dual_norm(self, p: Tensor) -> Tensor:
        return p.abs().amax(-1)

    def _within(self, size: Tensor, room: Tensor, radius: float) -> Tensor:
        return within_l1(size, room, radius)

    def _norm(self, offset: Tensor) -> Tensor:
        return offset.abs().sum(dim=1, keepdim=True)

    def _exactly_within(self, offset: list[Fraction]) -> bool:
        return sum(abs(d) for d in offset) <= self.epsilon


NORMS: Mapping[str, type[LinfBall] | type[_RoundBall]] = {"linf": LinfBall, "l2": L2Ball, "l1": L1Ball}


_DIAMETER: Mapping[str, Callable[[int], float]] = {"linf": lambda n: 1.0, "l2": math.sqrt, "l1": float}


def ball(
    centre: Tensor,
    epsilon: Fraction | float | str,
    *,
    norm: str = "linf",
    clip: tuple[float | str, float | str] | None = None,
) -> LinfBall | _RoundBall:
    """The ball of radius ``epsilon`` around each ``centre`` (B, *shape), intersected with ``clip`` = (lowest, highest).

    ``epsilon`` and ``clip`` are read as exact decimals, in the user's input units. Raises UsageError for a negative
    or non-finite radius, an unknown norm, and a centre that is NaN or outside the clip box.
    """
    if norm not in NORMS:
        raise UsageError(f"unknown norm {norm!r}: choose from {', '.join(NORMS)}")
    radius = parse_decimal(epsilon)
    if radius < 0:
        raise UsageError(f"epsilon is {epsilon}: it must not be negative")
    centre = centre.to(torch.float64)
    if not bool(torch.isfinite(centre).all()):
        raise UsageError("the input has NaN or infinite entries")
    lower, upper = shift_below(centre, radius), shift_above(centre, radius)
    inner_lower, inner_upper = shift_inside(centre, radius), -shift_inside(-centre, radius)
    asked = None
    if clip is not None:
        asked = lowest, highest = parse_decimal(clip[0], "clip"), parse_decimal(clip[1], "clip")
        if lowest >= highest:
            raise UsageError(f"clip is {clip[0]} {clip[1]}: the first must be below the second")
        widest = float(highest - lowest) * _DIAMETER[norm](centre[0].numel())
        if radius > widest:
            raise UsageError(
                f"epsilon is {epsilon}, but no two points of clip [{clip[0]}, {clip[1]}] are further apart than {widest:g} "
                f"in {norm}: give epsilon in the data's units (8/255, say, for pixels scaled to [0, 1])"
            )
        outside = int(((centre < float_below(lowest)) | (centre > float_above(highest))).flatten(1).any(1).sum())
        if outside:
            raise UsageError(
                f"{outside} of {len(centre)} inputs have entries outside clip [{clip[0]}, {clip[1]}] (they range over "
                f"[{float(centre.min()):.6g}, {float(centre.max()):.6g}]): scale the data or change clip"
            )
        lower, upper = lower.clamp(min=float_below(lowest)), upper.clamp(max=float_above(highest))
        inner_lower, inner_upper = (
            inner_lower.clamp(min=float_above(lowest)),
            inner_upper.clamp(max=float_below(highest)),
        )
    return NORMS[norm](lower, upper, inner_lower, inner_upper, centre, radius, asked)


def box(lower: Tensor, upper: Tensor) -> Box:
    """The box between two float64 tensors (B, *shape), taken literally."""
    lower, upper = lower.to(torch.float64), upper.to(torch.float64)
    return Box(lower, upper, lower, upper)


def centre_and_radius(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """A middle and a radius with ``[lower, upper]`` inside ``[middle - radius, middle + radius]`` in exact arithmetic."""
    middle = lower / 2 + upper / 2
    return middle, up(torch.maximum(upper - middle, middle - lower))


def _dot(a: Tensor, v: Tensor) -> Tensor:
    """``a . v`` over the last axis: (B or 1, S, n) and (B or 1, n) -> (B, S)."""
    if a.shape[0] == 1:
        return v @ a[0].T
    if v.shape[0] == 1:
        return a @ v[0]
    return torch.matmul(a, v.unsqueeze(-1)).squeeze(-1)


def _underflow(terms: int) -> float:
    """What underflow may add up to in a concretisation of ``terms`` coordinates."""
    return 8.0 * (terms + 1) * 2.0**-1022
