"""A solver that lies: it wraps a real back end and changes what it says, as broken solvers do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np

from solvers import LinearProgram, SolveOptions, SolveResult, Status
from solvers.base import BackEnd, ColdSession, Session, Solver

Lie = Callable[[LinearProgram, SolveResult], SolveResult]


class LyingSolver(BackEnd):
    """Implements the Solver protocol: ``LyingSolver(get_solver("highs"), LIES["wrong-sign duals"])``."""

    name: ClassVar[str] = "lying"
    package: ClassVar[str] = "solvers"
    pip_name: ClassVar[str] = "nothing"
    supports_stop_below: ClassVar[bool] = True
    supports_cutoff: ClassVar[bool] = True

    def __init__(self, honest: Solver, lie: Lie) -> None:
        self._honest, self._lie = honest, lie

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        return self._lie(problem, self._honest.solve(problem, options))

    def session(self, problem: LinearProgram, options: SolveOptions) -> Session:
        return ColdSession(self, problem, options)


def wrong_sign_duals(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, row_dual=None if result.row_dual is None else -result.row_dual)


def nan_duals(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, row_dual=np.full(problem.num_rows, np.nan))


def infinite_duals(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, row_dual=np.full(problem.num_rows, np.inf))


def huge_duals(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, row_dual=np.full(problem.num_rows, 1e300))


def random_duals(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, row_dual=np.random.default_rng(0).normal(size=problem.num_rows) * 100)


def zero_duals(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, row_dual=np.zeros(problem.num_rows))


def infeasible_optimum(problem: LinearProgram, result: SolveResult) -> SolveResult:
    """OPTIMAL with the corner of the box that the objective likes best, whatever the rows say."""
    x = np.where(problem.objective > 0, problem.column_lower, problem.column_upper)
    value = float(problem.objective @ x) + problem.offset
    return replace(result, status=Status.OPTIMAL, x=x, primal_value=value, dual_bound=value)


def incumbent_as_bound(problem: LinearProgram, result: SolveResult) -> SolveResult:
    """OPTIMAL at the worst corner of the box: a value far above the optimum, claimed as the bound."""
    x = np.where(problem.objective > 0, problem.column_upper, problem.column_lower)
    value = float(problem.objective @ x) + problem.offset
    return replace(result, status=Status.OPTIMAL, x=x, primal_value=value, dual_bound=value)


def infinite_bound(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, dual_bound=np.inf)


def nan_bound(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, dual_bound=np.nan, primal_value=np.nan)


def false_infeasible(problem: LinearProgram, result: SolveResult) -> SolveResult:
    """INFEASIBLE with a made-up Farkas vector."""
    ray = np.random.default_rng(1).normal(size=problem.num_rows)
    return replace(
        result,
        status=Status.INFEASIBLE,
        dual_bound=np.inf,
        primal_value=np.inf,
        x=None,
        row_dual=None,
        farkas=ray,
    )


def truncated(problem: LinearProgram, result: SolveResult) -> SolveResult:
    """A time limit that left nothing: no bound, no point, no duals."""
    return replace(
        result,
        status=Status.TIME_LIMIT,
        dual_bound=-np.inf,
        primal_value=np.inf,
        x=None,
        row_dual=None,
        farkas=None,
    )


def optimal_with_nothing(problem: LinearProgram, result: SolveResult) -> SolveResult:
    return replace(result, status=Status.OPTIMAL, x=None, row_dual=None)


LIES: dict[str, Lie] = {
    "wrong-sign duals": wrong_sign_duals,
    "NaN duals": nan_duals,
    "infinite duals": infinite_duals,
    "huge duals": huge_duals,
    "random duals": random_duals,
    "zero duals": zero_duals,
    "OPTIMAL with an infeasible x": infeasible_optimum,
    "incumbent as dual bound": incumbent_as_bound,
    "dual bound of +inf": infinite_bound,
    "dual bound of NaN": nan_bound,
    "false INFEASIBLE with a false ray": false_infeasible,
    "truncated by time": truncated,
    "OPTIMAL with nothing": optimal_with_nothing,
}
