"""How far each coordinate moves towards a point, so that ball and box are kept: the two projections that are no clamp.

The nearest point of a ball around 0 and a box to v moves every coordinate towards v_i, as far as its wall and one number,
the same for all of them, let it: the multiplier of the ball's radius in the optimality conditions. Both searches for it
end by themselves, after ten rounds as a rule: attacks project at every step. So choices by coordinate are signs and
products: what a processor cannot guess costs it, in ``torch.where`` or a mask, twenty times as much.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 60
"""At most; bisection alone would need no more."""


def within_l2(size: Tensor, room: Tensor, radius: float) -> Tensor:
    """``min(s size, room)`` with the largest ``s <= 1`` for which its Euclidean length is at most ``radius``; all (B, n) >= 0.

    Invariant: s is never too large. Coordinates at their wall stay there, the others share what is left of the radius,
    so s only grows, and the search ends when no further coordinate reaches its wall.
    """
    tiny = torch.finfo(size.dtype).tiny
    s = (radius / size.norm(dim=1, keepdim=True).clamp(min=tiny)).clamp(max=1.0)
    for _ in range(_ROUNDS):
        moved = torch.minimum(s * size, room)
        free = (room - moved).sign()
        rest = (size * free).square().sum(1, keepdim=True)
        paid = (moved * (1 - free)).square().sum(1, keepdim=True)
        grown = ((radius**2 - paid).clamp(min=0) / rest.clamp(min=tiny)).sqrt().clamp(max=1.0)
        if not bool((grown > s).any()):
            break
        s = torch.maximum(s, grown)
    return torch.minimum(s * size, room)


def within_l1(size: Tensor, room: Tensor, radius: float) -> Tensor:
    """``clip(size - t, 0, room)`` with the smallest t >= 0 for which its sum is at most ``radius``; all (B, n) >= 0.

    Newton's method on a piecewise linear function, exact once the piece of the root is met, kept strictly inside a bracket
    that shrinks with every round: at its ends it could go back and forth for ever.
    """
    close = radius * 8 * torch.finfo(size.dtype).eps
    low = torch.zeros_like(size[:, :1])
    high = size.amax(1, keepdim=True)
    t, done = low, torch.zeros_like(low, dtype=torch.bool)
    for _ in range(_ROUNDS):
        moved = torch.minimum((size - t).clamp(min=0), room)
        value = moved.sum(1, keepdim=True) - radius
        done = (value.abs() <= close) | ((t <= 0) & (value <= 0))
        if bool(done.all()):
            return moved
        low, high = torch.where(value > 0, t, low), torch.where(value > 0, high, t)
        count = (moved.sign() * (room - moved).sign()).sum(1, keepdim=True)  # those strictly between 0 and their wall
        newton = t + value / count
        inside = (count > 0) & (newton > low) & (newton < high)
        t = torch.where(done, t, torch.where(inside, newton, (low + high) / 2))
    return torch.minimum((size - torch.where(done, t, high)).clamp(min=0), room)
