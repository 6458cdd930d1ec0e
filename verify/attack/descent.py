"""Projected steepest descent on the rows of a clause, each point with its own step length.

Steps are those of the region's norm: signs in a box (Madry et al. 2018), the steepest direction of the ball elsewhere.
Momentum and step halving follow Auto-PGD (Croce and Hein 2020): a point that stops improving returns to its best and
halves its step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.aim import Aim, is_round, slack
from verify.attack.search import Search
from verify.region import Box

_PATIENCE = 4
"""Steps without improvement before a point halves its step."""

_MOMENTUM = 0.25
"""Share of the last move in the next one, Auto-PGD's value."""

_DIVERSIFYING = 4
"""Steps of :func:`diversify`, each of half the region's reach, so that every part of it can be left."""


def descend(aim: Aim, x: Tensor, owner: Tensor, search: Search, *, rate: float = 2.0) -> tuple[Tensor, Tensor]:
    """The best point met from each of ``x`` (N, *shape), and its largest row (N,), <= 0 where its clause is satisfied.

    ``owner`` (N,) says whose clause a point is to satisfy; ``rate`` is the first step, in units of the region's reach.
    Stops as soon as one point succeeds with float32's slack: one counterexample is all that is asked for.
    """
    region = aim.region.select(owner)
    wide = [1] * (x.dim() - 1)
    # Long and short first steps, and two losses, by turns: the largest row, and the sum of the violated ones.
    turn = torch.arange(len(x))
    step = torch.where(turn % 4 < 2, rate, rate / 4).to(x.dtype).reshape(-1, *wide)
    summed = turn % 2 == 1
    best, least, last = x, torch.full((len(x),), torch.inf, dtype=x.dtype), x
    stuck = torch.zeros(len(x), dtype=torch.long)
    for k in range(search.steps + 1):
        leaf = x.detach().requires_grad_()
        scores = aim.network(leaf)
        rows = aim.rows(scores, owner)
        worst = rows.detach().amax(1)
        better = worst < least
        least = torch.where(better, worst, least)
        best = torch.where(better.reshape(-1, *wide), x, best)
        if k == search.steps or search.late or bool((worst + slack(scores.detach()) <= 0).any()):
            break
        loss = torch.where(summed & (worst > 0), rows.clamp(min=0).sum(1), rows.amax(1))
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        stuck = torch.where(better, 0, stuck + 1)
        again = (stuck >= _PATIENCE).reshape(-1, *wide)
        stuck = torch.where(stuck >= _PATIENCE, 0, stuck)
        step = torch.where(again, step / 2, step)
        moved = x + step * steepest(region, gradient) + _MOMENTUM * (x - last)
        last = torch.where(again, best, x)
        x = region.project(torch.where(again, best, moved))
    return best, least


def diversify(aim: Aim, x: Tensor, owner: Tensor, generator: torch.Generator) -> Tensor:
    """Points (N, *shape) after a few steps from ``x`` that push the scores in random directions.

    Output-diversified initialisation (Tashiro, Song and Ermon 2020): random inputs all look alike to a network in many
    dimensions, inputs with different scores do not.
    """
    region = aim.region.select(owner)
    direction = torch.rand(len(x), aim.network.outputs, generator=generator).to(x.dtype) * 2 - 1
    for _ in range(_DIVERSIFYING):
        leaf = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad((direction * aim.network(leaf)).sum(), leaf)
        x = region.project(x + 0.5 * steepest(region, gradient))
    return x.detach()


def steepest(region: Box, gradient: Tensor) -> Tensor:
    """The move of the region's own norm that lowers a linear function fastest, as long as the region reaches."""
    if is_round(region):
        return region.minimiser(gradient) - region.project((region.lower + region.upper) / 2)
    return -region.reach() * gradient.sign()
