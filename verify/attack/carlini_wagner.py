"""Carlini and Wagner's l2 attack: the shortest change that wins by a margin, with a weight found by search (2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.boundary import distance, shortened
from verify.attack.task import Best, Task

_SEARCHES = 6  # values of the weight tried for each input
_FIRST, _MOST = 1.0, 1e10  # weight of the loss against the squared distance
_REACH = (
    10.0  # Adam's rate times the steps, in the units of atanh: enough to cross the box; step_size replaces the rate
)
_EDGE = 1 - 1e-6  # how close to the box's walls the change of variables starts


def carlini_wagner(task: Task, start: Tensor) -> Tensor:
    """The nearest example found; ``steps`` for each weight. Minimises ``|x - centre|^2 + c max(margin, 0)``.

    x = middle + radius tanh(w) keeps x in the box of valid inputs; without one, w is x itself.
    """
    lower, upper = task.valid.lower, task.valid.upper
    boxed = bool(lower.isfinite().all() and upper.isfinite().all())
    middle, radius = (lower + upper) / 2, (upper - lower) / 2

    def point(w: Tensor) -> Tensor:
        return middle + radius * w.tanh() if boxed else w

    first = ((start - middle) / radius).clamp(-_EDGE, _EDGE).atanh() if boxed else start
    best, everyone = Best.none_yet(start), torch.arange(task.count, device=start.device)
    weight = torch.full((task.count,), _FIRST, dtype=start.dtype, device=start.device)
    low, high = torch.zeros_like(weight), torch.full_like(weight, _MOST)
    last = start
    for _ in range(_SEARCHES):
        w = first.clone()
        hit = torch.zeros_like(weight, dtype=torch.bool)
        mean, square = torch.zeros_like(w), torch.zeros_like(w)
        for k in range(1, task.options.steps + 1):
            if task.late:
                break
            leaf = w.detach().requires_grad_()
            x = point(leaf)
            here = task.slope(x.detach())
            best.take(everyone[here.broken], x.detach()[here.broken], distance(task, x.detach())[here.broken])
            hit |= here.broken
            # The gradient of c max(margin, 0) stops where the margin is won with float32's slack.
            pull = torch.where(task.wide(here.broken), 0.0, task.wide(weight) * here.gradient)
            total = (x - task.centre).square().sum() + (pull * x).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient.square()
            rate = (task.options.step_size or _REACH / task.options.steps) * (1 - 0.999**k) ** 0.5 / (1 - 0.9**k)
            w = (w - rate * mean / (square.sqrt() + 1e-8)).detach()
            last = x.detach()
        if task.late:
            break
        low, high = torch.where(hit, low, weight), torch.where(hit, weight, high)
        weight = torch.where(high < _MOST, (low + high) / 2, weight * 10)
    found = best.value.isfinite()
    return shortened(task, torch.where(task.wide(found), best.points, last), found)
