"""Linear and mixed-integer programs: one problem type, several back ends, bounds that do not depend on them.

Importing this package imports no solver: a back end's package is imported by its first solve.
"""

from solvers.base import LpMethod, Session, SolveOptions, Solver
from solvers.errors import (
    InvalidOption,
    InvalidProblem,
    SolverFailure,
    SolverNotInstalled,
    UnknownOption,
    UnknownSolver,
    UnsupportedProblem,
)
from solvers.problem import LinearProgram
from solvers.registry import available_solvers, get_solver, known_solvers
from solvers.result import SolveResult, SolveStats, Status
from solvers.safe import proves_infeasible, safe_dual_bound

__all__ = [
    "InvalidOption",
    "InvalidProblem",
    "LinearProgram",
    "LpMethod",
    "Session",
    "SolveOptions",
    "SolveResult",
    "SolveStats",
    "Solver",
    "SolverFailure",
    "SolverNotInstalled",
    "Status",
    "UnknownOption",
    "UnknownSolver",
    "UnsupportedProblem",
    "available_solvers",
    "get_solver",
    "known_solvers",
    "proves_infeasible",
    "safe_dual_bound",
]
