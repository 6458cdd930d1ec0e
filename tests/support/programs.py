"""Small linear and mixed-integer programs whose optimum (and, where it is unique, dual) is known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

from solvers import LinearProgram

INF = np.inf


@dataclass(frozen=True)
class Known:
    """optimum: None when infeasible. dual: (m,) when it is unique, else None."""

    name: str
    problem: LinearProgram
    optimum: float | None
    dual: tuple[float, ...] | None = None


def program(
    objective: Sequence[float],
    rows: Sequence[Sequence[float]],
    row_lower: Sequence[float],
    row_upper: Sequence[float],
    column_lower: Sequence[float],
    column_upper: Sequence[float],
    *,
    integer: Sequence[int] = (),
    offset: float = 0.0,
) -> LinearProgram:
    """Build from dense rows; ``integer`` lists the integer columns."""
    n = len(objective)
    return LinearProgram(
        np.array(objective, dtype=float),
        csr_array(np.array(rows, dtype=float).reshape(len(rows), n)),
        np.array(row_lower, dtype=float),
        np.array(row_upper, dtype=float),
        np.array(column_lower, dtype=float),
        np.array(column_upper, dtype=float),
        np.isin(np.arange(n), integer),
        offset,
    )


def _entries(value: list[float], row: list[int], column: list[int]) -> LinearProgram:
    """min x + y over [0, 9]^2 with one row >= 4, the matrix given entry by entry."""
    one = np.ones(2)
    matrix = coo_array((value, (row, column)), shape=(1, 2))
    return LinearProgram(one, matrix, np.array([4.0]), np.array([INF]), 0 * one, 9 * one, np.zeros(2, bool))


LINEAR = (
    Known("equality row", program([1, 2], [[1, 1]], [1], [1], [0, 0], [5, 5]), 1, (1,)),
    Known("lower row", program([2, 3], [[1, 1]], [4], [INF], [0, 0], [3, 9]), 9, (3,)),
    Known("upper row", program([-1, -2], [[1, 1]], [-INF], [4], [0, 0], [3, 3]), -7, (-1,)),
    Known("ranged row at its lower side", program([1, 0], [[1, 1]], [1], [3], [0, 0], [9, 0.5]), 0.5, (1,)),
    Known("ranged row at its upper side", program([-1], [[2]], [1], [3], [-5], [5]), -1.5, (-0.5,)),
    Known("fixed column", program([1, -1], [[1, 1]], [2], [INF], [0, 1], [9, 1]), 0, (1,)),
    Known("offset", program([1], [[1]], [2], [INF], [0], [9], offset=10), 12, (1,)),
    Known("negative offset", program([1], [[1]], [2], [INF], [0], [9], offset=-2.5), -0.5, (1,)),
    Known(
        "degenerate",
        program([-1, -1], [[1, 0], [0, 1], [1, 1]], [-INF] * 3, [1, 1, 2], [0, 0], [9, 9]),
        -2,
    ),
    Known("duplicate entries", _entries([1, 1, 1], [0, 0, 0], [0, 0, 1]), 2, (0.5,)),
    Known("entries that cancel", _entries([3, -3, 1], [0, 0, 0], [0, 0, 1]), 4, (1,)),
    Known("explicit zeros", _entries([0, 2, 0], [0, 0, 0], [0, 1, 0]), 2, (0.5,)),
    Known("no rows", program([1, -1, 0], [], [], [], [-1, -2, 3], [4, 5, 6]), -6, ()),
    Known("free row", program([1, 0], [[1, 1], [1, 0]], [-INF, 0.5], [INF, INF], [0, 0], [1, 1]), 0.5, (0, 1)),
    Known(
        "empty row that holds",
        program([1, 0], [[0, 0], [1, 1]], [-1, 1], [0, 1], [0, 0], [2, 0.5]),
        0.5,
        (0, 1),
    ),
    Known("negative bounds", program([1, 1], [[1, -1]], [0], [INF], [-5, -4], [-2, 3]), -8, (1,)),
    Known("zero objective", program([0, 0], [[1, 1]], [1], [1], [0, 0], [1, 1]), 0, (0,)),
    Known(
        "two prices of both signs",
        program([1, -1], [[1, 0], [0, 1]], [1, -INF], [INF, 2], [-9, -9], [9, 9]),
        -1,
        (1, -1),
    ),
)

INFEASIBLE_LINEAR = (
    Known("rows contradict", program([1, 1], [[1, 1], [1, 1]], [-INF, 1.9], [1, INF], [0, 0], [1, 1]), None),
    Known("row outside the box", program([1], [[1]], [5], [INF], [0], [1]), None),
    Known("equality outside the box", program([0, 0], [[1, 1]], [-3], [-3], [0, 0], [1, 1]), None),
    Known(
        "three rows contradict",
        program([1, 1, 1], [[1, -1, 0], [0, 1, -1], [-1, 0, 1]], [0.5] * 3, [INF] * 3, [0, 0, 0], [9, 9, 9]),
        None,
    ),
    Known("empty row that fails", program([1, 0], [[0, 0], [1, 1]], [1, 0], [2, 1], [0, 0], [2, 2]), None),
)

INTEGER = (
    Known(
        "knapsack",
        program([-10, -13, -7], [[3, 4, 2]], [-INF], [6], [0] * 3, [1] * 3, integer=[0, 1, 2]),
        -20,
    ),
    Known("general integer", program([1], [[2]], [5], [INF], [-3], [7], integer=[0]), 3),
    Known("negative integer", program([1], [[3]], [-8], [INF], [-5], [5], integer=[0]), -2),
    Known("fractional bounds of an integer", program([1], [[1]], [-9], [9], [0.5], [2.5], integer=[0]), 1),
    Known("integer without rows", program([1, -1], [], [], [], [-1.5, 0], [9, 2.5], integer=[0, 1]), -3),
    Known("integer with offset", program([-1], [[2]], [-INF], [5], [0], [9], integer=[0], offset=0.25), -1.75),
    Known(
        "big-M switch",
        program([1, 5], [[1, 4], [1, 0]], [3, -INF], [INF, 10], [0, 0], [10, 1], integer=[1]),
        3,
    ),
    # HiGHS 1.14.0 answers 15 and 76 to the next two: its presolve is wrong about their continuous columns.
    Known("continuous by integer", program([2, 3], [[1, 1]], [4.5], [INF], [0, 0], [9, 9], integer=[1]), 9),
    Known(
        "three rows, one integer",
        program(
            [1, 4, 9],
            [[1, 1, 0], [1, 0, 1], [0, -1, 1]],
            [-INF, 10, 7.5],
            [5, INF, 7.5],
            [0, -1, 0],
            [4, 1, 50],
            integer=[2],
        ),
        64,
    ),
)

INFEASIBLE_INTEGER = (
    # HiGHS 1.12 and 1.13 end this with a solve error unless presolve is off.
    Known(
        "solve error in presolve",
        program(
            [0, 0, 2],
            [[-5, -7, 0], [-2, 1, 1], [4, 0, -3], [-4, -2, -4]],
            [9, -INF, 2, 5.5],
            [10, -2, 3, 6.5],
            [0, -2, -1],
            [0, -1, 2],
            integer=[0, 1],
        ),
        None,
    ),
    Known("parity", program([1, 1], [[2, 2]], [1], [1], [0, 0], [5, 5], integer=[0, 1]), None),
    Known("no integer in the box", program([1, 1], [[1, 1]], [0], [9], [0.2, 0], [0.8, 1], integer=[0]), None),
)


def market_split(columns: int = 30, rows: int = 4, seed: int = 0) -> LinearProgram:
    """An integer program that no branch-and-bound solves in seconds: split weights into exact halves."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 100, size=(rows, columns)).astype(float)
    slack = np.concatenate([np.eye(rows), -np.eye(rows)], axis=1)
    half = np.floor(weights.sum(axis=1) / 2)
    n = columns + 2 * rows
    return LinearProgram(
        np.concatenate([np.zeros(columns), np.ones(2 * rows)]),
        csr_array(np.concatenate([weights, slack], axis=1)),
        half,
        half,
        np.zeros(n),
        np.concatenate([np.ones(columns), np.full(2 * rows, 5000.0)]),
        np.arange(n) < columns,
    )
