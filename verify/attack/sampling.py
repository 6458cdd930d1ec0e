"""Random points and corners: in a few dimensions the cheapest attack there is, and in many a source of starts."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.aim import Aim
from verify.attack.pool import Pool, best
from verify.region import Box

_BLOCK = 2**22
"""Numbers in the inputs of one evaluation."""


def sample(aim: Aim, count: int, generator: torch.Generator, *, keep: int) -> Pool:
    """For each clause the best ``keep`` of the middle of its region and ``count`` points of it, half of them corners.

    Clauses that share a region share the points, and the network sees each of them once.
    """
    regions = aim.region.select(torch.zeros(1, dtype=torch.long)) if aim.shared else aim.region
    x = torch.cat([middle(regions).unsqueeze(1), draw(regions, count, generator)], 1)
    flat = x.flatten(0, 1)
    parts = flat.split(max(1, _BLOCK // flat[0].numel()))
    scores = torch.cat([aim.network(part) for part in parts]).unflatten(0, x.shape[:2])
    pools = []
    for k in range(aim.count):
        which = 0 if aim.shared else k
        rows = scores[which] @ aim.C[k].T + aim.d[k]
        pools.append(best(x[which].unsqueeze(0), rows.amax(1).unsqueeze(0), keep))
    return Pool(torch.cat([pool.points for pool in pools]), torch.cat([pool.margin for pool in pools]))


def draw(region: Box, count: int, generator: torch.Generator) -> Tensor:
    """``count`` random points of each region, (B, count, *shape): inside and corner by turns."""
    owner = torch.arange(region.count).repeat_interleave(count)
    each = region.select(owner)
    inside = each.sample(generator)
    coin = torch.rand(inside.shape, generator=generator) < 0.5
    corner = each.project(torch.where(coin, each.lower, each.upper))
    turn = (torch.arange(len(owner)) % 2 == 1).reshape(-1, *[1] * (inside.dim() - 1))
    mixed: Tensor = torch.where(turn, corner, inside).unflatten(0, (region.count, count))
    return mixed


def middle(region: Box) -> Tensor:
    """A point in the middle of each region, (B, *shape)."""
    point: Tensor = region.project((region.lower + region.upper) / 2)
    return point
