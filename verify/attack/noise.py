"""Noise, the baseline that every attack must beat: uniform in the region, or at its corners."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from verify.attack.task import Best, Task


def uniform(task: Task, start: Tensor) -> Tensor:
    """The best of ``steps`` random points of the region's bounding box, projected."""
    region = task.region
    return _best_of(task, lambda share: region.lower + share * (region.upper - region.lower))


def signs(task: Task, start: Tensor) -> Tensor:
    """The best of ``steps`` points that move every coordinate up or down by the same amount, as far as the region reaches."""
    size = task.centre[0].numel()
    amount = task.radius / {"linf": 1.0, "l2": size**0.5, "l1": float(size)}[task.norm]
    return _best_of(task, lambda share: task.centre + amount * (share - 0.5).sign())


def _best_of(task: Task, point: Callable[[Tensor], Tensor]) -> Tensor:
    """The best of ``steps`` points made from random numbers in [0, 1)."""
    best, everyone = Best.none_yet(task.centre), torch.arange(task.count, device=task.centre.device)
    for _ in range(task.options.steps):
        share = torch.rand(task.centre.shape, generator=task.generator, dtype=task.centre.dtype)
        x = task.region.project(point(share.to(task.centre.device)))
        margin, broken = task.look(x)
        best.take(everyone, x, margin)
        if task.late or bool(broken.all()):
            break
    return best.points
