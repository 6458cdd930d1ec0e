"""The big-M integer program: exact margins, as far as a solver's word goes (Tjeng et al. 2019).

Recomputed, and all that verifies by default: the margins of alpha-CROWN over pre-activation bounds tightened by
interval, CROWN, alpha and LP bounds. Trusted, and labelled a solver's claim: (1) the solver's dual bound of the integer
program; (2) that the program's coefficients, rounded to nearest, and the solver's tolerances change it by no more than
SOLVER_TOLERANCE; (3) the pre-activation bounds that integer programs claim, for ReLUs that stay unstable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch

from solvers.result import SolveResult
from verify.bounds.tighten import Budget, claimed
from verify.certify.alpha import optimised
from verify.certify.answer import Answer, rows_of
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.encode.lp import Encoding, encode, with_binaries
from verify.specification import Query

WORKERS = 2  # targets solved side by side: the solvers release the interpreter while they run


def milp(query: Query, options: Options) -> Answer:
    """Margins from one integer program a row. See the module for what is recomputed and what is trusted."""
    bounds = pre_activation_bounds(query, options, "lp")
    known = optimised(query, options, bounds)
    claims = torch.full_like(known.lower, -torch.inf)
    points = [query.region.lower.clone() for _ in range(claims.shape[1])]
    for i in range(query.region.count):
        at = torch.tensor([i])
        one, around = query.select(at), bounds.select(at)
        encoding = with_binaries(encode(query.network, one.region, around))
        for k, result in enumerate(solve_rows(encoding, one, options.budget())):
            if result is not None:
                claims[i, k] = claimed(result)
                if result.x is not None:
                    points[k][i] = torch.from_numpy(np.nan_to_num(encoding.point(result.x))).reshape(points[k][i].shape)
    lower = torch.maximum(claims, known.lower)
    return replace(known, lower=lower, points=tuple(points), reason="timeout" if options.late else "solver claim")


def solve_rows(encoding: Encoding, query: Query, budget: Budget) -> Iterable[SolveResult | None]:
    """The solver's result for each row of the specification; None where the time was up before it began."""
    rows = rows_of(query)

    def solve(k: int) -> SolveResult | None:
        if budget.spent:
            return None
        objective, offset = encoding.objective(rows.coefficient[0, k].numpy(), float(rows.constant[0, k]))
        return budget.solver.solve(encoding.problem.with_objective(objective, offset), budget.options())

    return _in_parallel(solve, rows.coefficient.shape[1])


def _in_parallel(work: Callable[[int], SolveResult | None], count: int) -> list[SolveResult | None]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, range(count)))
