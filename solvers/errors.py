"""The errors that the solver room raises; each message names the thing, its value and the remedy."""

from __future__ import annotations

from collections.abc import Iterable


class SolverFailure(Exception):
    """Base of every error that ``solvers`` raises on purpose. It is never an answer about a problem."""


class InvalidProblem(SolverFailure, ValueError):
    """A linear program is malformed: the message names the place, such as ``objective[3] is nan``."""


class InvalidOption(SolverFailure, ValueError):
    """An option has a value that no solver could take, such as a negative time limit."""

    def __init__(self, option: str, value: object, remedy: str) -> None:
        self.option, self.value = option, value
        super().__init__(f"option {option} is {value!r}: {remedy}")


class UnknownOption(SolverFailure, ValueError):
    """A back end was given an option that it cannot honour. Nothing is ever ignored."""

    def __init__(self, solver: str, option: str, value: object, remedy: str) -> None:
        self.solver, self.option, self.value = solver, option, value
        super().__init__(f"solver {solver!r} cannot honour {option}={value!r}: {remedy}")


class UnsupportedProblem(SolverFailure):
    """A well-formed problem that this back end cannot represent faithfully."""

    def __init__(self, solver: str, problem: str, remedy: str) -> None:
        self.solver, self.problem = solver, problem
        super().__init__(f"solver {solver!r} cannot take this problem: {problem}; {remedy}")


class UnknownSolver(SolverFailure, LookupError):
    """No back end has this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(known)
        super().__init__(f"unknown solver {name!r}; the known solvers are {', '.join(self.known)}")


class SolverNotInstalled(SolverFailure, ImportError):
    """The back end is known and its package is not installed."""

    def __init__(self, solver: str, pip_name: str) -> None:
        self.solver, self.pip_name = solver, pip_name
        super().__init__(f"solver {solver!r} is not installed; `pip install {pip_name}` provides it")
