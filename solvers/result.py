"""What a solver says. Nothing here is a proof: see :mod:`solvers.safe` for what can be made of it.

The one convention for duals, for every back end: ``row_dual[i] > 0`` prices ``row_lower[i]`` and ``row_dual[i] < 0`` prices
``row_upper[i]``; the reduced costs are ``objective - matrix.T @ row_dual``. At an optimum of a linear program

    objective . x  ==  sum_i row_dual_i * (row_lower_i if row_dual_i > 0 else row_upper_i)
                       + sum_j reduced_j * (column_lower_j if reduced_j > 0 else column_upper_j)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Status(Enum):
    """Why the solver stopped; what it brings is in the other fields."""

    OPTIMAL = "it claims that x is optimal"
    INFEASIBLE = "it claims that no point satisfies the rows"
    TIME_LIMIT = "the time was up; dual_bound and x hold what there is"
    FAILED = "anything else: a numerical breakdown, or a native status that we do not know"


@dataclass(frozen=True)
class SolveStats:
    """What the solve took."""

    seconds: float
    iterations: int = 0
    nodes: int = 0


@dataclass(frozen=True)
class SolveResult:
    """A solver's claims. There is no field called objective, since nobody could say which side it bounds.

    ``dual_bound``: the claimed lower bound of the minimum, -inf when there is none. ``primal_value``: the claimed value at
    ``x``, +inf when there is none. ``row_dual`` and ``farkas`` (multipliers that show infeasibility) are None for integer
    programs and where the back end has none.
    """

    status: Status
    dual_bound: float
    primal_value: float
    x: NDArray[np.float64] | None
    row_dual: NDArray[np.float64] | None
    stats: SolveStats
    farkas: NDArray[np.float64] | None = None
