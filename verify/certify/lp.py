"""The triangle LP: its duals give the slopes, and the backward pass with them gives the margin."""

from __future__ import annotations

import numpy as np
import torch

from verify.bounds.backward import Rows, backward
from verify.bounds.nouns import Bounds
from verify.bounds.tighten import Budget, dual_lines
from verify.certify.answer import Answer, answer, rows_of
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.encode.lp import encode, slopes
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
        lower[i], found = _one(query.select(at), bounds.select(at), budget)
        for k, point in enumerate(found):
            points[k][i] = point
    reason = "timeout" if options.late else "incomplete method"
    return answer(lower, bounds, points=tuple(points), reason=reason)


def _one(query: Query, bounds: Bounds, budget: Budget) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Lower bounds (S,) and the solutions' inputs for one input of the query."""
    rows = rows_of(query)
    encoding = encode(query.network, query.region, bounds)
    per_row, points = [], []
    middle = (query.region.lower[0] + query.region.upper[0]) / 2
    with budget.solver.session(encoding.problem, budget.options()) as session:
        for C, d in zip(rows.coefficient[0].numpy(), rows.constant[0].numpy(), strict=True):
            objective, offset = encoding.objective(C, float(d))
            result = None
            if not budget.spent:
                result = session.solve(objective=objective, offset=offset, time_limit=budget.left())
            dual = None if result is None else result.row_dual
            per_row.append(None if dual is None else slopes(encoding, objective, dual))
            x = None if result is None else result.x
            points.append(middle if x is None else _as_input(encoding.point(x), middle))
    at = dual_lines(bounds, per_row, rows.start)
    lower = backward(query.network, query.region, bounds, Rows(rows.start, rows.coefficient, rows.constant), at)
    return lower[0], points


def _as_input(x: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.nan_to_num(x)).reshape(like.shape)
