"""The back ends by name: a new one is a file and a line here."""

from __future__ import annotations

from importlib import import_module

from solvers.base import Solver
from solvers.errors import SolverNotInstalled, UnknownSolver

SOLVERS = {
    "highs": "solvers.highs:Highs",
    "scipy": "solvers.scipy_highs:Scipy",
    "pulp": "solvers.pulp_cbc:PulpCbc",
}


def get_solver(name: str) -> Solver:
    """The back end ``name``; raises UnknownSolver or SolverNotInstalled, each with the remedy."""
    if name not in SOLVERS:
        raise UnknownSolver(f"unknown solver {name!r}: choose from {', '.join(SOLVERS)}")
    module, _, attribute = SOLVERS[name].partition(":")
    solver: Solver = getattr(import_module(module), attribute)()
    if not solver.available():
        raise SolverNotInstalled(f"solver {name!r} needs the package {solver.package}: pip install {solver.pip_name}")
    return solver
