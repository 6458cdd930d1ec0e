"""What a solver's multipliers prove, whoever made them (Neumaier & Shcherbina 2004, section 3).

For any ``y`` with legal signs and ``r = c - A'y``, every feasible x has

    c . x  >=  sum_i y_i * (row_lower_i if y_i > 0 else row_upper_i) + sum_j min(r_j column_lower_j, r_j column_upper_j)

in exact arithmetic. The sums are computed in float64 with a-priori error terms and rounded downwards, so the number
returned is a theorem about the program as stored, whatever ``y`` is. Nothing of the solver is trusted.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from solvers.problem import Array, LinearProgram

_UNIT = 2.0**-53
_TINY = 2.0**-1022


def safe_dual_bound(problem: LinearProgram, row_dual: Array) -> float:
    """A lower bound of the minimum of ``problem`` (and of its relaxation) from any vector ``row_dual`` (m,).

    Recomputed: everything. Multipliers that are NaN, infinite or of an illegal sign (pricing an infinite side) count as
    zero. Returns -inf where the arithmetic overflows.
    """
    return _bound(problem, problem.objective, problem.offset, row_dual)


def proves_infeasible(problem: LinearProgram, farkas: Array) -> bool:
    """Whether ``farkas`` (m,) shows that no point satisfies the rows: the bound with a zero objective is positive.

    Recomputed: everything.
    """
    return _bound(problem, np.zeros_like(problem.objective), 0.0, farkas) > 0


def _bound(problem: LinearProgram, c: Array, offset: float, row_dual: Array) -> float:
    y = legal(problem, row_dual)
    A = problem.matrix
    side = np.where(y > 0, problem.row_lower, problem.row_upper)
    side = np.where(y == 0, 0.0, side)
    column = np.maximum(np.abs(problem.column_lower), np.abs(problem.column_upper))
    with np.errstate(over="ignore", invalid="ignore"):
        residual = c - A.T @ y
        # |computed r - r| <= gamma (|c| + |A|'|y|), plus underflow: at most one per row.
        rows, columns = A.shape
        slack = _gamma(rows + 2) * (np.abs(c) + abs(A).T @ np.abs(y)) * (1.0 + _gamma(rows + 2)) + (rows + 2) * _TINY
        parts = np.minimum(residual * problem.column_lower, residual * problem.column_upper)
        value = float(y @ side) + float(parts.sum()) + offset
        size = float(np.abs(y) @ np.abs(side)) + float(np.abs(parts).sum()) + abs(offset)
        loss = float(slack @ column) + size * _gamma(rows + columns + 4) + (rows + columns) * _TINY
        bound = value - loss * (1.0 + _gamma(rows + columns + 8)) - size * 4.0 * _UNIT - _TINY
    return math.nextafter(bound, -math.inf) if math.isfinite(bound) else -math.inf


def legal(problem: LinearProgram, row_dual: Array) -> NDArray[np.float64]:
    """``row_dual`` with everything that proves nothing set to zero: NaN, infinities, and signs pricing an infinite side."""
    y = np.array(row_dual, dtype=np.float64)
    if y.shape != problem.row_lower.shape:
        return np.zeros_like(problem.row_lower)
    wrong = ~np.isfinite(y) | ((y > 0) & np.isinf(problem.row_lower)) | ((y < 0) & np.isinf(problem.row_upper))
    y[wrong] = 0.0
    return y


def _gamma(terms: int) -> float:
    count = terms + 4
    return count * _UNIT * (1.0 + 4.0 * count * _UNIT)
