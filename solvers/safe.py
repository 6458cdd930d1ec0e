"""Lower bounds and infeasibility proofs that hold whatever the solver did.

Theory (Neumaier and Shcherbina, Math. Programming 99, 2004): for *every* vector y with y_i <= 0 where
row_lower_i is -inf and y_i >= 0 where row_upper_i is +inf, and r = c - A' y,

    c . x + offset >= offset + sum_{y_i > 0} y_i row_lower_i + sum_{y_i < 0} y_i row_upper_i
                             + sum_j min(r_j column_lower_j, r_j column_upper_j)

for every x that satisfies the rows and the column bounds. Recomputed here: r and every term and sum, with
every rounding error bounded, in the direction that lowers the result. Trusted: the problem's arrays, and that
the processor does IEEE 754 binary64 with round-to-nearest and gradual underflow (the last is checked on each
call). Not trusted: y.

Rounding (u = 2^-53, eta = 2^-1074, gamma_k = k u / (1 - k u)): column j has k_j entries, so r_j is a sum of
k_j products and c_j. In any order, fused or not, it is computed to within gamma_{k_j + 1} s_j + k_j eta of
the truth, with s_j = |c_j| + sum_i |A_ij| |y_i|, and s_j itself to the same relative accuracy. Together the
error is below gamma_{2 (k_j + 1)} fl(s_j) + 2 k_j eta; the code takes gamma_{2 (k_j + 4)} and
(2 k_j + 4) eta, which covers the rounding of that line itself.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from solvers.errors import InvalidProblem, SolverFailure
from solvers.problem import LinearProgram, Vector

_U = 2.0**-53
_ETA = 2.0**-1074


def safe_dual_bound(problem: LinearProgram, row_dual: ArrayLike) -> float:
    """Return a rigorous lower bound of ``problem``'s minimum (and so of its integer minimum) from any
    ``row_dual`` (m,).

    Signs that are not legal, NaN and infinite entries count as 0, so any vector of the right length gives a
    true bound; a good one gives a tight bound. -inf when the numbers overflow. If the problem is infeasible
    the result
    is some number, possibly large: every number is a lower bound then.
    Raises ``InvalidProblem`` when ``row_dual`` has another length.
    """
    return _lagrangian(problem, problem.objective, problem.offset, _legal(problem, row_dual))


def proves_infeasible(problem: LinearProgram, farkas: ArrayLike) -> bool:
    """Whether ``farkas`` (m,) proves, rigorously, that no x satisfies the rows and column bounds of
    ``problem``.

    It is the bound of ``safe_dual_bound`` with c = 0: above zero, it contradicts 0 >= bound for any
    feasible x. Everything is recomputed and nothing is trusted. False means "not proved". Integrality is
    not used.
    """
    zero = np.zeros(problem.num_columns)
    return _lagrangian(problem, zero, 0.0, _legal(problem, farkas)) > 0.0


def _legal(problem: LinearProgram, row_dual: ArrayLike) -> Vector:
    """Project onto the legal signs: an entry that would price a side that is not there, or is no number,
    becomes 0."""
    y = np.array(row_dual, dtype=np.float64)
    if y.shape != (problem.num_rows,):
        raise InvalidProblem(f"row_dual has shape {y.shape}, the problem has {problem.num_rows} rows")
    y[~np.isfinite(y)] = 0.0
    y[(y > 0) & ~np.isfinite(problem.row_lower)] = 0.0
    y[(y < 0) & ~np.isfinite(problem.row_upper)] = 0.0
    return y


def _lagrangian(problem: LinearProgram, c: Vector, offset: float, y: Vector) -> float:
    """Return the right-hand side of the theorem above, rounded downwards; ``y`` is legal and finite."""
    _check_underflow()
    matrix = problem.matrix
    k = np.bincount(matrix.indices, minlength=problem.num_columns).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        r = c - matrix.T @ y
        size = csr_array((np.abs(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)
        s = np.abs(c) + size.T @ np.abs(y)
        steps = 2.0 * (k + 4.0) * _U
        error = steps / (1.0 - steps) * s + (2.0 * k + 4.0) * _ETA
        r_low, r_high = np.nextafter(r - error, -np.inf), np.nextafter(r + error, np.inf)
        # r x over a box of r and x is smallest in a corner; nextafter covers the rounding of a product,
        # underflow included.
        ends = [side * bound for side in (r_low, r_high) for bound in (problem.column_lower, problem.column_upper)]
        columns = np.nextafter(np.minimum.reduce(ends), -np.inf)
        priced = y != 0.0
        side = np.where(y > 0, problem.row_lower, problem.row_upper)[priced]
        rows = np.nextafter(y[priced] * side, -np.inf)
    terms = np.concatenate([rows, columns, [offset]])
    if not np.isfinite(terms).all():
        return -math.inf
    try:
        # fsum is the exact sum, rounded once (or, with x87 double rounding, within one step).
        total = math.fsum(terms.tolist())
    except OverflowError:
        return -math.inf
    return float(np.nextafter(total, -np.inf)) if math.isfinite(total) else -math.inf


def _check_underflow() -> None:
    """Raise ``SolverFailure`` when the processor flushes subnormal numbers to zero, which the proof does
    not cover."""
    if (
        np.multiply(np.float64(_ETA), np.float64(1.0)) != _ETA
        or np.multiply(np.float64(2.0**-1073), np.float64(0.5)) == 0.0
    ):
        raise SolverFailure(
            "this thread flushes subnormal numbers to zero, so no rigorous bound can be computed; "
            "undo torch.set_flush_denormal(True) or its like"
        )
