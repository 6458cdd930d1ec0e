"""The interface of a back end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from solvers.errors import InvalidProblem
from solvers.problem import LinearProgram
from solvers.result import SolveResult


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """Options of one solve. ``time_limit`` in seconds; ``relative_gap`` for integer programs; one thread, always:
    instances are solved side by side instead, since solvers' own threads are global and do not survive a fork.
    """

    time_limit: float | None = None
    relative_gap: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.time_limit is not None and not self.time_limit >= 0:
            raise InvalidProblem(f"time_limit is {self.time_limit}: it must not be negative")
        if not 0 <= self.relative_gap < 1:
            raise InvalidProblem(f"relative_gap is {self.relative_gap}: it must be in [0, 1)")


class Session(ABC):
    """The same rows solved again and again under other objectives and column bounds, warm where the back end can."""

    @abstractmethod
    def solve(
        self,
        *,
        objective: NDArray[np.float64] | None = None,
        offset: float = 0.0,
        time_limit: float | None = None,
    ) -> SolveResult:
        """Solve; ``objective`` with ``offset`` replaces the last one, ``time_limit`` that of the session's options."""

    @abstractmethod
    def set_column_bounds(self, column: int, lower: float, upper: float) -> None:
        """Replace the bounds of one column for the solves that follow."""

    def close(self) -> None:  # noqa: B027 (a back end that holds nothing has nothing to free)
        """Free what the back end holds."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Solver(ABC):
    """A back end. ``package`` is imported only when something is solved."""

    name: str
    package: str
    pip_name: str
    gives_duals: bool = True  # of linear programs
    gives_farkas: bool = False

    @classmethod
    def available(cls) -> bool:
        """Whether the package is installed; imports nothing."""
        return find_spec(cls.package) is not None

    @abstractmethod
    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        """Solve a linear or integer program. Raises SolverBroken when the back end misbehaves."""

    def session(self, problem: LinearProgram, options: SolveOptions) -> Session:
        """A session; by default each solve is a cold one."""
        return ColdSession(self, problem, options)


class ColdSession(Session):
    """A session for back ends without a warm start: every solve builds the program anew."""

    def __init__(self, solver: Solver, problem: LinearProgram, options: SolveOptions) -> None:
        self._solver, self._problem, self._options = solver, problem, options

    def solve(
        self,
        *,
        objective: NDArray[np.float64] | None = None,
        offset: float = 0.0,
        time_limit: float | None = None,
    ) -> SolveResult:
        if objective is not None:
            self._problem = self._problem.with_objective(objective, offset)
        options = self._options if time_limit is None else replace(self._options, time_limit=time_limit)
        return self._solver.solve(self._problem, options)

    def set_column_bounds(self, column: int, lower: float, upper: float) -> None:
        low, high = self._problem.column_lower.copy(), self._problem.column_upper.copy()
        low[column], high[column] = lower, upper
        self._problem = replace(self._problem, column_lower=low, column_upper=high)
