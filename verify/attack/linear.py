"""The exact attack on a network without ReLUs: for each class the region's own minimiser of the margin, nothing searched."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.directions import lowest
from verify.attack.task import Best, Task


def linear(task: Task, start: Tensor) -> Tensor:
    """The point of the region where the smallest margin is smallest: it lowers the margin by ``epsilon |w|_dual`` (unclipped)."""
    leaf = task.centre.detach().requires_grad_()
    scores = task.network(leaf)
    task.meter.queries[task.owner] += 1
    best, everyone = Best.none_yet(task.centre), torch.arange(task.count, device=task.centre.device)
    allowed = task.goal.allowed
    if task.goal.aim is not None:
        allowed = torch.zeros_like(allowed).scatter(1, task.goal.aim.unsqueeze(1), True)
    for t in allowed.any(0).nonzero().flatten().tolist():
        margin = task.goal.label_score(scores) - scores[:, t]
        (gradient,) = torch.autograd.grad(margin.sum(), leaf, retain_graph=True)
        x = lowest(task.region, task.centre, gradient)
        index = everyone[allowed[:, t]]
        best.take(index, x[index], task.look(x)[0][index])
    return best.points
