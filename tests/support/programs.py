"""Small programs with known answers, primal and dual, for every back end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from solvers.problem import LinearProgram
from solvers.result import Status

INF = np.inf


@dataclass(frozen=True)
class Case:
    """A program, what it must end as, its optimum, and its dual where that is unique."""

    problem: LinearProgram
    status: Status
    optimum: float
    dual: tuple[float, ...] | None = None


def program(c, A, rows, columns, *, integer=None, offset=0.0) -> LinearProgram:
    c = np.array(c, dtype=float)
    matrix = A if sp.issparse(A) else sp.csr_array(np.array(A, dtype=float).reshape(len(rows), len(c)))
    low, high = (np.array([r[k] for r in rows], dtype=float) for k in (0, 1))
    left, right = (np.array([v[k] for v in columns], dtype=float) for k in (0, 1))
    flags = np.zeros(len(c), dtype=bool) if integer is None else np.array(integer, dtype=bool)
    return LinearProgram(c, matrix, low, high, left, right, flags, offset)


BOX = [(0, 10), (0, 10)]
DUPLICATES = sp.csr_array((np.array([1.0, 1.0, 2.0, 0.0]), np.array([0, 0, 1, 1]), np.array([0, 3, 4])), shape=(2, 2))
OPT, BAD = Status.OPTIMAL, Status.INFEASIBLE

CASES: dict[str, Case] = {
    "a row priced from above": Case(program([-1, -2], [[1, 1]], [(-INF, 4)], BOX), OPT, -8, (-2,)),
    "a row priced from below": Case(program([1, 2], [[1, 1]], [(3, INF)], BOX), OPT, 3, (1,)),
    "an equality": Case(program([1, 3], [[1, 1]], [(2, 2)], BOX), OPT, 2, (1,)),
    "an equality with a negative price": Case(program([-1, -3], [[1, 1]], [(2, 2)], BOX), OPT, -6, (-3,)),
    "a ranged row at its lower end": Case(program([2, 3], [[1, 1]], [(1, 5)], BOX), OPT, 2, (2,)),
    "a ranged row at its upper end": Case(program([-2, -3], [[1, 1]], [(1, 5)], BOX), OPT, -15, (-3,)),
    "a fixed column": Case(program([1, 1], [[1, 1]], [(4, INF)], [(3, 3), (0, 9)]), OPT, 4, (1,)),
    "an offset": Case(program([1, 1], [[1, 1]], [(1, INF)], BOX, offset=5), OPT, 6, (1,)),
    "negative bounds": Case(program([1, 1], [[1, -1]], [(-1, 1)], [(-5, -1), (-4, 4)]), OPT, -9, None),
    "a degenerate vertex": Case(
        program([-1, -1], [[1, 0], [0, 1], [1, 1]], [(-INF, 1), (-INF, 1), (-INF, 2)], BOX), OPT, -2
    ),
    "duplicate entries and an explicit zero": Case(
        program([1, 1], DUPLICATES, [(8, INF), (-INF, 3)], BOX), OPT, 4, (0.5, 0)
    ),
    "no rows": Case(program([1, -1], np.zeros((0, 2)), [], BOX), OPT, -10, ()),
    "an infeasible program": Case(program([1, 1], [[1, 1], [1, 1]], [(5, INF), (-INF, 1)], BOX), BAD, INF),
    "a knapsack": Case(
        program(
            [-5, -4, -3],
            [[2, 3, 1], [4, 1, 2], [3, 4, 2]],
            [(-INF, 5), (-INF, 11), (-INF, 8)],
            [(0, 1)] * 3,
            integer=[1] * 3,
        ),
        OPT,
        -9,
    ),
    "general integers": Case(program([-1, -1], [[2, 2]], [(-INF, 7)], BOX, integer=[1, 1]), OPT, -3),
    "a mixed program": Case(program([-1, -1], [[2, 2]], [(-INF, 7)], BOX, integer=[1, 0]), OPT, -3.5),
    "an integer program with an offset": Case(
        program([1], [[2]], [(1, INF)], [(0, 5)], integer=[1], offset=-3), OPT, -2
    ),
    "an infeasible integer program": Case(program([1], [[2]], [(1, 1)], [(0, 5)], integer=[1]), BAD, INF),
}
LINEAR = {name: case for name, case in CASES.items() if not case.problem.integer.any()}
