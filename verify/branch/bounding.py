"""The bound of many domains at once: multipliers searched in float32, the bound recomputed in float64.

For a domain with assumed phases and a clause's rows, weighed by ``mix``, every x of the domain that satisfies the clause
has ``mix . (C f(x) + d) <= 0``; so a positive lower bound of that sum leaves the domain without any (beta-CROWN, Wang et
al. 2021, with the clause's rows as one more constraint).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward
from verify.bounds.climb import Ascent, Parameter, climb
from verify.bounds.nouns import Interval
from verify.bounds.relaxation import Lines, assumed, lines
from verify.bounds.relaxed import relaxed
from verify.branch.domains import Domains, intervals
from verify.branch.moving import Phases, Slopes
from verify.branch.problem import Problem
from verify.floating import TINY, gamma, up
from verify.proof.multipliers import rounded

ROOM = 1e-10  # of the size of what is bounded


@dataclass(frozen=True)
class Bounded:
    """Domains with their new bounds, and what branching needs to know of the form that gave them.

    ``points`` (N, *input shape): where the bounding form is smallest. ``on_relu``: by ReLU, the coefficients (N, *shape)
    on its output; ``pre``: the intervals that were used.
    """

    domains: Domains
    points: Tensor
    on_relu: dict[int, Tensor]
    pre: dict[int, Interval]


@dataclass(frozen=True)
class Proposal:
    """Multipliers of a batch of forms: ``alpha`` and ``beta`` by ReLU, (N, S, columns), ``mix`` (N, S, J).

    ``pace``: the size of a useful ``mix``, which scales the steps of a search.
    """

    alpha: dict[int, Tensor]
    beta: dict[int, Tensor]
    mix: Tensor
    pace: Tensor | float = 1.0


def bound(problem: Problem, search: Problem, domains: Domains, ascent: Ascent) -> Bounded:
    """Each domain's bound with multipliers optimised from where they stand.

    Recomputed: the bound, in float64 with its rounding, from the multipliers that the float32 ``search`` copy proposed.
    Trusted: that the domains' intervals hold of every x that satisfies the clause. An empty domain gets the bound +inf.
    """
    found = climbed(search, domains, proposal(search, domains), ascent, enough=0.0)
    if problem.tree is not None:
        found = stored(found)
    domains = replace(_standing(problem, domains, found), pull=torch.zeros_like(domains.pull))
    seen: dict[int, Tensor] = {}
    pre = intervals(problem, domains)
    lower = form_bound(problem, domains, found, pre=pre, seen=seen)[:, 0]
    lower = torch.where(domains.empty(), torch.inf, lower - room(problem, domains))
    on_relu = {r: a[:, 0] for r, a in seen.items() if r > 0}
    for r, at in problem.columns.place.items():
        if r in on_relu:
            domains.pull[:, at] = on_relu[r].flatten(1)[:, problem.columns.index[r]].to(domains.pull.dtype)
    region = problem.region.select(torch.zeros(len(domains), dtype=torch.long))
    points = region.minimiser(seen[0][:, 0]) if 0 in seen else region.lower
    domains = replace(domains, lower=lower)
    if problem.tree is not None:
        problem.tree.ended(domains.select(lower > 0))
    return Bounded(domains, points, on_relu, pre)


def stored(found: Proposal) -> Proposal:
    """The proposal with the slopes that a certificate stores."""
    return replace(found, alpha={r: rounded(a) for r, a in found.alpha.items()})


def room(problem: Problem, domains: Domains) -> Tensor | float:
    """What a recorded bound must have to spare: whoever checks it pays for other roundings than we do."""
    if problem.tree is None:
        return 0.0
    each = row_room(problem.C, problem.d, problem.bounds.values[-1].magnitude())[domains.clause]
    return (domains.mix.double() * each).sum(1)


def row_room(C: Tensor, d: Tensor, outputs: Tensor) -> Tensor:
    """:func:`room` of rows ``C`` (K, J, n_out) and ``d`` (K, J) weighed with 1, over outputs of magnitude (K or 1, n_out): (K, J).

    The rows (J, n_out) of one clause serve all K.
    """
    return ROOM * ((C.abs() @ outputs.unsqueeze(-1)).squeeze(-1) + d.abs())


def estimate(search: Problem, domains: Domains) -> Tensor:
    """The bounds (N,) with the multipliers as they stand, in float32: an estimate that ranks, and proves nothing."""
    lower = form_bound(search, domains, proposal(search, domains), pre=intervals(search, domains))[:, 0]
    return torch.where(domains.empty(), torch.inf, lower)


def form_bound(
    problem: Problem,
    domains: Domains,
    found: Proposal,
    *,
    pre: dict[int, Interval],
    also: Mapping[int, Tensor] | None = None,
    seen: dict[int, Tensor] | None = None,
) -> Tensor:
    """Lower bounds (N, S) over each domain of ``also + mix . (C f(x) + d)`` with the multipliers of ``found``.

    Recomputed in the problem's dtype: rigorous for the float64 problem, an estimate for its search copy. Multipliers that
    overflow or are NaN give -inf, which is a bound; NaN would pass every test that asks whether a domain is open.
    """
    with torch.no_grad():
        rows = mixed_rows(problem, domains.clause, found.mix, also or {})
        bounds = replace(problem.bounds, pre=pre)
        at = _lines(problem, domains, found, pre)
        lower = backward(problem.network, problem.region, bounds, rows, at, seen=seen)
        return torch.where(lower.isfinite(), lower, -torch.inf)


def proposal(search: Problem, domains: Domains) -> Proposal:
    """The multipliers as the domains have them, one form each."""
    place = search.columns.place
    return Proposal(
        {r: domains.alpha[:, None, at].float() for r, at in place.items()},
        {r: domains.beta[:, None, at].float() for r, at in place.items() if bool((domains.phase[:, at] != 0).any())},
        domains.mix[:, None].float(),
    )


def climbed(
    search: Problem,
    domains: Domains,
    start: Proposal,
    ascent: Ascent,
    *,
    also: Mapping[int, Tensor] | None = None,
    enough: float = torch.inf,
) -> Proposal:
    """Multipliers that raise the forms' bounds. ``mix`` moves where there is something to weigh.

    Without ``also`` a form is its clause alone, whose size says nothing: it is measured per unit of ``mix``.
    """
    alone = not also
    mixes = not alone or start.mix.shape[2] > 1
    pre, forms = intervals(search, domains), start.mix.shape[1]
    columns, place = search.columns.index, search.columns.place
    fixed = {r: lines(interval, None) for r, interval in pre.items()}
    slopes = {r: Slopes.of(r, fixed[r], pre[r], columns[r], forms) for r in start.alpha}
    phases = {r: Phases.of(r, domains.phase[:, place[r]], pre[r], columns[r], forms) for r in start.beta}
    C, d, held = search.C[domains.clause], search.d[domains.clause], search.rows[domains.clause].unsqueeze(1)

    def ascend(parameters: Sequence[Tensor], last: bool) -> tuple[Tensor, list[Tensor]]:
        alphas = dict(zip(start.alpha, parameters, strict=False))
        betas = dict(zip(start.beta, parameters[len(start.alpha) :], strict=False))
        mix = parameters[-1] if mixes else start.mix
        at = fixed | {r: slopes[r].lines(alpha) for r, alpha in alphas.items()}
        at |= {r: phases[r].added(at[r], beta) for r, beta in betas.items()}
        rows = mixed_rows(search, domains.clause, mix, also or {})
        found = relaxed(search.network, search.region, rows, at)
        lower = found.lower / mix.sum(2).clamp(min=1e-6) if alone and mixes else found.lower
        if last:
            return lower, []
        gradients = [slopes[r].gradient(found, alpha) for r, alpha in alphas.items()]
        gradients += [phases[r].gradient(found, beta) for r, beta in betas.items()]
        if mixes:
            each = (found.start @ C.transpose(1, 2) + d.unsqueeze(1)) * held
            gradients.append(each - lower.unsqueeze(2) if alone else each)
        return lower, gradients

    parameters = [Parameter(alpha) for alpha in start.alpha.values()]
    parameters += [Parameter(beta, 0.0, torch.inf) for beta in start.beta.values()]
    parameters += [Parameter(start.mix, 0.0, torch.inf, start.pace)] if mixes else []
    best, _ = climb(ascend, parameters, ascent, enough=enough)
    alphas, betas = best[: len(start.alpha)], best[len(start.alpha) : len(start.alpha) + len(start.beta)]
    return Proposal(
        dict(zip(start.alpha, alphas, strict=True)),
        dict(zip(start.beta, betas, strict=True)),
        best[-1] if mixes else start.mix,
    )


def mixed_rows(problem: Problem, clause: Tensor, mix: Tensor, also: Mapping[int, Tensor]) -> Rows:
    """Each clause's rows summed with weights ``mix`` (N, S, J), less the rounding of that sum, and ``also``."""
    C, d = problem.C[clause], problem.d[clause]
    mix = mix.clamp(min=0).to(C.dtype) * problem.rows[clause].unsqueeze(1)
    last = len(problem.network.nodes) - 1
    coefficient, constant = mix @ C, (mix @ d.unsqueeze(2)).squeeze(2)
    if C.dtype == torch.float32:
        return Rows(last, coefficient, constant, also)
    outputs = problem.bounds.values[last].magnitude()[0]
    size = (mix @ C.abs()) @ outputs + (mix @ d.abs().unsqueeze(2)).squeeze(2)
    lost = up(size * (gamma(mix.shape[2] + C.shape[2] + 2) * 2.0))
    lost = lost + up(outputs.sum() + 1.0) * (2.0 * (mix.shape[2] + 1) * TINY)  # products that underflow
    return Rows(last, coefficient, constant - lost, also)


