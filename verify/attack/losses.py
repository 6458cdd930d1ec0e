"""What an attack lowers: the losses, as functions of the scores, and the goal they serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.errors import UsageError


@dataclass(frozen=True)
class Goal:
    """Which classes may overtake the label of each of N inputs, and which one a run aims at.

    ``labels`` (N,), ``allowed`` (N, classes) bool, ``aim`` (N,) or None for whichever class is nearest.
    """

    labels: Tensor
    allowed: Tensor
    aim: Tensor | None = None

    def margin(self, scores: Tensor) -> Tensor:
        """``f_label - max f_t`` over the allowed classes t, (N,): at most 0 where the goal is reached."""
        return self.label_score(scores) - scores.masked_fill(~self.allowed, -torch.inf).amax(1)

    def label_score(self, scores: Tensor) -> Tensor:
        """The label's score, (N,)."""
        return scores.gather(1, self.labels.unsqueeze(1)).squeeze(1)

    def rival_score(self, scores: Tensor) -> Tensor:
        """The score of the class aimed at, or else of the highest allowed one, (N,)."""
        if self.aim is None:
            return scores.masked_fill(~self.allowed, -torch.inf).amax(1)
        return scores.gather(1, self.aim.unsqueeze(1)).squeeze(1)

    def select(self, index: Tensor) -> Goal:
        """The goals of the inputs ``index`` (k,)."""
        return Goal(self.labels[index], self.allowed[index], None if self.aim is None else self.aim[index])

    def to(self, device: str) -> Goal:
        """The same goals on another device."""
        aim = None if self.aim is None else self.aim.to(device)
        return Goal(self.labels.to(device), self.allowed.to(device), aim)


Loss: TypeAlias = Callable[[Tensor, Goal], Tensor]
"""Scores (N, classes) and goal -> (N,); an attack minimises it."""


def margin(scores: Tensor, goal: Goal) -> Tensor:
    """``f_label - f_rival``: unlike cross-entropy it does not vanish where the network is confident."""
    return goal.label_score(scores) - goal.rival_score(scores)


def soft_margin(scores: Tensor, goal: Goal) -> Tensor:
    """``f_label - log sum exp f_t`` over the allowed classes t: cross-entropy's slope, but for its length, which vanishes.

    Cross-entropy's gradient is (1 - p_label) times this one. All rivals pull, the nearest most: a run is not lost when the
    rival it began with turns out to be out of reach. With a class aimed at it is the margin.
    """
    if goal.aim is not None:
        return margin(scores, goal)
    return goal.label_score(scores) - scores.masked_fill(~goal.allowed, -torch.inf).logsumexp(1)


def cross_entropy(scores: Tensor, goal: Goal) -> Tensor:
    """Minus the cross-entropy of the label, or the cross-entropy of the class aimed at."""
    if goal.aim is None:
        return -F.cross_entropy(scores, goal.labels, reduction="none")
    return F.cross_entropy(scores, goal.aim, reduction="none")


def dlr(scores: Tensor, goal: Goal) -> Tensor:
    """The difference of logits ratio (Croce and Hein 2020, equations 6 and 7): the margin, free of the scores' scale.

    ``(f_label - f_rival) / (f_(1) - f_(3))``, with a class aimed at ``(f_label - f_aim) / (f_(1) - (f_(3) + f_(4)) / 2)``, where
    f_(k) is the k-th largest score.
    """
    needed = 3 if goal.aim is None else 4
    if scores.shape[1] < needed:
        raise UsageError(f"the dlr loss needs {needed} classes, the network has {scores.shape[1]}: choose margin")
    largest = scores.topk(needed, dim=1).values
    third = largest[:, 2] if goal.aim is None else (largest[:, 2] + largest[:, 3]) / 2
    return margin(scores, goal) / (largest[:, 0] - third + 1e-12)


LOSSES: Mapping[str, Loss] = {
    "soft_margin": soft_margin,
    "margin": margin,
    "cross_entropy": cross_entropy,
    "dlr": dlr,
}
