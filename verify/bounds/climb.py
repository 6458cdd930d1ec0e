"""Projected Adam on many bounds at once, each keeping the best parameters that it met on the way.

A search in any dtype, which proves nothing: whatever it returns is clipped to the range in which it is sound, and the
bound that is reported is computed with it elsewhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """How long and how fast multipliers are optimised."""

    steps: int = 20
    rate: float = 0.25
    decay: float = 0.95
    deadline: float | None = None  # time.perf_counter() at which the search stops with what it has

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.perf_counter() >= self.deadline


@dataclass(frozen=True)
class Parameter:
    """Where a parameter starts, (B, S, ...), and the range that it stays in; ``pace`` multiplies the step size."""

    value: Tensor
    low: float = 0.0
    high: float = 1.0
    pace: Tensor | float = 1.0


def climb(
    bound: Callable[[Sequence[Tensor], bool], tuple[Tensor, Sequence[Tensor]]],
    start: Sequence[Parameter],
    ascent: Ascent,
    *,
    enough: float = torch.inf,
) -> tuple[list[Tensor], Tensor]:
    """Parameters that raise ``bound(parameters)`` (B, S), and the bounds that they gave.

    Each entry of the bound depends on its own entries of the parameters, and has steps and a best of its own, so none
    gets worse than at the start. Stops early where every bound exceeds ``enough``.
    """
    values = [p.value for p in start]
    first, second = [torch.zeros_like(v) for v in values], [torch.zeros_like(v) for v in values]
    best, highest = list(values), torch.tensor(-torch.inf)
    rate = ascent.rate
    for step in range(1, ascent.steps + 1):
        last = step == ascent.steps or not values or ascent.late
        found, gradients = bound(values, last)
        better = found > highest
        highest = torch.where(better, found, highest)
        best = (
            values.copy()
            if bool(better.all())
            else [_better(better, v, old) for v, old in zip(values, best, strict=True)]
        )
        if last or bool((highest > enough).all()):
            break
        # Adam (Kingma and Ba 2015, algorithm 1): the corrections of both moments' bias are in the step's size.
        size = rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        for k, (gradient, parameter) in enumerate(zip(gradients, start, strict=True)):
            first[k].lerp_(gradient, 0.1)
            second[k].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            move = first[k] if isinstance(parameter.pace, float) else first[k] * parameter.pace
            values[k] = torch.addcdiv(values[k], move, (second[k] + 1e-24).sqrt_(), value=size)
            values[k].clamp_(parameter.low, parameter.high)
        rate *= ascent.decay
    return best, highest


def _better(better: Tensor, value: Tensor, old: Tensor) -> Tensor:
    """``value`` where ``better`` (B, S), else ``old``; arithmetic, since a choice row by row takes several times as long."""
    weight = better.reshape(*better.shape, *[1] * (value.dim() - better.dim())).to(value.dtype)
    return (value - old).mul_(weight).add_(old)
