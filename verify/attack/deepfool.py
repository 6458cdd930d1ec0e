"""DeepFool: step to the nearest of the linearised boundaries, again and again (Moosavi-Dezfooli et al. 2016).

Unlike the original the steps respect the box of valid inputs: each goes to the nearest point of half-space and box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.boundary import distance, shortened, to_boundary
from verify.attack.task import Best, Task

_OVERSHOOT = 1.02
"""A little beyond the boundary, so that it is crossed."""


def deepfool(task: Task, start: Tensor) -> Tensor:
    """The nearest example found from ``start`` (N, *shape); where there is none, the last point."""
    x, best = start, Best.none_yet(start)
    everyone = torch.arange(task.count, device=start.device)
    for _ in range(task.options.steps):
        move, _, _, broken = to_boundary(task, x, task.centre)
        best.take(everyone[broken], x[broken], distance(task, x)[broken])
        if bool(broken.all()) or task.late:
            break
        onward = torch.minimum(torch.maximum(x + _OVERSHOOT * move, task.valid.lower), task.valid.upper)
        x = torch.where(task.wide(broken), x, onward)
    _, broken = task.look(x)
    best.take(everyone[broken], x[broken], distance(task, x)[broken])
    found = best.value.isfinite()
    return shortened(task, torch.where(task.wide(found), best.points, x), found)
