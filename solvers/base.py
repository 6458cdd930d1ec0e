"""What a back end is: options, capabilities, the solver protocol and a session of related solves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import TracebackType
from typing import ClassVar, Literal, Protocol, TypeAlias

from numpy.typing import ArrayLike

from solvers.errors import (
    InvalidOption,
    InvalidProblem,
    SolverNotInstalled,
    UnknownOption,
    UnsupportedProblem,
)
from solvers.problem import LinearProgram
from solvers.result import SolveResult

LpMethod: TypeAlias = Literal["auto", "simplex", "interior"]
LP_METHODS: tuple[LpMethod, ...] = ("auto", "simplex", "interior")


@dataclass(frozen=True, kw_only=True)
class SolveOptions:
    """How to solve. A back end honours every option or raises ``UnknownOption``.

    time_limit: wall seconds for one solve, >= 0; None is no limit. Honoured to within one step of the solver.
    threads: threads of the solver, >= 1.
    seed: the solver's random seed, >= 0.
    relative_gap: integer problems: OPTIMAL may be claimed at this gap between incumbent and bound. 0 asks for
        the optimum (HiGHS keeps its absolute gap of 1e-6 then; the dual bound is reported as it is).
    stop_below: integer problems: permission to stop at the first incumbent below this (TARGET_REACHED).
    cutoff: integer problems: nothing at or above this is of interest; when nothing is below: CUTOFF.
        Both are permissions to stop early, never restrictions: a continuous problem is solved to its optimum.
    lp_method: continuous problems: the algorithm. "interior" skips crossover where it can.
    """

    time_limit: float | None = None
    threads: int = 1
    seed: int = 0
    relative_gap: float = 0.0
    stop_below: float | None = None
    cutoff: float | None = None
    lp_method: LpMethod = "auto"

    def __post_init__(self) -> None:
        if self.time_limit is not None and not self.time_limit >= 0:
            raise InvalidOption("time_limit", self.time_limit, "give seconds >= 0, or None for no limit")
        if self.threads < 1:
            raise InvalidOption("threads", self.threads, "give a count >= 1")
        if not 0 <= self.seed < 2**31:
            raise InvalidOption("seed", self.seed, "give an integer in 0..2147483647")
        if not (0 <= self.relative_gap < math.inf):
            raise InvalidOption("relative_gap", self.relative_gap, "give a number >= 0")
        for name in ("stop_below", "cutoff"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise InvalidOption(name, value, "give a finite value, or None")
        if self.lp_method not in LP_METHODS:
            raise InvalidOption("lp_method", self.lp_method, f"give one of {', '.join(LP_METHODS)}")


class Session(Protocol):
    """The same rows solved again and again; a context manager."""

    def solve(
        self, *, objective: ArrayLike | None = None, offset: float = 0.0, time_limit: float | None = None
    ) -> SolveResult:
        """Solve with another ``objective`` (n,) and ``offset``; None is the problem's own objective and
        offset.

        time_limit: seconds for this solve; None is the limit of the session's options.
        """
        ...

    def set_column_bounds(self, index: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> None:
        """Replace the bounds of the columns ``index`` (an integer or (k,)) for the solves that follow."""
        ...

    def close(self) -> None:
        """Free what the back end holds. The session cannot be used afterwards."""
        ...

    def __enter__(self) -> Session: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Solver(Protocol):
    """A back end. Stateless: all state is in sessions.

    name: its key in the registry; package: what it imports; pip_name: what installs it.
    supports_integers: takes problems with integer columns.
    supports_warm_start: its sessions start linear programs from the last basis.
    supports_stop_below, supports_cutoff: honours these options, else it raises ``UnknownOption`` for them.
    returns_farkas: gives a Farkas vector for infeasible linear programs, where it has one.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    pip_name: ClassVar[str]
    supports_integers: ClassVar[bool]
    supports_warm_start: ClassVar[bool]
    supports_stop_below: ClassVar[bool]
    supports_cutoff: ClassVar[bool]
    returns_farkas: ClassVar[bool]

    def available(self) -> bool:
        """Whether the package can be found; nothing is imported."""
        ...

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        """Solve once. Raises ``UnknownOption`` or ``UnsupportedProblem``, never for what the solver
        answers."""
        ...

    def session(self, problem: LinearProgram, options: SolveOptions) -> Session:
        """Open a session on the rows of ``problem``."""
        ...


class BackEnd:
    """What back ends share: availability, option checks and a session that solves afresh each time."""

    name: ClassVar[str]
    package: ClassVar[str]
    pip_name: ClassVar[str]
    supports_integers: ClassVar[bool] = True
    supports_warm_start: ClassVar[bool] = False
    supports_stop_below: ClassVar[bool] = False
    supports_cutoff: ClassVar[bool] = False
    returns_farkas: ClassVar[bool] = False

    def available(self) -> bool:
        """Whether the package can be found; nothing is imported."""
        return find_spec(self.package) is not None

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        """Solve once."""
        raise NotImplementedError

    def session(self, problem: LinearProgram, options: SolveOptions) -> Session:
        """Open a session that solves each time afresh."""
        return ColdSession(self, problem, options)

    def check(self, problem: LinearProgram, options: SolveOptions) -> None:
        """Refuse what this back end cannot do. Raises ``SolverNotInstalled``, ``UnknownOption``,
        ``UnsupportedProblem``."""
        if not self.available():
            raise SolverNotInstalled(self.name, self.pip_name)
        if options.stop_below is not None and not self.supports_stop_below:
            raise UnknownOption(self.name, "stop_below", options.stop_below, "leave it None, or use 'highs'")
        if options.cutoff is not None and not self.supports_cutoff:
            raise UnknownOption(self.name, "cutoff", options.cutoff, "leave it None, or use 'highs'")
        if problem.has_integers and not self.supports_integers:
            raise UnsupportedProblem(self.name, "it has integer columns", "relax it, or use 'highs'")


class ColdSession:
    """A session over any solver: each solve starts from nothing."""

    def __init__(self, solver: BackEnd | Solver, problem: LinearProgram, options: SolveOptions) -> None:
        self._solver, self._problem, self._options = solver, problem, options

    def solve(
        self, *, objective: ArrayLike | None = None, offset: float = 0.0, time_limit: float | None = None
    ) -> SolveResult:
        """Solve afresh; see ``Session.solve``."""
        problem = with_asked_objective(self._problem, objective, offset)
        options = self._options if time_limit is None else replace(self._options, time_limit=time_limit)
        return self._solver.solve(problem, options)

    def set_column_bounds(self, index: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> None:
        """Replace column bounds; see ``Session.set_column_bounds``."""
        self._problem = self._problem.with_column_bounds(index, lower, upper)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> ColdSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def with_asked_objective(problem: LinearProgram, objective: ArrayLike | None, offset: float) -> LinearProgram:
    """Return the problem of one session solve. Raises ``InvalidProblem`` for an offset without an
    objective."""
    if objective is None:
        if offset != 0.0:
            raise InvalidProblem(f"offset is {offset} without an objective: give both, or neither")
        return problem
    return problem.with_objective(objective, offset)
