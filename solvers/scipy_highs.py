"""SciPy's ``linprog`` and ``milp``: the HiGHS that SciPy bundles, usually an older one than highspy's.

No warm start, no target, no cutoff, no Farkas vector. Its `small_matrix_value` cannot be set, so entries
below 1e-9 go through ``limits.represent``. A ranged row becomes two rows, and its dual is the difference of
theirs.
"""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array, vstack

from solvers.base import BackEnd, LpMethod, SolveOptions
from solvers.errors import UnknownOption
from solvers.limits import Limits, represent
from solvers.problem import LinearProgram, Vector
from solvers.result import SolveResult, SolveStats, Status

SMALLEST_ENTRY = 1e-9
"""HiGHS' default `small_matrix_value`, which SciPy does not expose."""

STATUS: dict[int, Status] = {0: Status.OPTIMAL, 1: Status.TIME_LIMIT, 2: Status.INFEASIBLE}
"""SciPy's status -> Status; 1 is "iteration or time limit" and we only set the time. Whatever is not here
is FAILED."""

METHOD: dict[LpMethod, Any] = {"auto": "highs", "simplex": "highs-ds", "interior": "highs-ipm"}


class ScipySolver(BackEnd):
    """SciPy's bundled HiGHS; "interior" runs crossover here, since SciPy cannot switch it off."""

    name: ClassVar[str] = "scipy"
    package: ClassVar[str] = "scipy"
    pip_name: ClassVar[str] = "scipy"

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        """Solve once. SciPy takes neither a thread count nor a seed: only their defaults are accepted."""
        self.check(problem, options)
        if options.threads != 1:
            raise UnknownOption(self.name, "threads", options.threads, "leave it 1, or use 'highs'")
        if options.seed != 0:
            raise UnknownOption(self.name, "seed", options.seed, "leave it 0, or use 'highs'")
        represented = represent(self.name, problem, Limits(smallest=SMALLEST_ENTRY))
        solve = _solve_integer if problem.has_integers else _solve_linear
        return solve(represented.problem, options, represented.notes)


def _solve_linear(problem: LinearProgram, options: SolveOptions, notes: tuple[str, ...]) -> SolveResult:
    from scipy.optimize import linprog

    equal = problem.row_lower == problem.row_upper
    below = np.flatnonzero(np.isfinite(problem.row_upper) & ~equal)
    above = np.flatnonzero(np.isfinite(problem.row_lower) & ~equal)
    fixed = np.flatnonzero(equal)
    a: Any = problem.matrix
    box: Any = np.stack([problem.column_lower, problem.column_upper], axis=1)
    limit: Any = {} if options.time_limit is None else {"time_limit": options.time_limit}
    started = time.perf_counter()
    native = linprog(
        problem.objective,
        A_ub=vstack([a[below], -a[above]], format="csr"),
        b_ub=np.concatenate([problem.row_upper[below], -problem.row_lower[above]]),
        A_eq=a[fixed],
        b_eq=problem.row_lower[fixed],
        bounds=box,
        method=METHOD[options.lp_method],
        options=limit,
    )
    stats = SolveStats(time.perf_counter() - started, int(native.nit))
    status = STATUS.get(native.status, Status.FAILED)
    x = row_dual = None
    if status is Status.OPTIMAL:
        x = np.array(native.x, dtype=np.float64)
        row_dual = np.zeros(problem.num_rows)
        # Marginals are d optimum / d b: those of "<=" rows are <= 0 and price row_upper, those of negated
        # rows change sign.
        row_dual[below] += native.ineqlin.marginals[: below.size]
        row_dual[above] -= native.ineqlin.marginals[below.size :]
        row_dual[fixed] = native.eqlin.marginals
    value = float(native.fun) + problem.offset if x is not None else math.inf
    bound = {Status.OPTIMAL: value, Status.INFEASIBLE: math.inf}.get(status, -math.inf)
    return SolveResult(status, bound, value, x, row_dual, stats, None, _notes(notes, status, native))


def _solve_integer(problem: LinearProgram, options: SolveOptions, notes: tuple[str, ...]) -> SolveResult:
    from scipy.optimize import Bounds, LinearConstraint, milp

    settings: Any = {"mip_rel_gap": options.relative_gap}
    if options.time_limit is not None:
        settings["time_limit"] = options.time_limit
    # milp takes CSC and reads the indices as int32.
    rows: Any = LinearConstraint(csr_array(problem.matrix).tocsc(), problem.row_lower, problem.row_upper)
    started = time.perf_counter()

    def run() -> Any:
        return milp(
            problem.objective,
            integrality=problem.integer.astype(np.int32),
            bounds=Bounds(problem.column_lower, problem.column_upper),
            constraints=() if problem.num_rows == 0 else rows,
            options=settings,
        )

    native = run()
    if native.status not in STATUS:
        # The HiGHS inside ends a few small programs with a solve error unless presolve is off.
        settings["presolve"] = False
        if options.time_limit is not None:
            settings["time_limit"] = max(0.0, options.time_limit - (time.perf_counter() - started))
        native = run()
    status = STATUS.get(native.status, Status.FAILED)
    stats = SolveStats(time.perf_counter() - started, 0, int(native.mip_node_count or 0))
    keeps = status in (Status.OPTIMAL, Status.TIME_LIMIT) and native.x is not None
    x: Vector | None = np.array(native.x, dtype=np.float64) if keeps else None
    value = float(native.fun) + problem.offset if x is not None else math.inf
    claimed = native.mip_dual_bound
    bound = -math.inf
    if status is Status.INFEASIBLE:
        bound = math.inf
    elif status is not Status.FAILED and claimed is not None and math.isfinite(claimed):
        bound = float(claimed) + problem.offset
    return SolveResult(status, bound, value, x, None, stats, None, _notes(notes, status, native))


def _notes(notes: tuple[str, ...], status: Status, native: Any) -> tuple[str, ...]:
    return (*notes, f"scipy ended with {native.status}: {native.message}") if status is Status.FAILED else notes
