"""Clipping: what a linear lower bound of a row that must not be positive cuts off a box, in closed form.

With ``row(x) >= a . x + c`` over the box, a point with ``row(x) <= 0`` has ``a . x + c <= 0``, hence for each coordinate
alone ``|a_i| |x_i - near_i| <= -m``: ``m`` is the minimum of ``a . x + c`` over the box and ``near_i`` the end where
``a_i x_i`` is least ("relaxed clipping", Clip-and-Verify 2025, arXiv 2512.11087). What is cut off is excluded for good.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.branch.halfspaces import Halfspaces
from verify.floating import down, up
from verify.region import box

ROUNDS = 2  # every row gets a second turn on what the others left
CHAIN = 24  # rounds of half-spaces: one that fixes a coordinate lets the next fix another
PROGRESS = 0.1  # of some coordinate's width, which a round must cut off for another to follow
TURNS = 4  # how often a box's own rows and the half-spaces may help each other


def clip(lower: Tensor, upper: Tensor, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink boxes (B, n) by the forms ``a . x + c`` below rows that must all be at most 0; ``a`` (B, S, n), ``c`` (B, S).

    Returns ``lower``, ``upper`` and ``excluded`` (B,) bool. Every point of a box that satisfies all rows is in the box
    that is returned, and an excluded box has none. Recomputed: every end, rounded outwards, never past the end it had.
    Trusted: that the forms hold over the boxes that came in.
    """
    size = a.abs()
    excluded = torch.zeros(len(lower), dtype=torch.bool)
    for _ in range(ROUNDS):
        least = down(box(lower, upper).minimise(a) + c)
        # A coordinate with a_i = 0 has an infinite room, or 0 / 0; neither is looked at.
        room = up(-least.clamp(max=0).unsqueeze(2) / size)
        highest = torch.where(a > 0, up(lower.unsqueeze(1) + room), torch.inf).amin(1)
        lowest = torch.where(a < 0, down(upper.unsqueeze(1) - room), -torch.inf).amax(1)
        below, above = torch.maximum(lower, lowest), torch.minimum(upper, highest)
        empty = (least > 0).any(1) | (below > above).any(1)
        excluded |= empty
        lower, upper = torch.where(empty.unsqueeze(1), lower, below), torch.where(empty.unsqueeze(1), upper, above)
    return lower, upper, excluded


def clip_chain(lower: Tensor, upper: Tensor, shared: Halfspaces) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink boxes (B, n) by half-spaces that they share, round after round for as long as one opens the next.

    For rows that are sums of few coordinates this is unit propagation. Returns, recomputes and trusts what
    :func:`clip` does; the half-spaces must hold for every point of the boxes that satisfies the clause.
    """
    excluded = torch.zeros(len(lower), dtype=torch.bool)
    if not len(shared):
        return lower, upper, excluded
    for _ in range(CHAIN):
        least = shared.least(lower, upper)
        room = torch.cat([-least.clamp(max=0), least.new_full((len(least), 1), torch.inf)], 1)
        highest = up(lower + up((room[:, shared.rising.place] / shared.rising.size).amin(2)))
        lowest = down(upper - up((room[:, shared.falling.place] / shared.falling.size).amin(2)))
        below, above = torch.maximum(lower, lowest), torch.minimum(upper, highest)
        empty = (least > 0).any(1) | (below > above).any(1)
        excluded |= empty
        less = ((above - below) < (1.0 - PROGRESS) * (upper - lower)) & ~excluded.unsqueeze(1)
        lower, upper = torch.where(empty.unsqueeze(1), lower, below), torch.where(empty.unsqueeze(1), upper, above)
        if not bool(less.any()):
            break
    return lower, upper, excluded


def clip_both(lower: Tensor, upper: Tensor, a: Tensor, c: Tensor, shared: Halfspaces) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink boxes by their own rows, as :func:`clip`, and by shared half-spaces, as :func:`clip_chain`, in turns."""
    lower, upper, excluded = clip(lower, upper, a, c)
    if not len(shared):
        return lower, upper, excluded
    for _ in range(TURNS):
        width = upper - lower
        lower, upper, empty = clip_chain(lower, upper, shared)
        excluded |= empty
        lower, upper, empty = clip(lower, upper, a, c)
        excluded |= empty
        if not bool(((upper - lower < (1.0 - PROGRESS) * width) & ~excluded.unsqueeze(1)).any()):
            break
    return lower, upper, excluded
