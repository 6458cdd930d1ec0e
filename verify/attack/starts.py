"""Where a run begins: at the input itself, at a random point, or where the scores are already different."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from verify.attack.directions import steepest
from verify.region import Box, L2Ball

if TYPE_CHECKING:
    from verify.attack.task import Task

_DIVERSIFYING = 2
"""Steps of an output-diversified start, each as long as the region's radius (the paper's choice for white-box attacks)."""

_EDGE = 1e-7  # keeps normal numbers finite

Start: TypeAlias = "Callable[[Task, Tensor], Tensor]"
"""Task of N inputs and random numbers (N, *shape) in [0, 1) -> points (N, *shape)."""


def centre(task: Task, share: Tensor) -> Tensor:
    """The input itself."""
    return task.centre


def random(task: Task, share: Tensor) -> Tensor:
    """A random point of the region's bounding box, projected."""
    return sample(task.region, share)


def odi(task: Task, share: Tensor) -> Tensor:
    """A random point after two steps that push the scores in a random direction (Tashiro, Song and Ermon 2020)."""
    x = sample(task.region, share)
    # Derived from the draws of the input itself, so that an input's start does not depend on which others are attacked.
    seeds = (share.flatten(1)[:, :1] + torch.arange(task.network.outputs, device=share.device) * 0.618034) * 7919.0
    direction = (seeds.frac() * 2 - 1).to(x.dtype)
    for _ in range(_DIVERSIFYING):
        if task.late:
            break
        leaf = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(-(direction * task.network(leaf)).sum(), leaf)
        task.meter.queries[task.owner] += 1
        x = task.region.project(x + task.radius * steepest(task.region, task.norm, x, gradient))
    return x.detach()


def sample(region: Box, share: Tensor) -> Tensor:
    """The point that random numbers ``share`` (N, *shape) in [0, 1) mean: anywhere in a box, projected where it is an l1 ball.

    In an l2 ball it lies in a random direction at full distance: in many dimensions nearly all of a ball is there.
    """
    if not isinstance(region, L2Ball):
        return region.project(region.lower + share * (region.upper - region.lower))
    normal = torch.special.ndtri(share.double().clamp(_EDGE, 1 - _EDGE)).flatten(1)
    direction = (normal / normal.norm(dim=1, keepdim=True)).reshape(share.shape).to(share.dtype)
    return region.project(region.centre + float(region.epsilon) * direction)


STARTS: Mapping[str, tuple[Start, ...]] = {
    "auto": (centre, random, odi),  # the first run at the input, then by turns at random and diversified points
    "centre": (centre,),
    "random": (random,),
    "odi": (odi,),
}


def start_of(name: str, restart: int) -> Start:
    """The start of the run number ``restart``."""
    choices = STARTS[name]
    if restart < len(choices):
        return choices[restart]
    again = choices[1:] or choices
    return again[(restart - 1) % len(again)]
