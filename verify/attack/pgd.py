"""Projected gradient descent on each margin, from several starts (Madry et al. 2018, with the margin as the loss)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.region import Box
from verify.specification import Query


@dataclass(frozen=True, kw_only=True)
class PGD:
    """How hard to attack. The first start is the middle of the region, the others are random."""

    steps: int = 40
    starts: int = 3
    seed: int = 0
    deadline: float | None = None  # time.perf_counter() after which no new step is taken


def lowest_margins(query: Query, attack: PGD) -> tuple[Tensor, Tensor]:
    """Points that make margins small: ``points`` (B, S, *shape), one aimed at each row, and their margins (B, S).

    The margins are float32 estimates and the points candidates: only :mod:`verify.witness` evaluates them for good.
    """
    network = query.network.to(dtype=torch.float32)
    count, rows = query.region.count, query.specification.C.shape[1]
    owner = torch.arange(count).repeat_interleave(rows)
    region = query.region.select(owner).to(dtype=torch.float32)
    C = query.specification.C.expand(count, -1, -1).flatten(0, 1).float()
    d = query.specification.d.expand(count, -1).flatten().float()
    generator = torch.Generator().manual_seed(attack.seed)
    best_point = _middle(region)
    best = torch.full((len(owner),), torch.inf)
    for start in range(attack.starts):
        x = _middle(region) if start == 0 else region.sample(generator)
        rate = 0.5
        for _ in range(attack.steps + 1):
            leaf = x.detach().requires_grad_()
            margin = (C * network(leaf)).sum(1) + d
            (gradient,) = torch.autograd.grad(margin.sum(), leaf)
            lower = (margin < best).detach()
            best = torch.where(lower, margin.detach(), best)
            best_point = torch.where(lower.reshape(-1, *[1] * (x.dim() - 1)), x, best_point)
            if attack.deadline is not None and time.perf_counter() > attack.deadline:
                return best_point.double().unflatten(0, (count, rows)), best.unflatten(0, (count, rows)).double()
            x = region.project(x - rate * region.reach() * gradient.sign())
            rate = max(rate * 0.92, 0.01)
    return best_point.double().unflatten(0, (count, rows)), best.unflatten(0, (count, rows)).double()


def _middle(region: Box) -> Tensor:
    return region.project((region.lower + region.upper) / 2)
