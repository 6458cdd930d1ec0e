"""What can go wrong with a program or a solver; each message names the place and the remedy."""

from __future__ import annotations


class SolverFailure(Exception):
    """Base of the errors of this package."""


class InvalidProblem(SolverFailure, ValueError):
    """A program is not well formed: NaN, an infinite column bound, crossed bounds, shapes that do not fit."""


class UnknownSolver(SolverFailure, ValueError):
    """No back end has this name."""


class SolverNotInstalled(SolverFailure, ImportError):
    """The back end's package is not installed."""


class UnsupportedProblem(SolverFailure):
    """The back end cannot take this program or option, and does not pretend to."""


class SolverBroken(SolverFailure):
    """A back end refused something that its interface allows, or changed the program that it was given."""
