"""Solvers that lie, for tests that must not believe them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from solvers.base import ColdSession, Session, SolveOptions, Solver
from solvers.problem import LinearProgram
from solvers.registry import get_solver
from solvers.result import SolveResult, Status

Lie = Callable[[SolveResult], SolveResult]


def _dual(change: Callable[[np.ndarray], np.ndarray]) -> Lie:
    return lambda r: r if r.row_dual is None else replace(r, row_dual=change(r.row_dual.copy()))


LIES: dict[str, Lie] = {
    "duals of the wrong sign": _dual(lambda y: -y),
    "duals that are NaN": _dual(lambda y: y * np.nan),
    "duals that are infinite": _dual(lambda y: y + np.inf),
    "duals a thousand times too large": _dual(lambda y: 1000.0 * y),
    "duals that are noise": _dual(lambda y: np.random.default_rng(0).normal(size=len(y))),
    "no duals": lambda r: replace(r, row_dual=None),
    "optimal with an infeasible x": lambda r: replace(r, x=None if r.x is None else r.x + 1e3),
    "x that is NaN": lambda r: replace(r, x=None if r.x is None else r.x * np.nan),
    "the incumbent as a bound": lambda r: replace(r, dual_bound=r.primal_value + 100.0),
    "a bound of infinity": lambda r: replace(r, dual_bound=np.inf),
    "a bound of NaN": lambda r: replace(r, dual_bound=np.nan),
    "infeasible": lambda r: replace(r, status=Status.INFEASIBLE, dual_bound=np.inf, x=None, row_dual=None),
    "nothing after a time limit": lambda r: SolveResult(Status.TIME_LIMIT, -np.inf, np.inf, None, None, r.stats),
}


class LyingSolver(Solver):
    """HiGHS, with every result changed by ``lie``."""

    name = "lying"
    package = "highspy"
    pip_name = "highspy"

    def __init__(self, lie: Lie) -> None:
        self._lie, self._honest = lie, get_solver("highs")

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        return self._lie(self._honest.solve(problem, options))

    def session(self, problem: LinearProgram, options: SolveOptions) -> Session:
        return ColdSession(self, problem, options)
