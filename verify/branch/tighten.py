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
from verify.bounds.nouns import Interval
from verify.branch.bounding import Proposal, climbed, form_bound
from verify.branch.domains import Domains, implied, intervals
from verify.branch.problem import Problem

MEMORY_BYTES = 512 * 2**20


def tightened(problem: Problem, search: Problem, domains: Domains, ascent: Ascent, *, chosen: bool = False) -> Domains:
    """The domains with tighter ``low`` and ``high``, from the last ReLU to the first; never looser.

    From the last, since the clause constrains that one most, and each that gets tighter helps those before it. With
    ``chosen`` only the columns that are among some domain's ``choices``.

    Recomputed: every bound, in float64 with its rounding, from multipliers that the float32 search proposed. Trusted: the
    domains' intervals so far, as :func:`verify.branch.bounding.bound` does.
    """
    for r in reversed(problem.columns.index):
        if not ascent.late:
            domains = _layer(problem, search, domains, ascent, r, chosen)
    return domains


def _layer(problem: Problem, search: Problem, domains: Domains, ascent: Ascent, r: int, chosen: bool) -> Domains:
    at, index = problem.columns.place[r], problem.columns.index[r]
    low, high = domains.low.clone(), domains.high.clone()
    wanted = ((domains.low[:, at] < 0) & (domains.high[:, at] > 0)).any(0)
    if chosen:
        named = torch.zeros(problem.columns.count, dtype=torch.bool)
        named[domains.choices[domains.choices >= 0]] = True
        wanted &= named[at]
    open_ = wanted.nonzero().squeeze(1)
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
    return implied(replace(domains, low=low, high=high))


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
        _pace(search, domains, intervals(search, domains)[r], neurons),
    )
    found = climbed(search, domains, start, ascent, also={node: one_hot.float()})
    lower = form_bound(problem, domains, found, pre=intervals(problem, domains), also={node: one_hot})
    below, negated = lower.chunk(2, dim=1)
    return below, negated


def _pace(search: Problem, domains: Domains, pre: Interval, neurons: Tensor) -> Tensor:
    """The size of a useful weight of the clause's rows, (N, 2k, J): the neuron's range over the row's.

    A row reaches from its bound to what it is in the middle of the region, about.
    """
    middle = search.network((search.region.lower + search.region.upper) / 2)[0]
    row = (search.C[domains.clause] @ middle + search.d[domains.clause]).abs()
    row = row - domains.lower.float().clamp(min=-1e30, max=0).unsqueeze(1)
    width = (pre.upper - pre.lower).flatten(1)[:, neurons]
    return torch.cat([width, width], 1).unsqueeze(2) / row.clamp(min=1e-6).unsqueeze(1)
