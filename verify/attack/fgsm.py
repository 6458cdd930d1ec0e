"""The fast gradient method: one step to where the linearised loss is lowest (Goodfellow, Shlens and Szegedy 2015).

In a box that is the sign step; in an l2 or l1 ball it is the exact minimiser over ball and box together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.directions import lowest
from verify.attack.task import Task


def fgsm(task: Task, start: Tensor) -> Tensor:
    """The corner that the gradient at ``start`` (N, *shape) points away from, (N, *shape)."""
    x = lowest(task.region, task.centre, task.slope(start).gradient)
    return torch.where(task.wide(task.look(x)[0] < task.look(start)[0]), x, start) if task.options.restarts > 1 else x
