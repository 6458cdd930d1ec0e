"""Solvers by name. A back end is one file and one line of this table; nothing is imported before it is
asked for."""

from __future__ import annotations

from importlib import import_module

from solvers.base import Solver
from solvers.errors import SolverNotInstalled, UnknownSolver

SOLVERS: dict[str, str] = {
    "highs": "solvers.highs:HighsSolver",
    "scipy": "solvers.scipy_highs:ScipySolver",
    "pulp": "solvers.pulp_cbc:PulpCbcSolver",
}


def get_solver(name: str) -> Solver:
    """Return the back end called ``name``. Raises ``UnknownSolver`` or ``SolverNotInstalled``."""
    solver = _construct(name)
    if not solver.available():
        raise SolverNotInstalled(name, solver.pip_name)
    return solver


def known_solvers() -> tuple[str, ...]:
    """Return every name that ``get_solver`` knows, installed or not."""
    return tuple(SOLVERS)


def available_solvers() -> tuple[str, ...]:
    """Return the names of the back ends whose packages are installed."""
    return tuple(name for name in SOLVERS if _construct(name).available())


def _construct(name: str) -> Solver:
    if name not in SOLVERS:
        raise UnknownSolver(name, SOLVERS)
    module, _, attribute = SOLVERS[name].partition(":")
    solver: Solver = getattr(import_module(module), attribute)()
    return solver