def _lines(problem: Problem, domains: Domains, found: Proposal, pre: dict[int, Interval]) -> dict[int, Lines]:
    at, columns = {}, problem.columns
    for r, interval in pre.items():
        kind, shape = interval.lower.dtype, interval.lower.shape[1:]
        if r not in found.alpha:
            at[r] = lines(interval, None)
            continue
        alpha = found.alpha[r].to(kind)
        empty = alpha.new_zeros(*alpha.shape[:2], interval.lower[0].numel())
        at[r] = lines(interval, empty.index_copy(2, columns.index[r], alpha).unflatten(2, shape))
        if r in found.beta:
            beta = empty.index_copy(2, columns.index[r], found.beta[r].to(kind)).unflatten(2, shape)
            phase = _whole(domains.phase[:, columns.place[r]], columns.index[r], interval)
            at[r] = assumed(at[r], interval, phase, beta)
    return at


def _whole(values: Tensor, index: Tensor, like: Interval) -> Tensor:
    """Values (N, k) of the neurons ``index`` among all of a layer, 0 elsewhere: (N, *shape)."""
    shape = like.lower.shape[1:]
    empty = values.new_zeros(len(values), math.prod(shape))
    whole: Tensor = empty.index_copy(1, index, values).unflatten(1, shape)
    return whole


def _standing(problem: Problem, domains: Domains, found: Proposal) -> Domains:
    """The domains with the multipliers of their own form."""
    alpha, beta = domains.alpha.clone(), domains.beta.clone()
    for packed, parts in ((alpha, found.alpha), (beta, found.beta)):
        for r, part in parts.items():
            packed[:, problem.columns.place[r]] = part[:, 0].to(packed.dtype)
    beta = torch.where(domains.phase != 0, beta, torch.zeros_like(beta))
    return replace(domains, alpha=alpha, beta=beta, mix=found.mix[:, 0].to(domains.mix.dtype))
