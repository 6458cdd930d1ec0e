"""Defensive distillation (Papernot et al. 2016), which is no defence: it hides gradients and moves no boundary.

A teacher is trained with its scores divided by a temperature T, a student likewise on the teacher's softened answers; in use T
is 1. The scores come out about T times as large, softmax then is 0 or 1 to the last digit, and the gradient of cross-entropy
is zero: attacks that follow it stand still. The scores themselves are as easy to attack as before (Carlini and Wagner 2017).
It is here for comparison, and as a network that the diagnosis of gradient masking must name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verify.errors import TrainingFailed, UsageError


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """How teacher and student are trained: the ``temperature``, and Adam's steps; ``seed`` draws the order of the batches."""

    temperature: float = 100.0
    epochs: int = 10
    batch: int = 128
    rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("temperature", "epochs", "batch", "rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}: give a positive number")


def train_distilled(
    student: nn.Module, teacher: nn.Module, inputs: Tensor, labels: Tensor, how: Distillation | None = None
) -> nn.Module:
    """Train ``teacher`` and then ``student``, both in place, on ``inputs`` (N, *shape) with labels (N,); the student, in eval mode.

    Both give scores (N, classes) and come with their first weights. Raises as :func:`train_softened`.
    """
    how = how or Distillation()
    train_softened(teacher, inputs, labels, how)
    return train_softened(student, inputs, soft_labels(teacher, inputs, how.temperature), how)


def train_softened(module: nn.Module, inputs: Tensor, targets: Tensor, how: Distillation) -> nn.Module:
    """Fit ``softmax(scores / T)`` of ``module`` to ``targets``: classes (N,) or shares (N, classes). In place; in eval mode.

    Raises UsageError for targets that do not fit the inputs or the scores, TrainingFailed where the loss is not finite.
    """
    _check(module, inputs, targets)
    optimiser = torch.optim.Adam(module.parameters(), lr=how.rate)
    generator = torch.Generator().manual_seed(how.seed)
    module.train()
    step = 0
    for _ in range(how.epochs):
        for rows in torch.randperm(len(inputs), generator=generator).split(how.batch):
            step += 1
            loss = F.cross_entropy(module(inputs[rows]) / how.temperature, targets[rows])
            if not bool(loss.isfinite()):
                raise TrainingFailed(f"step {step}: the loss is {loss.detach()}; rate is {how.rate:g}: lower it")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return module.eval()


def soft_labels(module: nn.Module, inputs: Tensor, temperature: float) -> Tensor:
    """``softmax(scores / temperature)`` of ``inputs`` (N, *shape): (N, classes), for a module in eval mode."""
    with torch.no_grad():
        return torch.cat([(module(part) / temperature).softmax(1) for part in inputs.split(500)])


def _check(module: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    if not len(inputs) or len(targets) != len(inputs):
        raise UsageError(f"{len(inputs)} inputs and {len(targets)} targets: give as many, one at least")
    with torch.no_grad():
        classes = module(inputs[:1]).shape[1]
    if targets.dim() == 2:
        if targets.shape[1] != classes:
            raise UsageError(
                f"targets name {targets.shape[1]} classes, the module gives {classes} scores: they must agree"
            )
    elif targets.dtype != torch.int64 or not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise UsageError(
            f"targets are {targets.dtype} from {targets.min()} to {targets.max()}: give int64 classes 0 to {classes - 1}"
        )
