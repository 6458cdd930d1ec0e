"""What moves in a search for multipliers: slopes and phases' multipliers of the columns, written into whole layers, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.nouns import Interval, unstable
from verify.bounds.relaxation import Lines, distance
from verify.bounds.relaxed import Relaxed


@dataclass(frozen=True)
class Slopes:
    """The lower slopes of ReLU ``r``: those of the columns ``index`` (N, S, columns) move, as far as they are unstable.

    ``free`` (N, 1, columns): 1 where a domain has the neuron unstable, else 0; ``fixed``: its slope in the other case.
    ``whole`` (N, S, neurons): the slopes of the layer, overwritten in every step.
    """

    r: int
    line: Lines
    index: Tensor
    free: Tensor
    fixed: Tensor
    whole: Tensor

    @classmethod
    def of(cls, r: int, line: Lines, pre: Interval, columns: Tensor, forms: int) -> Slopes:
        """For ``forms`` forms of each domain, whose layer has the lines ``line`` where nothing moves; ``columns`` (k,)."""
        flat = line.lower.flatten(2)
        free = unstable(pre).flatten(1)[:, columns].unsqueeze(1).to(flat.dtype)
        index = columns.expand(len(flat), forms, -1)
        return cls(r, line, index, free, flat[:, :, columns] * (1.0 - free), flat.repeat(1, forms, 1))

    def lines(self, alpha: Tensor) -> Lines:
        """The lines with the slopes ``alpha`` (N, S, columns)."""
        slope = self.whole.scatter_(2, self.index, torch.addcmul(self.fixed, alpha, self.free))
        return replace(self.line, lower=slope.unflatten(2, self.line.lower.shape[2:]))

    def gradient(self, found: Relaxed, alpha: Tensor) -> Tensor:
        """How the bounds change with ``alpha``."""
        if self.r not in found.pre:
            return torch.zeros_like(alpha)  # a ReLU of another branch has no part in these forms
        rising = _columns(found.on_relu[self.r], self.index).clamp_(min=0)
        return rising.mul_(_columns(found.pre[self.r], self.index)).mul_(self.free)


@dataclass(frozen=True)
class Phases:
    """The multipliers of the phases that are assumed in ReLU ``r``, in the columns ``index`` (N, S, columns).

    ``sign`` (N, 1, columns): minus the phase. ``distance`` (N, 1, columns): how far the neurons are from 0 at least;
    ``away`` (N, 1, *shape): the same of the whole layer. ``whole`` (N, S, neurons): what the layer's coefficients gain,
    overwritten in every step.
    """

    r: int
    index: Tensor
    sign: Tensor
    distance: Tensor
    away: Tensor
    whole: Tensor

    @classmethod
    def of(cls, r: int, phase: Tensor, pre: Interval, columns: Tensor, forms: int) -> Phases:
        """For ``forms`` forms of each domain; ``phase`` (N, k) of the ``columns`` (k,)."""
        low, high = pre.lower.flatten(1), pre.upper.flatten(1)
        far = distance(Interval(low[:, columns], high[:, columns]), phase)
        index = columns.expand(len(low), forms, -1)
        away = torch.zeros_like(low).unsqueeze(1).scatter_(2, index[:, :1], far).unflatten(2, pre.lower.shape[1:])
        return cls(r, index, -phase.unsqueeze(1).to(low.dtype), far, away, low.new_zeros(len(low), forms, low.shape[1]))

    def added(self, line: Lines, beta: Tensor) -> Lines:
        """``line`` with the multipliers ``beta`` (N, S, columns)."""
        gained = self.whole.scatter_(2, self.index, beta * self.sign).unflatten(2, self.away.shape[2:])
        return replace(line, multiplier=gained, distance=self.away)

    def gradient(self, found: Relaxed, beta: Tensor) -> Tensor:
        """How the bounds change with ``beta``."""
        if self.r not in found.pre:
            return torch.zeros_like(beta)
        return _columns(found.pre[self.r], self.index).mul_(self.sign).add_(self.distance)


def _columns(values: Tensor, index: Tensor) -> Tensor:
    return values.flatten(2).gather(2, index)
