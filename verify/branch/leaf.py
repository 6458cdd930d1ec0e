"""Domains in which every neuron is stable: the network is affine there, and one linear program settles them.

    minimise t   over the region's box, with   C f(x) + d <= t,   y_j >= 0 or y_j <= 0 for the phases

The duals of its rows are the ``mix`` and ``beta`` of a bound, which is recomputed; its solution is a candidate.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from solvers.base import SolveOptions
from solvers.problem import LinearProgram
from solvers.registry import get_solver
from verify.bounds.backward import LinearForm, Rows, backward_form
from verify.bounds.relaxation import lines
from verify.branch.bounding import form_bound, proposal
from verify.branch.domains import Domains, intervals
from verify.branch.outcome import Limits
from verify.branch.problem import Problem

SECONDS = 60.0  # for one program


def settled(problem: Problem, domains: Domains, limits: Limits) -> tuple[Domains, Tensor]:
    """The domains (N) with the bounds of their linear programs' duals, and the programs' solutions (N, *input shape).

    Recomputed: the bounds, in float64 with their rounding. Trusted: nothing; the solver proposes. One program takes at most
    ``SECONDS``; those that the limits leave no time for are left as they are, with a corner of the region as their point.
    """
    parts = []
    for i in range(len(domains)):
        domain, seconds = domains.select(torch.tensor([i])), min(SECONDS, limits.left())
        unsolved = domain.lower, domain.beta, domain.mix, problem.region.lower
        parts.append(_one(problem, domain, seconds) if seconds > 0 else unsolved)
    lower, beta, mix = (torch.cat([p[k] for p in parts]) for k in range(3))
    better = lower > domains.lower
    row = better.unsqueeze(1)
    kept = replace(
        domains,
        lower=torch.where(better, lower, domains.lower),
        beta=torch.where(row, beta, domains.beta),
        mix=torch.where(row, mix, domains.mix),
    )
    return kept, torch.cat([p[3] for p in parts])


def _one(problem: Problem, domain: Domains, seconds: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bound (1,), beta (1, R), mix (1, J) and solution (1, *input shape) of one domain."""
    region, clause = problem.region, int(domain.clause)
    last = len(problem.network.nodes) - 1
    rows = _form(problem, domain, Rows(last, problem.C[clause : clause + 1], problem.d[clause : clause + 1]))
    held = problem.rows[clause].numpy()
    columns, forms = _phases(problem, domain)
    lower, upper = (t.flatten().double().numpy() for t in (region.lower, region.upper))
    most = float(problem.bounds.values[last].magnitude().sum() * problem.C.abs().max() + problem.d.abs().max()) + 1.0
    a = np.concatenate([rows.coefficient[0].flatten(1).numpy()[held], *(f[0] for f in forms)])
    c = np.concatenate([rows.constant[0].numpy()[held], *(f[1] for f in forms)])
    sign = domain.phase[0, columns].numpy()
    t = np.concatenate([np.full(held.sum(), -1.0), np.zeros(len(columns))])
    program = LinearProgram(
        objective=np.append(np.zeros(len(lower)), 1.0),
        matrix=csr_array(np.hstack([a, t[:, None]])),
        row_lower=np.concatenate([np.full(held.sum(), -np.inf), np.where(sign > 0, -c[held.sum() :], -np.inf)]),
        row_upper=np.concatenate([-c[: held.sum()], np.where(sign < 0, -c[held.sum() :], np.inf)]),
        column_lower=np.append(lower, -most),
        column_upper=np.append(upper, most),
        integer=np.zeros(len(lower) + 1, dtype=bool),
    )
    result = get_solver("highs").solve(program, SolveOptions(time_limit=seconds))
    x = region.lower if result.x is None else torch.from_numpy(np.nan_to_num(result.x[:-1])).reshape(region.lower.shape)
    dual = result.row_dual if result.row_dual is not None else result.farkas
    beta, mix = domain.beta.clone(), domain.mix.clone()
    if dual is not None:
        found = torch.from_numpy(np.nan_to_num(np.abs(dual)))
        mix[0, problem.rows[clause]] = found[: held.sum()].to(mix.dtype)
        beta = torch.zeros_like(beta)
        beta[0, columns] = found[held.sum() :].to(beta.dtype)
    domain = replace(domain, beta=beta, mix=mix)
    bound = form_bound(problem, domain, proposal(problem, domain), pre=intervals(problem, domain))[:, 0]
    return bound, beta, mix, x


def _phases(problem: Problem, domain: Domains) -> tuple[Tensor, list[tuple[np.ndarray, np.ndarray]]]:
    """The columns whose phase is known, and their pre-activations as affine functions of the input, layer by layer."""
    columns, forms = [], []
    for r, at in problem.columns.place.items():
        known = domain.phase[0, at].nonzero().squeeze(1)
        if not len(known):
            continue
        node = problem.network.nodes[r].inputs[0]
        shape = problem.network.nodes[node].shape
        one_hot = torch.zeros(1, len(known), math.prod(shape), dtype=torch.float64)
        one_hot[0, torch.arange(len(known)), problem.columns.index[r][known]] = 1.0
        form = _form(problem, domain, Rows(node, one_hot.unflatten(2, shape), one_hot.new_zeros(1, len(known))))
        columns.append(at.start + known)
        forms.append((form.coefficient[0].flatten(1).numpy(), form.constant[0].numpy()))
    return torch.cat(columns) if columns else torch.zeros(0, dtype=torch.long), forms


def _form(problem: Problem, domain: Domains, rows: Rows) -> LinearForm:
    """The rows as functions of the input, by the backward pass; equal to them, but for rounding, where all is stable."""
    pre = intervals(problem, domain)
    at = {r: lines(interval, None) for r, interval in pre.items()}
    return backward_form(problem.network, replace(problem.bounds, pre=pre), rows, at)
