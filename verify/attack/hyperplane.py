"""The nearest point of a half-space and a box together, in any of the norms: what DeepFool and FAB step to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

_ROUNDS = 60
"""Of Newton's method on a concave piecewise linear function; it ends by itself, after ten as a rule."""


def nearest(norm: str, slope: Tensor, gap: Tensor, x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The shortest move d (N, n) in ``norm`` with ``slope . d = -gap`` and ``lower <= x + d <= upper``.

    ``slope``, ``x``, ``lower``, ``upper``: (N, n); ``gap`` (N,). Where the box holds no such point, the move that comes closest.
    """
    towards = -slope * gap.sign().unsqueeze(1)
    room = torch.where(towards > 0, upper - x, x - lower).clamp(min=0)
    return towards.sign() * _LENGTHS[norm](slope.abs(), room, gap.abs().unsqueeze(1))


def _linf(size: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    return _even(torch.ones_like(size), size, room, gap)


def _l2(size: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    return _even(size, size, room, gap)


def _even(pace: Tensor, size: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    """``min(s pace, room)`` with the smallest s for which ``size . min(s pace, room) >= gap``.

    Invariant: s is never too large, since a tangent lies above a concave function.
    """
    tiny = torch.finfo(size.dtype).tiny
    room = torch.where(size > 0, room, 0.0)
    s = torch.zeros_like(gap)
    for _ in range(_ROUNDS):
        free = s * pace < room
        rise = torch.where(free, size * pace, 0.0).sum(1, keepdim=True)
        left = gap - (size * torch.minimum(s * pace, room)).sum(1, keepdim=True)
        grown = s + torch.where(rise > 0, left / rise.clamp(min=tiny), 0.0)
        if not bool((grown > s).any()):
            break
        s = torch.maximum(s, grown)
    return torch.minimum(s * pace, room)


def _l1(size: Tensor, room: Tensor, gap: Tensor) -> Tensor:
    """The steepest coordinates first, each as far as it can go."""
    order = size.argsort(dim=1, descending=True)
    slope, most = size.gather(1, order), torch.where(size > 0, room, 0.0).gather(1, order)
    gain = torch.where(slope > 0, slope * most, 0.0)
    left = (gap - (gain.cumsum(1) - gain).nan_to_num(torch.inf)).clamp(min=0)
    spent = torch.minimum(most, torch.where(slope > 0, left / slope, 0.0))
    return torch.zeros_like(size).scatter(1, order, spent)


_LENGTHS: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"linf": _linf, "l2": _l2, "l1": _l1}
