"""Projected gradient descent with steepest-descent steps of the region's norm (Madry et al. 2018; Kolter and Madry 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.directions import steepest
from verify.attack.task import Best, Task

_REACH = 2.5
"""Steps together are this many radii long, so that every corner can be reached and left again (Madry et al. 2018)."""


def pgd(task: Task, start: Tensor) -> Tensor:
    """The best point met on the way from ``start`` (N, *shape); points that succeed go no further."""
    steps = task.options.steps
    size = task.options.step_size or _REACH * task.radius / steps
    best, x = Best.none_yet(start), start
    live = torch.arange(task.count, device=start.device)
    for k in range(steps + 1):
        if k == steps or task.late:
            best.take(live, x, task.look(x)[0])
            break
        here = task.slope(x)
        best.take(live, x, here.margin)
        going = (~here.broken).nonzero().flatten()
        if not len(going):
            break
        gradient = here.gradient
        if len(going) < len(live):
            task, live, x, gradient = task.select(going), live[going], x[going], gradient[going]
        x = task.region.project(x.add(steepest(task.region, task.norm, x, gradient), alpha=size))
    return best.points
