"""Number ranges that a back end represents, and what is done with a problem outside them.

HiGHS drops matrix entries below a threshold without an error, takes bounds and costs from 1e20 on for
infinite and refuses entries above 1e15. Dropping an entry changes the problem, and the solver's answer is
then about another one. Refusing would be useless (trained networks are full of weights like 1e-30), so a
tiny entry is replaced by its range over the column's box: the row ``l <= a x + rest <= u`` becomes ``l -
max(a x) <= rest <= u - min(a x)``, rounded outwards. That is a *relaxation*: a lower bound or an
infeasibility of it holds for the problem too, and its points miss the problem's rows by at most
``NEGLIGIBLE_WIDENING``, less than any solver's own feasibility tolerance. A problem that would have to be
widened more is refused. The result says in ``notes`` that it was done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from solvers.errors import UnsupportedProblem
from solvers.problem import LinearProgram, Vector

NEGLIGIBLE_WIDENING = 1e-7
"""The most that a row side may move: the solvers' own (primal) feasibility tolerance."""


@dataclass(frozen=True)
class Limits:
    """smallest: entries below are not represented. largest: entries above are refused. infinite: bounds
    from here on are lost."""

    smallest: float
    largest: float = 1e15
    infinite: float = 1e20


@dataclass(frozen=True, eq=False)
class Representable:
    """A problem that a back end represents exactly.

    problem: equal to, or a slight relaxation of, the one that was asked.
    note: what was changed, in a sentence, or nothing.
    tiny_columns: (n,) bool, the columns whose box was used: the relaxation holds for this box only.
    """

    problem: LinearProgram
    notes: tuple[str, ...]
    tiny_columns: np.ndarray[tuple[int], np.dtype[np.bool_]]


def represent(solver: str, problem: LinearProgram, limits: Limits) -> Representable:
    """Return the problem in the back end's number range. Raises ``UnsupportedProblem`` where that cannot be
    done."""
    _refuse_large(solver, problem, limits)
    matrix = problem.matrix
    tiny = np.abs(matrix.data) < limits.smallest
    tiny_columns = np.zeros(problem.num_columns, dtype=bool)
    if not tiny.any():
        return Representable(problem, (), tiny_columns)
    rows = np.repeat(np.arange(problem.num_rows), np.diff(matrix.indptr))[tiny]
    columns, values = matrix.indices[tiny], matrix.data[tiny]
    ends = np.stack([values * problem.column_lower[columns], values * problem.column_upper[columns]])
    low = _sum_outwards(problem.num_rows, rows, ends.min(axis=0), -np.inf)
    high = _sum_outwards(problem.num_rows, rows, ends.max(axis=0), np.inf)
    widest = float(np.maximum(np.abs(low), np.abs(high)).max())
    if widest > NEGLIGIBLE_WIDENING:
        raise UnsupportedProblem(
            solver,
            f"it drops matrix entries below {limits.smallest:g}, which can move a row by {widest:.3g}",
            "scale the row or the columns so that the entries grow",
        )
    tiny_columns[columns] = True
    changed = np.zeros(problem.num_rows, dtype=bool)
    changed[rows] = True
    keep = matrix.data.copy()
    keep[tiny] = 0.0
    lower = np.where(changed, np.nextafter(problem.row_lower - high, -np.inf), problem.row_lower)
    upper = np.where(changed, np.nextafter(problem.row_upper - low, np.inf), problem.row_upper)
    relaxed = LinearProgram(
        problem.objective,
        csr_array((keep, matrix.indices, matrix.indptr), shape=matrix.shape),
        lower,
        upper,
        problem.column_lower,
        problem.column_upper,
        problem.integer,
        problem.offset,
    )
    note = (
        f"{int(tiny.sum())} matrix entries below {limits.smallest:g} were replaced by their range "
        f"(rows widened by at most {widest:.3g}): the answer is about this relaxation"
    )
    return Representable(relaxed, (note,), tiny_columns)


def _sum_outwards(size: int, rows: np.ndarray, terms: Vector, direction: float) -> Vector:
    """Sum ``terms`` by row, rounded towards ``direction``; each product and each addition takes one step
    outwards."""
    total = np.zeros(size)
    for row, term in zip(rows.tolist(), np.nextafter(terms, direction).tolist(), strict=True):
        total[row] = np.nextafter(total[row] + term, direction)
    return total


def _refuse_large(solver: str, problem: LinearProgram, limits: Limits) -> None:
    checks: tuple[tuple[str, Vector, float], ...] = (
        ("matrix entry", problem.matrix.data, limits.largest),
        ("objective", problem.objective, limits.infinite),
        ("column_lower", problem.column_lower, limits.infinite),
        ("column_upper", problem.column_upper, limits.infinite),
        ("row_lower", problem.row_lower[np.isfinite(problem.row_lower)], limits.infinite),
        ("row_upper", problem.row_upper[np.isfinite(problem.row_upper)], limits.infinite),
    )
    for name, array, limit in checks:
        largest = float(np.abs(array).max(initial=0.0))
        if largest >= limit:
            raise UnsupportedProblem(
                solver,
                f"{name} of size {largest:.3g} (it takes less than {limit:.0e})",
                "scale the problem down",
            )
