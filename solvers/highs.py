"""HiGHS through highspy: simplex with warm starts for linear programs, branch and cut for integer ones.

Traps that this file is written around: every call returns a status and none raises, so each is checked; coefficients
below 1e-9 and NaN are dropped silently by passModel, so the count of entries is compared afterwards; the time limit
counts from the creation of the object over all its runs; ``mip_rel_gap`` is 1e-4 unless set. One thread, always:
HiGHS' thread pool is global to the process and hangs after a fork.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.base import Session, SolveOptions, Solver
from solvers.errors import SolverBroken
from solvers.problem import LinearProgram
from solvers.result import SolveResult, SolveStats, Status

# Native status by name; anything that is not here is FAILED. kUnboundedOrInfeasible: columns are bounded, so infeasible.
STATUS = {
    "kOptimal": Status.OPTIMAL,
    "kInfeasible": Status.INFEASIBLE,
    "kUnboundedOrInfeasible": Status.INFEASIBLE,
    "kTimeLimit": Status.TIME_LIMIT,
}

# HiGHS drops coefficients smaller than this (its option's lower limit is 1e-12). Dropped entries change the program, so
# a claimed dual bound is withdrawn; duals and points stay proposals as ever.
SMALLEST_COEFFICIENT = 1e-12

# Integer programs come with a good incumbent from outside, so the searches for one are wasted, and their rows are dense,
# so presolve, restarts and cuts below the root cost more than they give: 26 s become 10 s, 16 s become 3 s (big-M
# programs of a 784-50-20-10 network, one thread, the same optimum and bound; benchmarks/README.md).
INTEGER_SETTINGS: dict[str, float | str] = {
    "presolve": "off",
    "mip_allow_restart": False,
    "mip_allow_cut_separation_at_nodes": False,
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_rens": False,
    "mip_heuristic_run_feasibility_jump": False,
    "mip_pscost_minreliable": 3,
    "mip_heuristic_effort": 0.0,
}


class Highs(Solver):
    """HiGHS (MIT licence), the default."""

    name = "highs"
    package = "highspy"
    pip_name = "highspy"
    gives_farkas = True

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        with self.session(problem, options) as session:
            return session.solve()

    def session(self, problem: LinearProgram, options: SolveOptions) -> HighsSession:
        return HighsSession(problem, options)


class HighsSession(Session):
    """One HiGHS object; changes of objective and column bounds keep the basis."""

    def __init__(self, problem: LinearProgram, options: SolveOptions) -> None:
        import highspy

        self._native: Any = highspy
        self._options = options
        self._rows, self._integer = problem.matrix.shape[0], bool(problem.integer.any())
        self._highs = highspy.Highs()
        self._highs.silent()
        settings: dict[str, float | str] = {
            "threads": 1,
            "random_seed": options.seed,
            "mip_rel_gap": options.relative_gap,
            "small_matrix_value": SMALLEST_COEFFICIENT,
        }
        if self._integer:
            settings |= INTEGER_SETTINGS
        for key, value in settings.items():
            self._expect(self._highs.setOptionValue(key, value), f"option {key}={value}")
        self._pass(problem)

    def _pass(self, problem: LinearProgram) -> None:
        A = problem.matrix
        status = self._highs.passModel(
            A.shape[1],
            A.shape[0],
            A.nnz,
            int(self._native.MatrixFormat.kRowwise),
            1,  # minimise
            problem.offset,
            problem.objective,
            problem.column_lower,
            problem.column_upper,
            problem.row_lower,
            problem.row_upper,
            A.indptr.astype(np.int32),
            A.indices.astype(np.int32),
            A.data,
            problem.integer.astype(np.int32),
        )
        kept = self._highs.getNumNz()
        small = int((np.abs(A.data) <= SMALLEST_COEFFICIENT).sum())
        self._changed = small > 0
        if status == self._native.HighsStatus.kError or kept != A.nnz - small:
            raise SolverBroken(f"HiGHS took {kept} of {A.nnz} coefficients and returned {status.name}")

    def _expect(self, status: Any, what: str) -> None:
        if status != self._native.HighsStatus.kOk:
            raise SolverBroken(f"HiGHS returned {status.name} for {what}")

    def set_column_bounds(self, column: int, lower: float, upper: float) -> None:
        self._expect(self._highs.changeColBounds(column, lower, upper), f"bounds of column {column}")

    def solve(
        self,
        *,
        objective: NDArray[np.float64] | None = None,
        offset: float = 0.0,
        time_limit: float | None = None,
    ) -> SolveResult:
        if objective is not None:
            if not np.isfinite(objective).all():
                raise SolverBroken("the objective has NaN or infinite entries")
            columns = np.arange(len(objective), dtype=np.int32)
            self._expect(self._highs.changeColsCost(len(columns), columns, objective), "a new objective")
            self._expect(self._highs.changeObjectiveOffset(offset), "a new offset")
        limit = self._options.time_limit if time_limit is None else time_limit
        total = np.inf if limit is None else self._highs.getRunTime() + limit
        self._expect(self._highs.setOptionValue("time_limit", total), "a time limit")
        begun = time.perf_counter()
        ran = self._highs.run()
        return self._result(ran, time.perf_counter() - begun)

    def _result(self, ran: Any, seconds: float) -> SolveResult:
        info, solution = self._highs.getInfo(), self._highs.getSolution()
        status = STATUS.get(self._highs.getModelStatus().name, Status.FAILED)
        if ran == self._native.HighsStatus.kError:
            status = Status.FAILED
        x = np.array(solution.col_value) if solution.value_valid and status is not Status.INFEASIBLE else None
        dual = None
        if not self._integer and solution.dual_valid and status is Status.OPTIMAL:
            dual = np.array(solution.row_dual)
        value = float(info.objective_function_value) if x is not None else np.inf
        bound = -np.inf
        if self._integer and status in (Status.OPTIMAL, Status.TIME_LIMIT):
            bound = float(info.mip_dual_bound)
        elif status is Status.OPTIMAL:
            bound = value
        if self._changed or np.isnan(bound):
            bound = -np.inf
        if status is Status.TIME_LIMIT and (x is None or info.primal_solution_status != 2):
            x, value = None, np.inf
        nodes = max(int(info.mip_node_count), 0) if self._integer else 0
        stats = SolveStats(seconds, max(int(info.simplex_iteration_count), 0), nodes)
        return SolveResult(status, bound, value, x, dual, stats, self._ray(status))

    def _ray(self, status: Status) -> NDArray[np.float64] | None:
        if status is not Status.INFEASIBLE or self._integer:
            return None
        ran, found, ray = self._highs.getDualRay()
        usable = ran == self._native.HighsStatus.kOk and found and len(ray) == self._rows
        return np.array(ray) if usable else None
