"""Pre-activation bounds of domains, tightened with the clause and the phases as constraints.

For every x that satisfies the clause, ``v >= v + mix . (C f(x) + d)`` for any ``mix >= 0``: a form whose lower bound is
one of the neuron too (INVPROP, Kotha et al. 2023, section 3, with the split constraints of beta-CROWN).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from verify.bounds.climb import Ascent
from verify.branch.bounding import Proposal, climbed, form_bound
from verify.branch.domains import Domains, intervals
from verify.branch.problem import Problem

MEMORY_BYTES = 512 * 2**20


def tightened(problem: Problem, search: Problem, domains: Domains, ascent: Ascent) -> Domains:
    """The domains with tighter ``low`` and ``high``, from the last ReLU to the first; never looser.

    From the last, since the clause constrains that one most, and each that gets tighter helps those before it.

    Recomputed: every bound, in float64 with its rounding, from multipliers that the float32 search proposed. Trusted: the
    domains' intervals so far, as :func:`verify.branch.bounding.bound` does.
    """
    for r in reversed(problem.columns.index):
        if not ascent.late:
            domains = _layer(problem, search, domains, ascent, r)
    return domains


def _layer(problem: Problem, search: Problem, domains: Domains, ascent: Ascent, r: int) -> Domains:
    at, index = problem.columns.place[r], problem.columns.index[r]
    low, high = domains.low.clone(), domains.high.clone()
    open_ = ((domains.low[:, at] < 0) & (domains.high[:, at] > 0)).any(0).nonzero().squeeze(1)
    if not len(open_):
        return domains
    total = sum(math.prod(node.shape) for node in problem.network.nodes)
    rows = max(1, MEMORY_BYTES // (16 * 4 * total))
    for some in torch.arange(len(domains)).split(max(1, rows // (2 * len(open_)))):
        part = domains.select(some)
        for columns in open_.split(max(1, rows // (2 * len(part)))):
            below, negated = _both(problem, search, part, ascent, r, index[columns])
            place = (some[:, None], at.start + columns[None, :])
            low[place] = torch.maximum(low[place], below)
            high[place] = torch.minimum(high[place], -negated)
    return replace(domains, low=low, high=high)


def _both(
    problem: Problem, search: Problem, domains: Domains, ascent: Ascent, r: int, neurons: Tensor
) -> tuple[Tensor, Tensor]:
    """Lower bounds (N, k) of the pre-activations ``neurons`` of ReLU r, and of their negations."""
    node, count = problem.network.nodes[r].inputs[0], len(neurons)
    shape = problem.network.nodes[node].shape
    one_hot = torch.zeros(1, 2 * count, math.prod(shape), dtype=torch.float64)
    one_hot[0, torch.arange(count), neurons] = 1.0
    one_hot[0, count + torch.arange(count), neurons] = -1.0
    one_hot = one_hot.unflatten(2, shape)
    width = 2 * count
    start = Proposal(
        {k: domains.alpha[:, None, at].float().expand(-1, width, -1) for k, at in search.columns.place.items()},
        {
            k: torch.zeros(len(domains), width, at.stop - at.start)
            for k, at in search.columns.place.items()
            if bool((domains.phase[:, at] != 0).any())
        },
        torch.zeros(len(domains), width, domains.mix.shape[1]),
    )
    found = climbed(search, domains, start, ascent, also={node: one_hot.float()})
    lower = form_bound(problem, domains, found, pre=intervals(problem, domains), also={node: one_hot})
    below, negated = lower.chunk(2, dim=1)
    return below, negated


def unstable_columns(domains: Domains) -> Tensor:
    """How many columns of each domain (N,) are unstable."""
    return ((domains.low < 0) & (domains.high > 0)).sum(1)
