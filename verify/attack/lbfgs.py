"""Box-constrained L-BFGS, the first attack of all (Szegedy et al. 2014): ``c |x - centre|^2 + cross-entropy(f(x), t)``.

One input at a time, in scipy; a search over c finds the strongest pull to the input that still succeeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from verify.attack.boundary import shortened
from verify.attack.losses import cross_entropy
from verify.attack.task import Task

_SEARCHES = 8
_FIRST, _LEAST = 1.0, 1e-6  # pulls to the input
_EVALUATIONS = 2  # for each iteration, on average


def lbfgs(task: Task, start: Tensor) -> Tensor:
    """The nearest example found for each input; ``steps`` iterations for each pull. Where there is none, the start."""
    points, found = start.clone(), torch.zeros(task.count, dtype=torch.bool, device=start.device)
    for i in range(task.count):
        if task.late:
            break
        one = task.select(torch.tensor([i], device=start.device))
        example = _nearest(one, start[i : i + 1])
        if example is not None:
            points[i], found[i] = example[0], True
    return shortened(task, points, found)


def _nearest(task: Task, start: Tensor) -> Tensor | None:
    """The nearest example of one input, or None. Towards the class aimed at, or else the one that comes second."""
    goal = task.goal
    if goal.aim is None:
        second = task.network(start).masked_fill(~goal.allowed, -torch.inf).argmax(1)
        goal = type(goal)(goal.labels, goal.allowed, second)
        task.meter.queries[task.owner] += 1
    best: Tensor | None = None
    shortest, pull, low, high = torch.inf, _FIRST, 0.0, torch.inf
    for _ in range(_SEARCHES):
        x = _minimum(task, goal, start, pull)
        if task.late:
            break
        if bool(task.look(x)[1]):
            low = pull
            length = float((x - task.centre).norm())
            if length < shortest:
                best, shortest = x, length
        else:
            high = pull
            if pull < _LEAST and best is None:
                break
        pull = pull * 10 if high == torch.inf else (pull / 10 if low == 0 else (low * high) ** 0.5)
    return best


def _minimum(task: Task, goal: Any, start: Tensor, pull: float) -> Tensor:
    """Where scipy ends. In float64: the line search compares values that float32 cannot tell apart."""
    from scipy.optimize import Bounds, minimize  # not needed before: a fifth of a second of start-up

    network, centre = task.network.to(dtype=torch.float64), task.centre.double()

    def value(flat: Any) -> tuple[float, Any]:
        leaf = torch.from_numpy(flat).to(centre).reshape(start.shape).requires_grad_()
        total = pull * (leaf - centre).square().sum() + cross_entropy(network(leaf), goal).sum()
        task.meter.queries[task.owner] += 1
        (gradient,) = torch.autograd.grad(total, leaf)
        return float(total.detach()), gradient.flatten().cpu().numpy()

    def watch(intermediate_result: Any) -> None:
        if task.late:
            raise StopIteration

    bounds = Bounds(*(end.flatten().double().cpu().numpy() for end in (task.valid.lower, task.valid.upper)))
    begin = np.clip(start.flatten().double().cpu().numpy(), bounds.lb, bounds.ub)
    found = minimize(
        value,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=watch,
        options={"maxiter": task.options.steps, "maxfun": _EVALUATIONS * task.options.steps},
    )
    return torch.from_numpy(found.x).to(start).reshape(start.shape)
