"""HiGHS through highspy: linear and mixed-integer programs, warm re-solves, Farkas vectors.

What was learned of HiGHS and is honoured here:

* Calls return a status and do not raise: every one is checked. NaN and tiny entries are dropped without an
  error, so the stored entries are counted after the model was passed (``limits`` took the tiny ones).
* With `objective_bound` set, "infeasible" means "nothing below the bound", and so does an "optimal" value
  above it, whose dual bound is wrong then: both become CUTOFF.
* `time_limit` counts from the creation of the Highs object over all its runs: the time used is added.
* `threads` belongs to one scheduler per process: see ``_Scheduler``.
* The `mip_rel_gap` default is 1e-4; here it is the `relative_gap` of the options, default 0.
* An infeasibility found in presolve leaves no ray; asking for one makes HiGHS solve again without presolve.
"""

from __future__ import annotations

import math
import os
import time
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from solvers.base import BackEnd, LpMethod, SolveOptions, with_asked_objective
from solvers.errors import SolverFailure, UnsupportedProblem
from solvers.limits import Limits, represent
from solvers.problem import LinearProgram, Vector, column_indices
from solvers.result import SolveResult, SolveStats, Status

SMALLEST_ENTRY = 1e-12
"""The least `small_matrix_value` that HiGHS accepts (its default, 1e-9, would drop more)."""

STATUS: dict[str, Status] = {
    "kOptimal": Status.OPTIMAL,
    "kInfeasible": Status.INFEASIBLE,
    # Every column is bounded, so "unbounded or infeasible" leaves one of the two.
    "kUnboundedOrInfeasible": Status.INFEASIBLE,
    "kObjectiveTarget": Status.TARGET_REACHED,
    "kObjectiveBound": Status.CUTOFF,
    "kTimeLimit": Status.TIME_LIMIT,
    "kInterrupt": Status.INTERRUPTED,
    "kHighsInterrupt": Status.INTERRUPTED,
}
"""HighsModelStatus -> Status. Whatever is not here is FAILED."""

_FEASIBLE_POINT = 2
"""`primal_solution_status` of a point that is feasible to the tolerances."""

LP_OPTIONS: dict[LpMethod, tuple[tuple[str, object], ...]] = {
    "auto": (("solver", "choose"),),
    "simplex": (("solver", "simplex"),),
    # No crossover: the duals are as good as the tolerance, several times sooner. Presolve is slow without
    # crossover.
    "interior": (("solver", "ipx"), ("run_crossover", "off"), ("presolve", "off")),
}


class HighsSolver(BackEnd):
    """The default back end; see the file's docstring for what is special."""

    name: ClassVar[str] = "highs"
    package: ClassVar[str] = "highspy"
    pip_name: ClassVar[str] = "highspy"
    supports_warm_start: ClassVar[bool] = True
    supports_stop_below: ClassVar[bool] = True
    supports_cutoff: ClassVar[bool] = True
    returns_farkas: ClassVar[bool] = True

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        """Solve once, in a fresh Highs object."""
        with self.session(problem, options) as session:
            return session.solve()

    def session(self, problem: LinearProgram, options: SolveOptions) -> HighsSession:
        """Open a session; linear programs are re-solved from the last basis."""
        self.check(problem, options)
        return HighsSession(problem, options)


