"""Slopes found by gradient ascent on the bound itself (alpha-CROWN, Xu et al. 2021).

The search runs in float32 and proves nothing: it returns slopes, any of which are sound. The bound that is reported
is the float64 backward pass with the slopes that were found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.backward import Rows
from verify.bounds.climb import Ascent, Parameter, climb
from verify.bounds.compute import neuron_bounds
from verify.bounds.nouns import Bounds, Interval, unstable
from verify.bounds.relaxation import Lines, crown_slope, lines
from verify.bounds.relaxed import Relaxed, relaxed
from verify.bounds.scope import Scope, Tightener
from verify.bounds.strided import for_search
from verify.bounds.windows import in_windows
from verify.network import Network
from verify.region import Box
from verify.verdict import Evidence


@dataclass(frozen=True)
class Search:
    """A float32 copy of everything a search reads, made once for many row chunks."""

    network: Network
    region: Box
    bounds: Bounds


def search_copy(network: Network, region: Box, bounds: Bounds) -> Search:
    """The float32 copy of a question."""
    return Search(for_search(network), region.to(dtype=torch.float32), small_bounds(bounds))


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
    """Lower slopes (B, S, *shape) of every unstable ReLU, float32, that raise the bound of each row; start: CROWN's.

    Each row keeps the best slopes that it met, so no row gets worse than CROWN.
    """
    rows = replace(rows, coefficient=rows.coefficient.float(), constant=rows.constant.float())
    count, width = search.region.count, rows.coefficient.shape[1]
    pre = {r: interval for r, interval in search.bounds.pre.items() if r <= rows.start}
    free = [r for r, interval in pre.items() if bool(unstable(interval).any())]

    def bound(slopes: Sequence[Tensor], last: bool) -> tuple[Tensor, list[Tensor]]:
        chosen = dict(zip(free, slopes, strict=True))
        at = {r: lines(interval, chosen.get(r)) for r, interval in pre.items()}
        found = relaxed(search.network, search.region, rows, at)
        return found.lower, [] if last else [_gradient(found, r, pre[r], slope) for r, slope in chosen.items()]

    start = [crown_slope(pre[r]).unsqueeze(1).expand(count, width, *pre[r].lower.shape[1:]) for r in free]
    best, _ = climb(bound, [Parameter(slope.contiguous()) for slope in start], ascent)
    return dict(zip(free, best, strict=True))


def _gradient(found: Relaxed, r: int, pre: Interval, slope: Tensor) -> Tensor:
    """How the bounds change with the slopes of ReLU ``r``."""
    if r not in found.pre:
        return torch.zeros_like(slope)  # a ReLU of another branch has no part in these rows
    return found.on_relu[r].clamp(min=0) * found.pre[r] * unstable(pre).unsqueeze(1)


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
        network = for_search(scope.network)

        def choose(part: Scope, rows: Rows) -> dict[int, Lines]:
            search = Search(network, part.region.to(dtype=torch.float32), small_bounds(part.bounds))
            return optimised_lines(search, part.bounds, rows, ascent)

        return neuron_bounds(scope, choose, copies=24, deadline=ascent.deadline), scope.bounds.evidence

    return in_windows(tighten)
