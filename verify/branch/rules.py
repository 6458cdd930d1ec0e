"""Which neuron to split: a score that ranks all of them, and a trial of the best few."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from verify.bounds.nouns import Interval, unstable
from verify.branch.bounding import Bounded, estimate
from verify.branch.domains import Domains, split
from verify.branch.outcome import Limits
from verify.branch.problem import Problem

PIECE_BYTES = 64 * 2**20  # what the coefficients of the halves that are tried at once may take


def ranked(problem: Problem, bounded: Bounded, count: int) -> Domains:
    """The domains with their ``count`` most promising columns as ``choices``, -1 where fewer are unstable.

    The score of a neuron is the most that its two lines can lose in the form that gave the bound: the coefficient on its
    output times the height of the triangle, ``|a| u (-l) / (u - l)`` (after Bunel et al. 2020, section 5.1).
    """
    scores = [_score(bounded.pre[r], bounded.on_relu.get(r), problem.columns.index[r]) for r in problem.columns.index]
    total = torch.cat(scores, 1) if scores else torch.zeros(len(bounded.domains), 0)
    total = torch.nn.functional.pad(total, (0, max(0, count - total.shape[1])))
    best, choice = total.topk(count, dim=1)
    return replace(bounded.domains, choices=torch.where(best > 0, choice, -1))


def _score(pre: Interval, coefficient: Tensor | None, index: Tensor) -> Tensor:
    low, high = pre.lower.flatten(1)[:, index], pre.upper.flatten(1)[:, index]
    free = unstable(Interval(low, high))
    height = torch.where(free, high * -low / (high - low).clamp(min=1e-300), 0.0)
    size = torch.zeros_like(height) if coefficient is None else coefficient.flatten(1)[:, index].abs()
    return height * size + torch.where(free, 1e-300, 0.0)  # an unstable neuron is always worth more than a stable one


def tried(search: Problem, domains: Domains, count: int, limits: Limits) -> Tensor:
    """The column (N,) whose halves have the best bounds, by trial of ``count`` choices (De Palma et al. 2021, FSB).

    A few domains at a time, so that memory stays bounded; once the time is up, the first choice.
    """
    choices = domains.choices[:, :count]
    best = choices[:, 0].clone()
    if choices.shape[1] > 1:
        widest = sum(math.prod(node.shape) for node in search.network.nodes)
        for some in torch.arange(len(domains)).split(max(1, PIECE_BYTES // (8 * widest * choices.shape[1]))):
            if limits.left() <= 0:
                break
            best[some] = _best(search, domains.select(some), choices[some])
    return best


def _best(search: Problem, domains: Domains, choices: Tensor) -> Tensor:
    """The best (N,) of the ``choices`` (N, k)."""
    owner = torch.arange(len(domains)).repeat_interleave(choices.shape[1])
    column = choices.flatten()
    halves = split(domains.select(owner), column.clamp(min=0))
    active, inactive = estimate(search, halves).clamp(max=0).unflatten(0, (2, *choices.shape))
    score = torch.where(choices >= 0, active + inactive, -torch.inf)
    return choices.gather(1, score.argmax(1, keepdim=True))[:, 0]
