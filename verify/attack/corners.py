"""Local search over the corners of a box: one coordinate at a time, to the other wall.

For rows that are met at corners only, such as gadgets that force 0 or 1, where the gradient leads nowhere. A move goes to
the best neighbour that is not forbidden, and forbids its own undoing for a while: tabu search (Glover 1989), which on
Boolean formulas is GSAT with a tabu list (Mazure, Sais and Gregoire 1997).
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.aim import Aim
from verify.attack.search import Search

MOST = 256
"""Most coordinates: a move tries every neighbour. On images (784 coordinates, 0.05 s a move) it found nothing."""


def search_corners(
    aim: Aim, x: Tensor, owner: Tensor, search: Search, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The best corner met from the one nearest to each of ``x`` (N, *shape), and its largest row (N,).

    ``aim`` must be of boxes of at most :data:`MOST` coordinates. Stops as soon as one corner succeeds; a tie is a success.
    """
    region = aim.region.select(owner)
    lower, upper = region.inner_lower.flatten(1), region.inner_upper.flatten(1)
    count, size = lower.shape
    everyone, each = torch.arange(count), torch.eye(size, dtype=torch.bool)
    high = x.flatten(1) - lower > upper - x.flatten(1)
    free_from = torch.zeros(count, size, dtype=torch.long)
    best, least = x, torch.full((count,), torch.inf)
    record = torch.full((count,), torch.inf)
    for move in range(search.flips + 1):
        corner = torch.where(high, upper, lower)
        worst = aim.rows(aim.network(corner.reshape(x.shape)), owner).amax(1)
        better = worst < least
        least = torch.where(better, worst, least)
        best = torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), corner.reshape(x.shape), best)
        if move == search.flips or search.late or bool(aim.reached(best, owner, least).any()):
            break
        other = torch.where(high, lower, upper)
        neighbours = torch.where(each, other.unsqueeze(1), corner.unsqueeze(1))  # (N, coordinate flipped, coordinate)
        rows = aim.rows(aim.network(neighbours.reshape(-1, *x.shape[1:])), owner.repeat_interleave(size))
        violation = rows.clamp(min=0).sum(1).reshape(count, size)
        # A forbidden move is made all the same where it beats everything met before.
        forbidden = (free_from > move) & (violation >= record.unsqueeze(1))
        value = torch.where(forbidden | (lower >= upper), torch.inf, violation)
        # Equal neighbours are common; without a coin the search would walk in circles.
        chosen = (value * (1.0 + 1e-3 * torch.rand(value.shape, generator=generator))).argmin(1)
        record = torch.minimum(record, violation[everyone, chosen])
        high[everyone, chosen] = ~high[everyone, chosen]
        free_from[everyone, chosen] = move + 2 + torch.randint(min(10, size // 4) + 1, (count,), generator=generator)
    return best, least
