"""Intervals, and the bounds of every node of a network over a region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.errors import SoundnessError
from verify.network import Network
from verify.verdict import Evidence


@dataclass(frozen=True)
class Interval:
    """``lower <= v <= upper`` entry by entry; tensors (B, *shape)."""

    lower: Tensor
    upper: Tensor

    def intersect(self, other: Interval, *, where: str) -> Interval:
        """The tighter end of each side. Both must hold, so a crossed result is a SoundnessError naming ``where``."""
        lower, upper = torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        if bool((lower > upper).any()):
            gap = float((lower - upper).max())
            raise SoundnessError(
                f"{where}: two sound bounds exclude each other by {gap:.3g}; no number of this run can be trusted"
            )
        return Interval(lower, upper)

    def magnitude(self) -> Tensor:
        """``max |v|``."""
        return torch.maximum(self.lower.abs(), self.upper.abs())

    def select(self, index: Tensor) -> Interval:
        """The intervals of the inputs ``index``."""
        return Interval(self.lower[index], self.upper[index])

    def expand(self, count: int) -> Interval:
        """One interval for each of ``count`` inputs, from that of one."""
        return Interval(*(t.expand(count, *t.shape[1:]) for t in (self.lower, self.upper)))

    def to(self, dtype: torch.dtype) -> Interval:
        """A copy in another dtype, for searches."""
        return Interval(self.lower.to(dtype), self.upper.to(dtype))


@dataclass(frozen=True)
class Bounds:
    """What is known of every node before a backward pass; sound over the whole region.

    ``values[i]``: the interval of node i, the tightest known. ``pre[r]``: the pre-activation interval that the
    relaxation of ReLU r uses (it may be looser than ``values``, when a method is asked for in its raw form).
    ``slack[i]``: what one backward step through node i may lose, per unit of coefficient: a linear node's rounding
    (:mod:`verify.bounds.rounding`), and what executions add. ``underflow`` (B,): what underflow may lose in any whole pass.
    ``source`` names the method; evidence is contagious. ``execution``: of a network with the semantics float32, the part
    of ``slack`` that is about executions (:mod:`verify.bounds.execution`).
    """

    values: tuple[Interval, ...]
    pre: Mapping[int, Interval]
    slack: tuple[Tensor | None, ...]
    underflow: Tensor
    source: str
    evidence: Evidence = Evidence.RECOMPUTED
    execution: tuple[Tensor | None, ...] = ()

    def select(self, index: Tensor) -> Bounds:
        """The bounds of the inputs ``index`` (k,)."""
        return Bounds(
            tuple(v.select(index) for v in self.values),
            {r: v.select(index) for r, v in self.pre.items()},
            tuple(None if s is None else s[index] for s in self.slack),
            self.underflow[index],
            self.source,
            self.evidence,
            tuple(None if s is None else s[index] for s in self.execution),
        )


def unstable(pre: Interval) -> Tensor:
    """Which ReLUs are neither active (l >= 0) nor inactive (u <= 0): bool, the interval's shape."""
    return (pre.lower < 0) & (pre.upper > 0)


def count_relus(network: Network, bounds: Bounds) -> dict[str, tuple[int, int, int]]:
    """Active, inactive and unstable ReLUs of each layer, summed over the inputs."""
    counts = {}
    for r, pre in bounds.pre.items():
        inactive = int((pre.upper <= 0).sum())
        free = int(unstable(pre).sum())
        counts[network.nodes[r].name] = (pre.lower.numel() - inactive - free, inactive, free)
    return counts
