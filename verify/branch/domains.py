"""Domains of the search: what is assumed and known of each, and where the multipliers of its bound stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from verify.bounds.nouns import Interval
from verify.branch.problem import Problem


@dataclass(frozen=True)
class Domains:
    """N parts of a problem; tensors with N first, and R the problem's columns.

    ``clause``: which clause each is about. ``phase`` (N, R) int8: +1 or -1 where every x of the domain that satisfies the
    clause has the neuron active or inactive, by assumption or by proof; 0 elsewhere. ``low``, ``high`` (N, R) float64:
    pre-activation bounds of those x. ``alpha`` (N, R):
    lower slopes; ``beta`` (N, R): multipliers of the phases; ``mix`` (N, J) >= 0: how the clause's rows are weighed;
    ``lower`` (N,): the recomputed bound of the mixed row, so the domain holds no counterexample when it is positive.
    ``choices`` (N, k): the columns that are most worth splitting, best first; -1 where there are fewer. ``stale`` (N,): how
    many splits ago the intervals were last tightened. ``pull`` (N, R): the coefficients that the form which gave
    ``lower`` has on the neurons' outputs.
    """

    clause: Tensor
    phase: Tensor
    low: Tensor
    high: Tensor
    alpha: Tensor
    beta: Tensor
    mix: Tensor
    lower: Tensor
    choices: Tensor
    stale: Tensor
    pull: Tensor

    def __len__(self) -> int:
        return len(self.clause)

    def select(self, index: Tensor | slice) -> Domains:
        """The domains at ``index``: positions, a mask or a slice."""
        return self._each(lambda t: t[index])

    def where(self, mask: Tensor) -> Domains:
        """The domains where ``mask`` (N,) holds: these themselves, not a copy, if that is everywhere."""
        return self if bool(mask.all()) else self.select(mask)

    def bytes_each(self) -> int:
        """Memory of one domain."""
        tensors = [getattr(self, f.name) for f in fields(self)]
        return sum(t[:1].numel() * t.element_size() for t in tensors)

    def empty(self) -> Tensor:
        """Which domains (N,) hold no x that satisfies the clause, by their intervals alone."""
        return (self.low > self.high).any(1)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Domains:
        return Domains(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


def joined(parts: Sequence[Domains]) -> Domains:
    """All the domains of ``parts``."""
    return Domains(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Domains)})


def missing(count: int, open_: Domains) -> Tensor:
    """The clauses among the first ``count`` of which no domain is open."""
    everyone = torch.arange(count)
    return everyone[~torch.isin(everyone, open_.clause)]


def split(domains: Domains, column: Tensor) -> Domains:
    """Both halves of each domain at its ``column`` (N,): first all the active ones, then all the inactive ones."""
    everyone = torch.arange(len(domains))
    halves = []
    for sign in (1, -1):
        phase, low, high = domains.phase.clone(), domains.low.clone(), domains.high.clone()
        phase[everyone, column] = sign
        end = low if sign > 0 else high
        end[everyone, column] = end[everyone, column].clamp(min=0) if sign > 0 else end[everyone, column].clamp(max=0)
        halves.append(_phased(replace(domains, low=low, high=high, stale=domains.stale + 1), phase))
    return joined(halves)


def implied(domains: Domains) -> Domains:
    """The domains with the phases that their intervals imply: constraints that a bound may use as those of a split."""
    found = (domains.low >= 0).to(torch.int8) - (domains.high <= 0).to(torch.int8)
    return _phased(domains, torch.where(domains.phase == 0, found, domains.phase))


def _phased(domains: Domains, phase: Tensor) -> Domains:
    """The domains with more phases, and for each new one the multiplier that leaves the form what it was.

    Where the form pulls an output upwards, ``a > 0``, it had ``a alpha y`` below it. A stable neuron has ``a y`` or 0 there,
    so ``beta = a (1 - alpha)`` or ``a alpha`` keeps the coefficient on y: a search then starts no lower than it was.
    """
    up, alpha = domains.pull.clamp(min=0), domains.alpha
    start = torch.where(phase > 0, up * (1.0 - alpha), up * alpha)
    return replace(domains, phase=phase, beta=torch.where((phase != 0) & (domains.phase == 0), start, domains.beta))


def intervals(problem: Problem, domains: Domains) -> dict[int, Interval]:
    """Pre-activation intervals (N, *shape) of the domains: the problem's, and their own in the columns.

    Where a domain is empty, its crossed intervals are made points so that nothing breaks; its bounds mean nothing.
    """
    pre = {}
    for r, root in problem.bounds.pre.items():
        lower, upper = root.lower[domains.clause], root.upper[domains.clause]
        if r in problem.columns.index:
            at = problem.columns.place[r]
            low = domains.low[:, at].to(lower.dtype)
            high = torch.maximum(low, domains.high[:, at].to(lower.dtype))
            lower, upper = (_put(t, problem.columns.index[r], v) for t, v in ((lower, low), (upper, high)))
        pre[r] = Interval(lower, upper)
    return pre


def _put(layer: Tensor, index: Tensor, values: Tensor) -> Tensor:
    flat = layer.flatten(1).clone()
    flat[:, index] = values
    return flat.reshape(layer.shape)
