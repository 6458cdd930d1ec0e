"""A malformed linear program is refused, and the message names the place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix

from solvers import InvalidProblem, LinearProgram

INF, NAN = np.inf, np.nan


def build(**changes: Any) -> LinearProgram:
    fields: dict[str, Any] = {
        "objective": np.array([1.0, 2.0]),
        "matrix": csr_array(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 3.0]])),
        "row_lower": np.array([0.0, -INF, 1.0]),
        "row_upper": np.array([1.0, 2.0, INF]),
        "column_lower": np.array([0.0, -1.0]),
        "column_upper": np.array([1.0, 1.0]),
        "integer": np.array([False, True]),
    }
    return LinearProgram(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": np.array([1.0, NAN])}, r"objective\[1\] is nan"),
        ({"objective": np.array([-INF, 1.0])}, r"objective\[0\] is -inf"),
        ({"objective": np.ones(3)}, r"objective has shape \(3,\)"),
        ({"objective": np.ones((2, 1))}, r"objective has shape \(2, 1\)"),
        ({"objective": ["a", "b"]}, "objective is not an array of numbers"),
        ({"matrix": np.ones((3, 2))}, "scipy.sparse"),
        ({"matrix": csr_array((3, 0))}, "no columns"),
        ({"matrix": csr_array(np.array([[1, 1], [1, NAN], [0, 1]]))}, r"matrix\[1, 1\] is nan"),
        ({"matrix": csr_array(np.array([[1, 1], [1, 0], [0, INF]]))}, r"matrix\[2, 1\] is inf"),
        ({"matrix": csr_array(np.ones((3, 2)) * 1j)}, "must be real"),
        ({"matrix": coo_array(([1e308, 1e308], ([2, 2], [0, 0])), shape=(3, 2))}, r"matrix\[2, 0\] is inf"),
        ({"row_lower": np.zeros(2)}, r"row_lower has shape \(2,\)"),
        ({"row_lower": np.array([0, 0, INF])}, r"row_lower\[2\] is inf"),
        ({"row_lower": np.array([0, NAN, 0])}, r"row_lower\[1\] is nan"),
        ({"row_upper": np.array([-INF, 0, 0])}, r"row_upper\[0\] is -inf"),
        ({"row_upper": np.array([-1.0, 2.0, INF])}, r"row_lower\[0\] = 0.0 is above row_upper\[0\] = -1.0"),
        ({"column_lower": np.array([-INF, 0])}, r"column_lower\[0\] is -inf"),
        ({"column_upper": np.array([1, INF])}, r"column_upper\[1\] is inf"),
        (
            {"column_upper": np.array([1.0, -2.0])},
            r"column_lower\[1\] = -1.0 is above column_upper\[1\] = -2.0",
        ),
        ({"integer": np.array([0, 1])}, "integer must be 2 booleans"),
        ({"integer": np.zeros(3, bool)}, "integer must be 2 booleans"),
        ({"offset": NAN}, "offset is nan"),
        ({"offset": INF}, "offset is inf"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_malformed_program_is_refused_by_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidProblem, match=message):
        build(**changes)


def test_the_matrix_is_canonical() -> None:
    entries = coo_array(([1.0, 2.0, 0.0, 5.0, -5.0], ([0, 0, 1, 2, 2], [1, 1, 0, 0, 0])), shape=(3, 2))
    problem = build(matrix=entries)
    assert problem.matrix.nnz == 1 and problem.matrix.toarray().tolist() == [[0, 3], [0, 0], [0, 0]]
    assert problem.matrix.indices.dtype == np.int32 and problem.matrix.indptr.dtype == np.int32


def test_a_sparse_matrix_object_and_integers_are_taken() -> None:
    problem = build(matrix=csr_matrix(np.array([[1, 1], [1, 0], [0, 3]])))
    assert isinstance(problem.matrix, csr_array) and problem.matrix.dtype == np.float64


def test_what_the_caller_does_to_its_arrays_later_changes_nothing() -> None:
    objective, matrix = np.array([1.0, 2.0]), csr_array(np.ones((3, 2)))
    problem = build(objective=objective, matrix=matrix)
    objective[0] = NAN
    matrix.data[0] = NAN
    assert problem.objective[0] == 1.0 and problem.matrix.data[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        problem.objective[0] = 3.0


def test_another_objective_shares_the_rows() -> None:
    problem = build(offset=2.0)
    other = problem.with_objective([3.0, 4.0], 1.0)
    assert other.matrix is problem.matrix and other.row_lower is problem.row_lower
    assert other.objective.tolist() == [3.0, 4.0] and other.offset == 1.0 and problem.offset == 2.0
    with pytest.raises(InvalidProblem, match=r"objective\[0\] is nan"):
        problem.with_objective([NAN, 0.0])


def test_the_relaxation_has_no_integers() -> None:
    problem = build()
    assert problem.has_integers and not problem.relaxed().has_integers
    assert problem.relaxed().matrix is problem.matrix


def test_column_bounds_are_replaced_and_checked() -> None:
    problem = build()
    changed = problem.with_column_bounds([1], 0.0, [0.5])
    assert changed.column_lower.tolist() == [0, 0] and changed.column_upper.tolist() == [1, 0.5]
    assert problem.column_upper.tolist() == [1, 1]
    for index, lower, upper, message in (
        (2, 0, 1, "column index 2 is outside"),
        (-1, 0, 1, "column index -1 is outside"),
        ([0, 0], 0, 1, "twice"),
        (0.5, 0, 1, "must be integers"),
        (0, 2, 1, r"column_lower\[0\] = 2.0 is above"),
        (0, NAN, 1, r"column_lower\[0\] is nan"),
        (0, 0, INF, r"column_upper\[0\] is inf"),
    ):
        with pytest.raises(InvalidProblem, match=message):
            problem.with_column_bounds(index, lower, upper)
