"""The nearest point of ball and box together, in a few passes: attacks project at every step.

:meth:`verify.region.Box.project` finds the same point by a hundred bisections, which is fine once but not at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from verify.region import Box, L1Ball, L2Ball

_ROUNDS = 60
"""Of the searches below, which end by themselves, after ten as a rule; bisection alone would need no more."""


def project(region: Box, x: Tensor) -> Tensor:
    """The point of ``region`` nearest to ``x`` (B, *shape) in the Euclidean norm, up to rounding: (B, *shape).

    With v = x - centre, the optimality conditions leave one unknown for each input, the multiplier of the ball's radius; each
    coordinate then moves towards v as far as multiplier and walls let it.
    """
    if not isinstance(region, (L1Ball, L2Ball)):
        return region.project(x)
    centre = region.centre.flatten(1)
    lower, upper = region.inner_lower.flatten(1) - centre, region.inner_upper.flatten(1) - centre
    offset = x.flatten(1) - centre
    size = offset.abs()
    room = torch.where(offset > 0, upper, -lower).clamp(min=0)
    moved = offset.sign() * _MOVED[type(region)](size, room, float(region.epsilon))
    return (centre + torch.minimum(torch.maximum(moved, lower), upper)).reshape(x.shape)


def _within_l2(size: Tensor, room: Tensor, radius: float) -> Tensor:
    """``min(s |v|, room)`` with the largest s <= 1 for which its length is at most ``radius``."""
    return scaled(size, room, radius, most=1.0)


def scaled(size: Tensor, room: Tensor, radius: float, *, most: float) -> Tensor:
    """``min(s size, room)`` with the largest ``s <= most`` for which its Euclidean length is at most ``radius``; all (B, n).

    Invariant: s is never too large. Coordinates at their wall stay there, the others share what is left of the radius,
    so s only grows, and the search ends when no further coordinate reaches its wall.
    """
    tiny = torch.finfo(size.dtype).tiny
    s = (radius / size.norm(dim=1, keepdim=True).clamp(min=tiny)).clamp(max=most)
    for _ in range(_ROUNDS):
        free = s * size < room
        paid = torch.where(free, 0.0, room).square().sum(1, keepdim=True)
        rest = torch.where(free, size, 0.0).square().sum(1, keepdim=True)
        grown = ((radius**2 - paid).clamp(min=0) / rest.clamp(min=tiny)).sqrt().clamp(max=most)
        if not bool((grown > s).any()):
            break
        s = torch.maximum(s, grown)
    return torch.minimum(s * size, room)


def _within_l1(size: Tensor, room: Tensor, radius: float) -> Tensor:
    """``clip(|v| - t, 0, room)`` with the smallest t >= 0 for which its sum is at most ``radius``.

    Newton's method on a piecewise linear function, exact once the piece of the root is met, kept strictly inside a bracket
    that shrinks with every round: at its ends it could go back and forth for ever.
    """
    close = radius * 8 * torch.finfo(size.dtype).eps
    low = torch.zeros_like(size[:, :1])
    high = size.amax(1, keepdim=True)
    t, done = low, torch.zeros_like(low, dtype=torch.bool)
    for _ in range(_ROUNDS):
        left = size - t
        value = torch.minimum(left.clamp(min=0), room).sum(1, keepdim=True) - radius
        done = (value.abs() <= close) | ((t <= 0) & (value <= 0))
        if bool(done.all()):
            return torch.minimum(left.clamp(min=0), room)
        low, high = torch.where(value > 0, t, low), torch.where(value > 0, high, t)
        count = ((left > 0) & (left < room)).sum(1, keepdim=True)
        newton = t + value / count
        inside = (count > 0) & (newton > low) & (newton < high)
        t = torch.where(done, t, torch.where(inside, newton, (low + high) / 2))
    return torch.minimum((size - torch.where(done, t, high)).clamp(min=0), room)


_MOVED: Mapping[type[Box], Callable[[Tensor, Tensor, float], Tensor]] = {L2Ball: _within_l2, L1Ball: _within_l1}
