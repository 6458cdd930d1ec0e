"""What a solver says about a problem, in one vocabulary; all of it is a claim until it is recomputed.

Dual sign convention, the only one in this package (minimise; tested on every back end):
``y = row_dual`` (m,) stands for the Lagrangian

    L(x, y) = c . x - y . (A x) + sum over y_i > 0 of y_i row_lower_i + sum over y_i < 0 of y_i row_upper_i

so ``y_i > 0`` prices ``row_lower_i`` and ``y_i < 0`` prices ``row_upper_i``; the reduced costs are ``r = c
- A' y``, and

    min over the column box of L(x, y) = sum_i y_i (row side) + sum_j min(r_j column_lower_j, r_j
    column_upper_j) <= optimum.

A ``farkas`` vector follows the same rule with ``c = 0``: the same expression is then positive, which no
feasible x allows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from solvers.problem import Vector


class Status(Enum):
    """Why a solve ended. ``status.meaning`` is the sentence; all are the solver's claims."""

    OPTIMAL = (
        "optimal",
        "An optimal point was found, up to the solver's tolerances and the relative gap that was asked for.",
    )
    INFEASIBLE = ("infeasible", "The solver says that no point satisfies all rows, bounds and integrality.")
    TARGET_REACHED = (
        "target reached",
        "The solve stopped at the first incumbent below `stop_below`; it may not be optimal.",
    )
    CUTOFF = (
        "cutoff",
        "The solver says that no point has a value below `cutoff`; whether any point exists is left open.",
    )
    TIME_LIMIT = ("time limit", "The time ran out; the dual bound and the incumbent are what was known then.")
    INTERRUPTED = (
        "interrupted",
        "Somebody stopped the solve; the dual bound and the incumbent are what was known then.",
    )
    FAILED = (
        "failed",
        "The solver gave up, failed or returned a status that is not known; nothing is claimed.",
    )

    def __init__(self, label: str, meaning: str) -> None:
        self.label, self.meaning = label, meaning

    def __repr__(self) -> str:
        return f"Status.{self.name}"


@dataclass(frozen=True)
class SolveStats:
    """What a solve cost: wall ``seconds``, simplex or interior-point ``iterations``, branch-and-bound
    ``nodes``.

    A count that the back end does not report is 0.
    """

    seconds: float
    iterations: int = 0
    nodes: int = 0


@dataclass(frozen=True, eq=False)
class SolveResult:
    """One solve's claims: lower side, upper side, and the vectors that go with them.

    dual_bound: the solver's claimed lower bound of the minimum, offset included; -inf when there is none.
    INFEASIBLE has
        +inf (the minimum over nothing) and CUTOFF has exactly `cutoff`. It is subject to the solver's
        tolerances and
        bugs: ``safe.safe_dual_bound`` computes a bound that is not.
    primal_value: the claimed value of ``x``, offset included; +inf when there is no incumbent.
    x: (n,) the incumbent, or None. Feasible to the solver's tolerances only.
    row_dual: (m,) by the sign convention of this file, or None. Linear programs only.
    farkas: (m,) claimed proof of infeasibility by the same convention, or None; see
    ``safe.proves_infeasible``.
    notes: what the back end had to change or could not say, in sentences; usually empty.
    """

    status: Status
    dual_bound: float
    primal_value: float
    x: Vector | None
    row_dual: Vector | None
    stats: SolveStats
    farkas: Vector | None = None
    notes: tuple[str, ...] = field(default=())
