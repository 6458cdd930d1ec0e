"""Slopes found by gradient ascent on the bound itself (alpha-CROWN, Xu et al. 2021).

The search runs in float32 and proves nothing: it returns slopes, any of which are sound. The bound that is reported
is the float64 backward pass with the slopes that were found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward
from verify.bounds.compute import Scope, Tightener, neuron_bounds
from verify.bounds.nouns import Bounds, Interval
from verify.bounds.relaxation import Lines, chord, crown_slope, lines
from verify.network import Network
from verify.region import Box
from verify.verdict import Evidence


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """How long and how fast slopes are optimised."""

    steps: int = 20
    rate: float = 0.25
    decay: float = 0.95
    deadline: float | None = None  # time.perf_counter() at which the search stops with what it has


@dataclass(frozen=True)
class Search:
    """A float32 copy of everything a search reads, made once for many row chunks."""

    network: Network
    region: Box
    bounds: Bounds


def search_copy(network: Network, region: Box, bounds: Bounds) -> Search:
    """The float32 copy of a question."""
    return Search(network.to(dtype=torch.float32), region.to(dtype=torch.float32), small_bounds(bounds))


def small_bounds(bounds: Bounds) -> Bounds:
    """Bounds in float32; rounding slack is left out, since a search claims nothing."""
    return Bounds(
        tuple(v.to(torch.float32) for v in bounds.values),
        {r: v.to(torch.float32) for r, v in bounds.pre.items()},
        (None,) * len(bounds.slack),
        bounds.underflow.to(torch.float32),
        bounds.source,
        bounds.evidence,
    )


def optimise(search: Search, rows: Rows, ascent: Ascent) -> dict[int, Tensor]:
    """Lower slopes (B, S, *shape) of every ReLU, float32, that raise the bound of each row; start: CROWN's.

    Adam on each row's own bound; the best slopes of each row seen on the way are kept, so no row gets worse than CROWN.
    """
    rows = replace(rows, coefficient=rows.coefficient.float(), constant=rows.constant.float())
    count, width = search.region.count, rows.coefficient.shape[1]
    relus = [r for r in search.bounds.pre if r <= rows.start]
    fixed = {r: chord(search.bounds.pre[r]) for r in relus}
    free = {r: (p.lower < 0) & (p.upper > 0) for r, p in search.bounds.pre.items() if r in fixed}
    relus = [r for r in relus if bool(free[r].any())]
    slopes = {
        r: crown_slope(search.bounds.pre[r]).unsqueeze(1).expand(count, width, *free[r].shape[1:]).contiguous()
        for r in relus
    }
    first = {r: torch.zeros_like(v) for r, v in slopes.items()}
    second = {r: torch.zeros_like(v) for r, v in slopes.items()}
    best = {r: v.clone() for r, v in slopes.items()}
    best_bound = torch.full((count, width), -torch.inf)
    rate = ascent.rate
    for step in range(1, ascent.steps + 1):
        leaves = {r: v.detach().requires_grad_() for r, v in slopes.items()}
        at = {r: _lines(fixed[r], free[r], leaves.get(r)) for r in fixed}
        bound = backward(search.network, search.region, search.bounds, rows, at)
        better = (bound > best_bound).detach()
        best_bound = torch.where(better, bound.detach(), best_bound)
        for r in relus:
            best[r] = torch.where(better.reshape(count, width, *[1] * (best[r].dim() - 2)), slopes[r], best[r])
        if step == ascent.steps or not relus:
            break
        for r, grad in zip(relus, torch.autograd.grad(bound.sum(), [leaves[r] for r in relus]), strict=True):
            first[r].mul_(0.9).add_(grad, alpha=0.1)
            second[r].mul_(0.999).addcmul_(grad, grad, value=0.001)
            scale = (second[r] / (1 - 0.999**step)).sqrt_().add_(1e-12)
            slopes[r] = (slopes[r] + rate * (first[r] / (1 - 0.9**step)) / scale).clamp_(0, 1)
        rate *= ascent.decay
    return best


def _lines(fixed: tuple[Tensor, Tensor], free: Tensor, slope: Tensor | None) -> Lines:
    s, t = fixed[0].unsqueeze(1), fixed[1].unsqueeze(1)
    return Lines(s if slope is None else torch.where(free.unsqueeze(1), slope, s), s, t)


def optimised_lines(search: Search, bounds: Bounds, rows: Rows, ascent: Ascent) -> dict[int, Lines]:
    """Float64 lines with optimised slopes for ``rows``; ReLUs that no search touched get CROWN's."""
    found = optimise(search, rows, ascent)
    return rigorous_lines(bounds, found, rows.start)


def rigorous_lines(bounds: Bounds, slopes: Mapping[int, Tensor], start: int) -> dict[int, Lines]:
    """Float64 lines over ``bounds`` with the given slopes, CROWN's where there are none."""
    return {
        r: lines(pre, slopes[r].to(pre.lower.dtype) if r in slopes else crown_slope(pre))
        for r, pre in bounds.pre.items()
        if r <= start
    }


def by_ascent(ascent: Ascent) -> Tightener:
    """The tightener that optimises the slopes of every neuron, both sides, and recomputes the bounds in float64."""

    def tighten(scope: Scope) -> tuple[Interval, Evidence]:
        network = scope.network.to(dtype=torch.float32)

        def choose(part: Scope, rows: Rows) -> dict[int, Lines]:
            search = Search(network, part.region.to(dtype=torch.float32), small_bounds(part.bounds))
            return optimised_lines(search, part.bounds, rows, ascent)

        return neuron_bounds(scope, choose, copies=24), scope.bounds.evidence

    return tighten
