"""scipy's own copy of HiGHS: linprog for linear programs, milp for integer ones. No warm start, no Farkas ray."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse as sp

from solvers.base import SolveOptions, Solver
from solvers.errors import SolverBroken
from solvers.problem import Array, LinearProgram
from solvers.result import SolveResult, SolveStats, Status

# scipy's integer status; 1 is "iteration or time limit". Anything that is not here is FAILED.
STATUS = {0: Status.OPTIMAL, 1: Status.TIME_LIMIT, 2: Status.INFEASIBLE}

SMALLEST_COEFFICIENT = 1e-9  # below it scipy's HiGHS drops entries silently: claims are withdrawn, see solvers.highs


class Scipy(Solver):
    """scipy.optimize.linprog and milp."""

    name = "scipy"
    package = "scipy"
    pip_name = "scipy"

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        begun = time.perf_counter()
        solved = _milp(problem, options) if problem.integer.any() else _linprog(problem, options)
        seconds = time.perf_counter() - begun
        status, bound, value, x, dual, iterations, nodes = solved
        if (np.abs(problem.matrix.data) <= SMALLEST_COEFFICIENT).any() or np.isnan(bound):
            bound = -np.inf
        return SolveResult(status, bound, value, x, dual, SolveStats(seconds, iterations, nodes))


_Solved = tuple[Status, float, float, Array | None, Array | None, int, int]


def _linprog(p: LinearProgram, options: SolveOptions) -> _Solved:
    from scipy.optimize import linprog

    equal = p.row_lower == p.row_upper
    above, below = ~equal & np.isfinite(p.row_upper), ~equal & np.isfinite(p.row_lower)
    A_ub = sp.vstack([p.matrix[above], -p.matrix[below]], format="csr")
    b_ub = np.concatenate([p.row_upper[above], -p.row_lower[below]])
    native = {} if options.time_limit is None else {"time_limit": options.time_limit}
    found: Any = linprog(  # type: ignore[call-overload]
        p.objective,
        A_ub=A_ub if A_ub.shape[0] else None,
        b_ub=b_ub if A_ub.shape[0] else None,
        A_eq=p.matrix[equal] if equal.any() else None,
        b_eq=p.row_lower[equal] if equal.any() else None,
        bounds=np.column_stack([p.column_lower, p.column_upper]),
        method="highs",
        options=native,
    )
    status = STATUS.get(int(found.status), Status.FAILED)
    if status is not Status.OPTIMAL:
        return status, -np.inf, np.inf, None, None, int(found.nit), 0
    # marginals are d(minimum)/d(right-hand side): <= 0 for A_ub rows, which is our sign for row_upper.
    dual = np.zeros(len(p.row_lower))
    upper = found.ineqlin.marginals if A_ub.shape[0] else np.zeros(0)
    count = int(above.sum())
    dual[above] += upper[:count]
    dual[below] -= upper[count:]
    if equal.any():
        dual[equal] = found.eqlin.marginals
    value = float(found.fun) + p.offset
    return status, value, value, np.asarray(found.x), dual, int(found.nit), 0


def _milp(p: LinearProgram, options: SolveOptions) -> _Solved:
    from scipy.optimize import Bounds, LinearConstraint, milp

    native: Any = {"mip_rel_gap": options.relative_gap}
    if options.time_limit is not None:
        native["time_limit"] = options.time_limit
    found: Any = milp(
        p.objective,
        integrality=p.integer.astype(int),
        bounds=Bounds(p.column_lower, p.column_upper),
        constraints=LinearConstraint(p.matrix, p.row_lower, p.row_upper) if p.matrix.shape[0] else None,
        options=native,
    )
    status = STATUS.get(int(found.status), Status.FAILED)
    x = None if found.x is None or status is Status.FAILED else np.asarray(found.x)
    bound = found.mip_dual_bound if status in (Status.OPTIMAL, Status.TIME_LIMIT) else None
    if status is Status.OPTIMAL and (x is None or bound is None):
        raise SolverBroken("scipy.optimize.milp says optimal without a point or a bound")
    value = np.inf if x is None else float(found.fun) + p.offset
    nodes = int(found.mip_node_count or 0)
    return status, -np.inf if bound is None else float(bound) + p.offset, value, x, None, 0, nodes
