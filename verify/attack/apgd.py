"""Auto-PGD: momentum, and a step that is halved when it stops paying (Croce and Hein 2020; for l1, Croce and Hein 2021).

The first step goes to where the linearised loss is lowest, so from the input itself the second point visited is FGSM's, and
the result is never worse than FGSM's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from verify.attack.directions import lowest, share_moved, steepest
from verify.attack.task import Best, Task

_MOMENTUM = 0.75  # weight of the new step; the rest goes on in the last direction
_RISING = 0.75  # share of steps that should lower the loss
_SHRINK_L1 = 1.5  # how much less of the coordinates an l1 step moves than the best point so far does
_LEAST_L1 = 10  # the l1 step goes from the radius down to a tenth of it


@dataclass
class _State:
    """Of each point: where it is, its slope, the best met, and its step."""

    live: Tensor
    x: Tensor
    last: Tensor
    gradient: Tensor
    loss: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    step: Tensor  # (N,)
    share: Tensor  # (N, 1), of the coordinates that an l1 step moves
    paid: Tensor  # steps that lowered the loss since the last checkpoint
    halved: Tensor  # whether the step was halved at the last checkpoint
    noted: Tensor  # the best loss at the last checkpoint

    def keep(self, index: Tensor) -> None:
        """Forget all points but ``index``."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name)[index])


def apgd(task: Task, start: Tensor) -> Tensor:
    """The best point met on the way from ``start`` (N, *shape); points that succeed go no further."""
    steps, best = task.options.steps, Best.none_yet(start)
    due, since = checkpoints(steps), 0
    state: _State | None = None
    x = start
    for k in range(steps + 1):
        live = torch.arange(task.count, device=x.device) if state is None else state.live
        if k == steps or task.late:
            best.take(live, x, task.look(x)[0])
            break
        here = task.slope(x)
        best.take(live, x, here.margin)
        if state is None:
            state = _first(task, x, here.gradient, here.loss)
        else:
            _arrive(state, task, x, here.gradient, here.loss)
        going = (~here.broken).nonzero().flatten()
        if not len(going):
            break
        if len(going) < len(live):
            task = task.select(going)
            state.keep(going)
        if k in due:
            _check(state, task, k - since)
            since = k
        x = _next(state, task) if k else lowest(task.region, task.centre, state.gradient)
    return best.points


def checkpoints(steps: int) -> frozenset[int]:
    """The steps at which step lengths are reviewed: at shares 0.22, 0.41, 0.57, ... of all, ever closer together."""
    share = [0.0, 0.22]
    while share[-1] < 1:
        share.append(share[-1] + max(share[-1] - share[-2] - 0.03, 0.06))
    return frozenset(math.ceil(p * steps) for p in share[1:])


def _first(task: Task, x: Tensor, gradient: Tensor, loss: Tensor) -> _State:
    scale = 1.0 if task.norm == "l1" else 2.0
    step = torch.full_like(loss, task.options.step_size or scale * task.radius)
    share = torch.ones_like(loss).unsqueeze(1)
    if task.norm == "l1":  # as many coordinates as the linearised loss would move
        share = share_moved(lowest(task.region, task.centre, gradient), task.centre)
    count = torch.zeros_like(loss)
    live, no = torch.arange(len(x), device=x.device), torch.zeros_like(loss, dtype=torch.bool)
    return _State(live, x, x, gradient, loss, x, gradient, loss, step, share, count, no, loss)


def _arrive(state: _State, task: Task, x: Tensor, gradient: Tensor, loss: Tensor) -> None:
    """The points are at ``x`` now."""
    state.last, state.x = state.x, x
    state.paid = state.paid + (loss < state.loss)
    state.gradient, state.loss = gradient, loss
    better = loss < state.best_loss
    wide = task.wide(better)
    state.best, state.best_gradient = torch.where(wide, x, state.best), torch.where(wide, gradient, state.best_gradient)
    state.best_loss = torch.where(better, loss, state.best_loss)


def _check(state: _State, task: Task, since: int) -> None:
    """Points that got little out of their last ``since`` steps go back to their best and take shorter steps."""
    idle = (state.paid < _RISING * since) | (~state.halved & (state.best_loss >= state.noted))
    if task.norm == "l1":
        moved = share_moved(state.best, task.centre)
        narrower = moved < 0.95 * state.share * _SHRINK_L1
        longest = task.options.step_size or task.radius
        state.step = torch.where(narrower.squeeze(1), longest, (state.step / _SHRINK_L1).clamp(min=longest / _LEAST_L1))
        state.share = (moved / _SHRINK_L1).clamp(min=1.0 / task.centre[0].numel())
        idle = torch.ones_like(idle)
    else:
        state.step = torch.where(idle, state.step / 2, state.step)
    back = task.wide(idle)
    state.x = torch.where(back, state.best, state.x)
    state.last = torch.where(back, state.best, state.last)
    state.gradient = torch.where(back, state.best_gradient, state.gradient)
    state.loss = torch.where(idle, state.best_loss, state.loss)
    state.halved, state.noted, state.paid = idle, state.best_loss, torch.zeros_like(state.paid)


def _next(state: _State, task: Task) -> Tensor:
    """Where the points go: a step, and part of the last move."""
    x, region = state.x, task.region
    ahead = region.project(x + task.wide(state.step) * steepest(region, task.norm, x, state.gradient, state.share))
    if task.norm == "l1":  # momentum would undo the sparsity
        return ahead
    return region.project(x + _MOMENTUM * (ahead - x) + (1 - _MOMENTUM) * (x - state.last))