class HighsSession:
    """One Highs object with the rows loaded. Not for use by two threads at once."""

    def __init__(self, problem: LinearProgram, options: SolveOptions) -> None:
        import highspy

        represented = represent(HighsSolver.name, problem, Limits(smallest=SMALLEST_ENTRY))
        self._problem, self._notes = represented.problem, represented.notes
        self._tiny_columns, self._options = represented.tiny_columns, options
        self._loaded = self._problem
        self._all_columns = np.arange(problem.num_columns, dtype=np.int32)
        self._current = (self._problem.objective, self._problem.offset)
        self._highs: Any = highspy.Highs()
        self._highs.silent()
        for name, value in _settings(self._problem, options):
            self._call("setOptionValue", name, value)
        self._pass_model(int(highspy.MatrixFormat.kRowwise))

    def solve(
        self, *, objective: ArrayLike | None = None, offset: float = 0.0, time_limit: float | None = None
    ) -> SolveResult:
        """Solve; see ``Session.solve``."""
        problem = with_asked_objective(self._problem, objective, offset)
        self._set_objective(problem)
        if problem.has_integers:
            # A former incumbent would start this solve: answers must not depend on what was asked before.
            self._call("clearSolver")
        budget = self._options.time_limit if time_limit is None else time_limit
        started = time.perf_counter()
        limit = math.inf if budget is None else self._highs.getRunTime() + SolveOptions(time_limit=budget).time_limit
        self._call("setOptionValue", "time_limit", limit)
        with _SCHEDULER.running(self._options.threads):
            answered = self._highs.run().name != "kError"
            if problem.has_integers and self._highs.getModelStatus().name == "kSolveError":
                answered = self._run_without_presolve()
        return self._result(problem, answered, started)

    def set_column_bounds(self, index: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> None:
        """Replace column bounds; see ``Session.set_column_bounds``."""
        where = column_indices(index, self._problem.num_columns)
        changed = self._problem.with_column_bounds(where, lower, upper)
        lo, hi = changed.column_lower[where], changed.column_upper[where]
        outside = (lo < self._loaded.column_lower[where]) | (hi > self._loaded.column_upper[where])
        if (outside & self._tiny_columns[where]).any():
            raise UnsupportedProblem(
                HighsSolver.name,
                "a column with entries below its range was given wider bounds than it was loaded with",
                "open a new session with the wider bounds",
            )
        self._call("changeColsBounds", where.size, where, lo, hi)
        self._problem = changed

    def close(self) -> None:
        """Free the Highs object."""
        self._highs = None

    def __enter__(self) -> HighsSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run_without_presolve(self) -> bool:
        """Try again after a solve error, in which up to 1.13 a few small integer programs end."""
        self._call("setOptionValue", "presolve", "off")
        self._call("clearSolver")
        answered = bool(self._highs.run().name != "kError")
        self._call("setOptionValue", "presolve", "choose")
        return answered

    def _call(self, method: str, *arguments: object) -> None:
        if self._highs is None:
            raise SolverFailure("this session is closed: open another one")
        status = getattr(self._highs, method)(*arguments)
        if status.name != "kOk":
            shown = ", ".join(str(a) for a in arguments if isinstance(a, (str, int, float)))
            raise SolverFailure(f"HiGHS refused {method}({shown}): {status.name}")

    def _pass_model(self, rowwise: int) -> None:
        p, a = self._problem, self._problem.matrix
        m, n, minimise = p.num_rows, p.num_columns, 1
        self._call(
            "passModel", n, m, a.nnz, rowwise, minimise, p.offset,
            p.objective, p.column_lower, p.column_upper, p.row_lower, p.row_upper,
            a.indptr, a.indices, a.data, p.integer.astype(np.int32),
        )  # fmt: skip
        if self._highs.getNumNz() != a.nnz:
            raise SolverFailure(f"HiGHS kept {self._highs.getNumNz()} of {a.nnz} matrix entries: its model is not ours")

    def _set_objective(self, problem: LinearProgram) -> None:
        if self._highs is None:
            raise SolverFailure("this session is closed: open another one")
        objective, offset = self._current
        if problem.objective is not objective:
            self._call("changeColsCost", problem.num_columns, self._all_columns, problem.objective)
        if problem.offset != offset:
            self._call("changeObjectiveOffset", problem.offset)
        self._current = (problem.objective, problem.offset)

    def _result(self, problem: LinearProgram, answered: bool, started: float) -> SolveResult:
        native = self._highs.getModelStatus().name
        status = STATUS.get(native, Status.FAILED) if answered else Status.FAILED
        cutoff = self._options.cutoff if problem.has_integers else None
        notes = self._notes if status is not Status.FAILED else (*self._notes, f"HiGHS ended with {native}")
        info, solution = self._highs.getInfo(), self._highs.getSolution()
        if cutoff is not None and _says_cutoff(status, info.objective_function_value, cutoff):
            status = Status.CUTOFF
        x = None
        if info.primal_solution_status == _FEASIBLE_POINT and status not in (
            Status.FAILED,
            Status.INFEASIBLE,
        ):
            x = _finite_vector(solution.col_value, problem.num_columns)
        primal = info.objective_function_value if x is not None else math.inf
        row_dual = None
        if not problem.has_integers and solution.dual_valid:
            row_dual = _finite_vector(solution.row_dual, problem.num_rows)
        farkas = self._farkas(problem) if status is Status.INFEASIBLE and not problem.has_integers else None
        iterations = max(info.simplex_iteration_count, 0) + max(info.ipm_iteration_count, 0)
        stats = SolveStats(time.perf_counter() - started, iterations, max(int(info.mip_node_count), 0))
        bound = _dual_bound(status, problem.has_integers, info, cutoff)
        return SolveResult(status, bound, float(primal), x, row_dual, stats, farkas, notes)

    def _farkas(self, problem: LinearProgram) -> Vector | None:
        if self._options.lp_method == "interior":
            return None
        status, has, ray = self._highs.getDualRay()
        return _finite_vector(ray, problem.num_rows) if has and status.name != "kError" else None


INTEGER_SETTINGS: tuple[tuple[str, object], ...] = (
    ("presolve", "off"),
    ("mip_allow_restart", False),
    ("mip_heuristic_run_rins", False),
    ("mip_heuristic_run_rens", False),
    ("mip_heuristic_run_feasibility_jump", False),
    ("mip_heuristic_effort", 0.0),
    ("mip_pscost_minreliable", 3),
)
"""Integer programs come with a good incumbent from outside, so HiGHS' own searches for one are wasted; and their
rows are dense, so presolve and restarts cost more than they give: nine big-M programs of a
784-50-20-10 network took 80 s with the defaults and 20 s with these and no cuts below the root, an option that
1.12 lacks (highspy 1.15.1, two at a time, the same optima)."""


def _settings(problem: LinearProgram, options: SolveOptions) -> list[tuple[str, object]]:
    settings: list[tuple[str, object]] = [
        ("threads", options.threads),
        ("random_seed", options.seed),
        ("small_matrix_value", SMALLEST_ENTRY),
    ]
    if not problem.has_integers:
        return [*settings, *LP_OPTIONS[options.lp_method]]
    settings += [("mip_rel_gap", options.relative_gap), *INTEGER_SETTINGS]
    if options.stop_below is not None:
        settings.append(("objective_target", options.stop_below))
    if options.cutoff is not None:
        settings.append(("objective_bound", options.cutoff))
    return settings


def _says_cutoff(status: Status, value: float, cutoff: float) -> bool:
    """Whether the answer means "nothing below the cutoff".

    HiGHS says infeasible; or, when it met a point above the cutoff on the way, optimal: with that point,
    which need not be optimal, and with its value as a dual bound, which is then wrong (seen on most ReLU
    programs).
    """
    return status is Status.INFEASIBLE or (status is Status.OPTIMAL and value >= cutoff)


def _dual_bound(status: Status, integer: bool, info: Any, cutoff: float | None) -> float:
    if status is Status.FAILED:
        return -math.inf
    if status is Status.INFEASIBLE:
        return math.inf
    if status is Status.CUTOFF:
        return -math.inf if cutoff is None else cutoff
    if integer:
        bound = float(info.mip_dual_bound)
        # With a cutoff HiGHS throws away everything from the cutoff on, so it can claim no more than the
        # cutoff.
        bound = bound if cutoff is None else min(bound, cutoff)
        return bound if math.isfinite(bound) else -math.inf
    return float(info.objective_function_value) if status is Status.OPTIMAL else -math.inf


def _finite_vector(values: Any, size: int) -> Vector | None:
    array = np.array(values, dtype=np.float64)
    return array if array.shape == (size,) and np.isfinite(array).all() else None


class _Scheduler:
    """HiGHS keeps one thread pool per process, sized by its first run; this keeps the pool and our options
    in step.

    A change of `threads` makes the next run fail unless the pool is reset, which must not happen under a
    running solve; and a pool with worker threads does not survive a fork (the child hangs). Both are
    refused by name.
    """

    def __init__(self) -> None:
        self._lock, self._running, self._threads, self._process = Lock(), 0, 0, 0

    def running(self, threads: int) -> _Scheduler:
        """Reserve the pool at this size; use as a context manager around one run."""
        with self._lock:
            if self._process not in (0, os.getpid()):
                if self._threads > 1:
                    raise SolverFailure(
                        f"HiGHS ran with {self._threads} threads before this process was forked: it would "
                        "hang; start workers with spawn or forkserver, or solve with threads=1"
                    )
                self._running = 0
            if self._threads not in (0, threads):
                if self._running:
                    raise SolverFailure(
                        f"HiGHS is solving with {self._threads} threads in this process, so it cannot use "
                        f"{threads} now: use one thread count for concurrent solves"
                    )
                import highspy

                highspy.Highs.resetGlobalScheduler(True)
            self._threads, self._process = threads, os.getpid()
            self._running += 1
        return self

    def __enter__(self) -> None:
        """The reservation was made by ``running``."""

    def __exit__(self, *unused: object) -> None:
        with self._lock:
            self._running -= 1


_SCHEDULER = _Scheduler()
"""Mirrors state that is the process's own: HiGHS has one pool, so we have one of these."""
