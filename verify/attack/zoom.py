"""Random search that closes in: points scattered around the best ones, ever closer.

Without gradients, so it does not stop at the kinks where the largest of several rows changes. In a few dimensions it finds
what descent misses (prop_7 of ACAS Xu), in many dimensions nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.aim import Aim
from verify.attack.pool import Pool
from verify.attack.search import Search

PARENTS = 20
"""Points of each clause that are searched around at the same time."""

_WIDEST, _CLOSEST = 0.5, 2.0**-10
"""Standard deviation of the scatter at first and at last, in units of the region's reach."""


def zoom(aim: Aim, pool: Pool, search: Search, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The best points met around the best of ``pool``, (N, *shape) clause after clause, and their largest rows (N,).

    ``search.zooms`` rounds of ``search.scatter`` points around each. Stops as soon as one succeeds; a tie is a success.
    """
    x, least = pool.points[:, :PARENTS], pool.margin[:, :PARENTS]
    count, parents = least.shape
    wide = [1] * (x.dim() - 2)
    owner = torch.arange(count).repeat_interleave(parents)
    child_owner = owner.repeat_interleave(search.scatter)
    region = aim.region.select(child_owner)
    reach = aim.region.reach().unsqueeze(1).unsqueeze(1)
    for k in range(search.zooms):
        if search.late or bool(aim.reached(x.flatten(0, 1), owner, least.flatten()).any()):
            break
        width = _WIDEST * (_CLOSEST / _WIDEST) ** (k / search.zooms)
        noise = torch.randn((count, parents, search.scatter, *x.shape[2:]), generator=generator)
        child = region.project((x.unsqueeze(2) + width * reach * noise).flatten(0, 2))
        worst = aim.rows(aim.network(child), child_owner).amax(1).unflatten(0, noise.shape[:3])
        value, index = worst.min(2)
        chosen = child.unflatten(0, noise.shape[:3]).flatten(0, 1)[torch.arange(len(owner)), index.flatten()]
        better = value < least
        x = torch.where(better.reshape(*better.shape, *wide), chosen.reshape(x.shape), x)
        least = torch.where(better, value, least)
    return x.flatten(0, 1), least.flatten()
