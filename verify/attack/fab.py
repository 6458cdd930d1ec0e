"""FAB: the nearest example, along boundaries and biased back to the input (Croce and Hein 2020, fast adaptive boundary)."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.boundary import LENGTHS, distance, shortened, to_boundary
from verify.attack.task import Best, Task

_MOST_BIAS = 0.1  # alpha_max: how much of a step may be taken from the input instead
_OVERSHOOT = 1.05  # eta
_BACK = 0.9  # beta: how far from the input a point that succeeded goes on from


def fab(task: Task, start: Tensor) -> Tensor:
    """The nearest example found from ``start`` (N, *shape); where there is none, the last point."""
    x, best, origin = start, Best.none_yet(start), task.centre
    everyone = torch.arange(task.count, device=start.device)
    for _ in range(task.options.steps):
        if task.late:
            break
        move, back, _, _ = to_boundary(task, x, origin)
        here, there = LENGTHS[task.norm](move.flatten(1)), LENGTHS[task.norm](back.flatten(1))
        bias = task.wide((here / (here + there).clamp(min=1e-30)).clamp(max=_MOST_BIAS))
        x = (1 - bias) * (x + _OVERSHOOT * move) + bias * (origin + _OVERSHOOT * back)
        x = torch.minimum(torch.maximum(x, task.valid.lower), task.valid.upper)
        _, broken = task.look(x)
        best.take(everyone[broken], x[broken], distance(task, x)[broken])
        x = torch.where(task.wide(broken), origin + _BACK * (x - origin), x)
    found = best.value.isfinite()
    return shortened(task, torch.where(task.wide(found), best.points, x), found)
