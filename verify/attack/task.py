"""What a method is given: the question in the arithmetic of the search, and the meter that it runs on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from verify.attack.aim import slack
from verify.attack.losses import LOSSES, Goal
from verify.attack.options import AttackOptions
from verify.network import Network
from verify.region import Box


@dataclass
class Meter:
    """Counts the evaluations of each of B inputs, and knows when time is up."""

    queries: Tensor
    deadline: float | None = None

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.perf_counter() >= self.deadline


@dataclass(frozen=True)
class Slope:
    """What one evaluation with gradient tells of N points: (N, *shape), and (N,) each of the rest."""

    gradient: Tensor
    loss: Tensor
    margin: Tensor
    broken: Tensor


@dataclass(frozen=True)
class Task:
    """N inputs to attack, in float32: ``region`` is where a counterexample must lie, ``valid`` the box of valid inputs, one
    row (1, *shape) for all.

    ``owner`` (N,): their places in the meter. ``generator`` draws on the CPU.
    """

    network: Network
    region: Box
    valid: Box
    centre: Tensor
    goal: Goal
    norm: str
    options: AttackOptions
    meter: Meter
    owner: Tensor
    generator: torch.Generator = field(default_factory=torch.Generator)

    @property
    def count(self) -> int:
        """Number of inputs N."""
        return len(self.owner)

    @property
    def late(self) -> bool:
        """Whether time is up: a method then returns the best it has."""
        return self.meter.late

    @property
    def radius(self) -> float:
        """How far the region reaches, in its norm."""
        return float(getattr(self.region, "epsilon", 0.0))

    def select(self, index: Tensor) -> Task:
        """The same task for the inputs ``index`` (k,)."""
        region, goal = self.region.select(index), self.goal.select(index)
        owner, centre = self.owner[index.cpu()], self.centre[index]
        return replace(self, region=region, goal=goal, owner=owner, centre=centre)

    def wide(self, value: Tensor) -> Tensor:
        """One number an input, (N,), with the axes of a point: (N, 1, ...)."""
        return value.reshape(-1, *[1] * (self.centre.dim() - 1))

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The margins at points (N, *shape), and whether they are broken with float32's slack: (N,) each."""
        with torch.no_grad():
            return self.judged(self._scores(x))

    def slope(self, x: Tensor) -> Slope:
        """Loss, margin and gradient of the loss at points (N, *shape)."""
        leaf = x.detach().requires_grad_()
        several = self._scores(leaf)
        loss = _mean([LOSSES[self.options.loss](one, self.goal) for one in several])
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        margin, broken = self.judged([one.detach() for one in several])
        return Slope(gradient, loss.detach(), margin, broken)

    def _scores(self, x: Tensor) -> Sequence[Tensor]:
        """The scores (N, classes) at x and at each of its transformed copies."""
        change = self.options.transformations
        if change is None:
            self.meter.queries[self.owner] += 1
            return [self.network(x)]
        copies = change.copies(x, self.generator)
        self.meter.queries[self.owner] += len(copies)
        return list(self.network(copies.flatten(0, 1)).split(len(x)))

    def judged(self, several: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Margins (N,), and whether broken with slack, of scores (N, classes) at x and at its copies."""
        margin = self.goal.margin(several[0])
        if len(several) > 1:  # an example that a small change undoes is not yet what was asked for
            margin = torch.maximum(margin, _mean([self.goal.margin(one) for one in several]))
        return margin, margin + slack(several[0]) <= 0


def _mean(values: Sequence[Tensor]) -> Tensor:
    """The mean of tensors of one shape; of a single one itself, without a copy."""
    return values[0] if len(values) == 1 else torch.stack(list(values)).mean(0)


@dataclass
class Best:
    """The best points met so far, (N, *shape), and their margins (N,) or whatever else is to be small."""

    points: Tensor
    value: Tensor

    @classmethod
    def none_yet(cls, x: Tensor) -> Best:
        """Nothing met: the points stand for themselves with an infinite value."""
        return cls(x.clone(), torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device))

    def take(self, index: Tensor, x: Tensor, value: Tensor) -> None:
        """Points ``x`` (k, *shape) of the inputs ``index`` (k,) replace worse ones."""
        better = value < self.value[index]
        self.points[index[better]] = x[better]
        self.value[index[better]] = value[better]
