"""The triangle LP: its duals give the slopes, and the backward pass with them gives the margin."""

from __future__ import annotations

import numpy as np
import torch

from verify.bounds.nouns import Bounds
from verify.bounds.tighten import SOLVER_TOLERANCE, Budget, Solution, dual_lines, solved
from verify.certify.answer import Answer, answer, row_bounds, rows_of
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.encode.lp import encode
from verify.specification import Query


def lp(query: Query, options: Options) -> Answer:
    """Margins equal to the LP's optimum up to rounding. Recomputed: everything; the solver only proposes slopes."""
    bounds = pre_activation_bounds(query, options, "alpha")
    budget = options.budget()
    count, rows = query.region.count, query.specification.C.shape[1]
    lower = torch.empty(count, rows, dtype=torch.float64)
    points = [query.region.lower.clone() for _ in range(rows)]
    for i in range(count):
        at = torch.tensor([i])
        lower[i], found = _one(query.select(at), bounds.select(at), options, budget)
        for k, point in enumerate(found):
            points[k][i] = point
    reason = "timeout" if options.late else "incomplete method"
    return answer(lower, bounds, points=tuple(points), reason=reason)


def _bounded(query: Query, bounds: Bounds, options: Options, found: list[Solution]) -> torch.Tensor:
    """Lower bounds (1, S) with the slopes of the solutions."""
    at = dual_lines(bounds, [s.slopes for s in found], len(query.network.nodes) - 1)
    return row_bounds(query, options, bounds, at)


def _one(query: Query, bounds: Bounds, options: Options, budget: Budget) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Lower bounds (S,) and the solutions' inputs for one input of the query."""
    rows = rows_of(query)
    encoding = encode(query.network, query.region, bounds)
    objectives = [
        encoding.objective(C, float(d))
        for C, d in zip(rows.coefficient[0].numpy(), rows.constant[0].numpy(), strict=True)
    ]
    found = solved(encoding, objectives, budget)
    lower = _bounded(query, bounds, options, found)
    short = [k for k, s in enumerate(found) if float(lower[0, k]) < s.claim - SOLVER_TOLERANCE * (1.0 + abs(s.claim))]
    if short:
        # At a degenerate vertex the duals may lean on y >= l, which is no line of the relaxation. Those of a program that is
        # solved from scratch seldom do.
        found = [solved(encoding, [objectives[k]], budget)[0] if k in short else s for k, s in enumerate(found)]
        lower = torch.maximum(lower, _bounded(query, bounds, options, found))
    middle = (query.region.lower[0] + query.region.upper[0]) / 2
    points = [
        middle if s.point is None else torch.from_numpy(np.nan_to_num(s.point)).reshape(middle.shape) for s in found
    ]
    return lower[0], points
