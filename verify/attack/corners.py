"""Local search over the corners of a box: one coordinate at a time, to the other wall.

For rows that are met at corners only: gadgets that force 0 or 1, quantised inputs, where the gradient leads nowhere. A
move goes to the best neighbour that is not forbidden, and forbids its own undoing for a while (tabu search, Glover
1989; on Boolean formulas GSAT with tabu, Mazure, Sais and Gregoire 1997).
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.aim import Aim
from verify.attack.search import Search

_NEIGHBOURS = 128
"""Neighbours tried in a move; with more coordinates than this, those that the gradient favours and as many at random."""


def search_corners(
    aim: Aim, x: Tensor, owner: Tensor, search: Search, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The best corner met from the one nearest to each of ``x`` (N, *shape), and its largest row (N,).

    ``aim`` must be of boxes. Stops as soon as one corner succeeds; a tie is a success.
    """
    region = aim.region.select(owner)
    lower, upper = region.inner_lower.flatten(1), region.inner_upper.flatten(1)
    count, size = lower.shape
    high = x.flatten(1) - lower > upper - x.flatten(1)
    free_from = torch.zeros(count, size, dtype=torch.long)
    fixed = lower >= upper
    best, least = x, torch.full((count,), torch.inf)
    everyone = torch.arange(count)
    for move in range(search.flips + 1):
        corner = torch.where(high, upper, lower)
        scores = aim.network(corner.reshape(x.shape))
        margin = aim.rows(scores, owner).amax(1)
        better = margin < least
        least = torch.where(better, margin, least)
        best = torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), corner.reshape(x.shape), best)
        if move == search.flips or search.late or bool(aim.reached(best, owner, least).any()):
            break
        tried = _tried(aim, corner.reshape(x.shape), owner, high, generator)
        flipped = corner.unsqueeze(1).expand(-1, tried.shape[1], -1).clone()
        other = torch.where(high, lower, upper).gather(1, tried)
        flipped.scatter_(2, tried.unsqueeze(2), other.unsqueeze(2))
        value = _violation(
            aim, flipped.flatten(0, 1).reshape(-1, *x.shape[1:]), owner.repeat_interleave(tried.shape[1])
        )
        value = value.reshape(count, -1)
        forbidden = (free_from.gather(1, tried) > move) & (value >= least.unsqueeze(1).clamp(min=0))
        value = torch.where(forbidden | fixed.gather(1, tried), torch.inf, value)
        # Equal neighbours are common; without a coin the search would walk in circles.
        value = value * (1.0 + 1e-3 * torch.rand(value.shape, generator=generator))
        chosen = tried[everyone, value.argmin(1)]
        high[everyone, chosen] = ~high[everyone, chosen]
        tenure = torch.randint(1, 2 + min(10, size // 4), (count,), generator=generator)
        free_from[everyone, chosen] = move + 1 + tenure
    return best, least


def _tried(aim: Aim, corner: Tensor, owner: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
    """The coordinates to flip at each corner, (N, m)."""
    count, size = high.shape
    if size <= _NEIGHBOURS:
        return torch.arange(size).expand(count, -1)
    leaf = corner.detach().requires_grad_()
    loss = aim.rows(aim.network(leaf), owner).clamp(min=0).sum()
    (gradient,) = torch.autograd.grad(loss, leaf)
    gain = torch.where(high, gradient.flatten(1), -gradient.flatten(1))
    favoured = gain.topk(_NEIGHBOURS // 2, dim=1).indices
    return torch.cat([favoured, torch.randint(size, (count, _NEIGHBOURS // 2), generator=generator)], 1)


def _violation(aim: Aim, x: Tensor, owner: Tensor) -> Tensor:
    """The sum of the rows that are not met: 0 where all are. (N,)."""
    violated: Tensor = aim.rows(aim.network(x), owner).clamp(min=0).sum(1)
    return violated
