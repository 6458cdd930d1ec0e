"""A linear or mixed-integer program as checked, immutable arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse, vstack

from solvers.errors import InvalidProblem

Vector: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Matrix: TypeAlias = "csr_array[np.float64, tuple[int, int]]"


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """Minimise ``objective . x + offset`` over ``row_lower <= matrix x <= row_upper``, ``column_lower <= x
    <= column_upper``.

    Every column is bounded on both sides, so the minimum is finite or the problem is infeasible, and any
    vector of row duals gives a finite lower bound (see ``solvers.safe``). Arrays are copied on construction
    and read-only.
    The matrix is put into canonical form: duplicate entries are summed in float64 and zeros are not stored.
    The problem that is solved and bounded is the canonical one.

    objective: (n,) finite.
    matrix: (m, n) sparse, finite; stored as a ``csr_array`` of float64 with sorted int32 indices.
    row_lower, row_upper: (m,), row_lower may be -inf and row_upper +inf; both at once is a free row.
    column_lower, column_upper: (n,) finite.
    integer: (n,) bool; True where the column must be an integer.
    offset: a finite constant.

    Raises ``InvalidProblem``, naming the place, for anything else.
    """

    objective: Vector
    matrix: Matrix
    row_lower: Vector
    row_upper: Vector
    column_lower: Vector
    column_upper: Vector
    integer: Mask
    offset: float = 0.0

    def __post_init__(self) -> None:
        matrix = _canonical(self.matrix)
        m, n = matrix.shape
        if n == 0:
            raise InvalidProblem("matrix has no columns: a linear program needs at least one variable")
        values: dict[str, object] = {"matrix": matrix, "offset": _offset(self.offset)}
        values["objective"] = _finite("objective", self.objective, n)
        for side in ("row_lower", "row_upper"):
            values[side] = _vector(side, getattr(self, side), m)
        for side in ("column_lower", "column_upper"):
            values[side] = _finite(side, getattr(self, side), n)
        values["integer"] = _mask(self.integer, n)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        _refuse("row_lower", self.row_lower, self.row_lower == np.inf)
        _refuse("row_upper", self.row_upper, self.row_upper == -np.inf)
        _refuse_crossed("row", self.row_lower, self.row_upper)
        _refuse_crossed("column", self.column_lower, self.column_upper)

    @property
    def num_rows(self) -> int:
        """The number of rows m."""
        return int(self.matrix.shape[0])

    @property
    def num_columns(self) -> int:
        """The number of columns n."""
        return int(self.matrix.shape[1])

    @property
    def has_integers(self) -> bool:
        """Whether any column must be an integer."""
        return bool(self.integer.any())

    def with_objective(self, objective: ArrayLike, offset: float = 0.0) -> LinearProgram:
        """Return the same rows and columns with another objective ``(n,)``; the other arrays are shared."""
        checked = _finite("objective", objective, self.num_columns)
        return self._replaced(objective=checked, offset=_offset(offset))

    def with_column_bounds(self, index: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> LinearProgram:
        """Return the same problem with the bounds of the columns ``index`` replaced; the other arrays are
        shared.

        index: an integer or (k,) integers in [0, n); lower, upper: scalars or (k,), finite and not crossed.
        """
        where = column_indices(index, self.num_columns)
        lo, hi = self.column_lower.copy(), self.column_upper.copy()
        lo[where], hi[where] = lower, upper
        lo, hi = _finite("column_lower", lo, lo.size), _finite("column_upper", hi, hi.size)
        _refuse_crossed("column", lo, hi)
        return self._replaced(column_lower=lo, column_upper=hi)

    def with_row(self, row: ArrayLike, lower: float, upper: float) -> LinearProgram:
        """Return the same problem with one more row, ``lower <= row . x <= upper``; row (n,)."""
        return LinearProgram(
            objective=self.objective,
            matrix=vstack([self.matrix, csr_array(np.asarray(row, dtype=np.float64)[None])], format="csr"),
            row_lower=np.append(self.row_lower, lower),
            row_upper=np.append(self.row_upper, upper),
            column_lower=self.column_lower,
            column_upper=self.column_upper,
            integer=self.integer,
            offset=self.offset,
        )

    def relaxed(self) -> LinearProgram:
        """Return the linear relaxation: the same problem with no integer column."""
        return self._replaced(integer=_mask(np.zeros(self.num_columns, dtype=bool), self.num_columns))

    def _replaced(self, **changes: object) -> LinearProgram:
        """Swap fields that were already checked, without checking (or copying) the rest again."""
        new = object.__new__(LinearProgram)
        for field in fields(self):
            object.__setattr__(new, field.name, changes.get(field.name, getattr(self, field.name)))
        return new


def column_indices(index: ArrayLike, n: int) -> NDArray[np.int32]:
    """Check column numbers: (k,) int32 in [0, n), no duplicates. Raises ``InvalidProblem``."""
    array = np.atleast_1d(np.asarray(index))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InvalidProblem(
            f"column index must be integers, one-dimensional; got {array.dtype} of shape {array.shape}"
        )
    bad = (array < 0) | (array >= n)
    if bad.any():
        raise InvalidProblem(f"column index {array[bad][0]} is outside 0..{n - 1}")
    if np.unique(array).size != array.size:
        raise InvalidProblem("column index names a column twice")
    return array.astype(np.int32)


def _canonical(matrix: Any) -> Matrix:
    sparse: bool = issparse(matrix)
    if not sparse:
        raise InvalidProblem(f"matrix must be a scipy.sparse array, got {type(matrix).__name__}")
    if matrix.dtype.kind not in "fiub":
        raise InvalidProblem(f"matrix must be real, got {matrix.dtype}")
    made: Any = csr_array(matrix, dtype=np.float64, copy=True)
    new: Matrix = made
    if new.ndim != 2:
        raise InvalidProblem(f"matrix must have two dimensions, got shape {new.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        new.sum_duplicates()
    bad = np.flatnonzero(~np.isfinite(new.data))
    if bad.size:
        row = int(np.searchsorted(new.indptr, bad[0], side="right")) - 1
        raise InvalidProblem(f"matrix[{row}, {new.indices[bad[0]]}] is {new.data[bad[0]]}")
    new.eliminate_zeros()
    new.indptr, new.indices = new.indptr.astype(np.int32), new.indices.astype(np.int32)
    for array in (new.data, new.indices, new.indptr):
        array.flags.writeable = False
    return new


def _vector(name: str, value: object, size: int) -> Vector:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidProblem(f"{name} is not an array of numbers: {error}") from error
    if array.shape != (size,):
        raise InvalidProblem(f"{name} has shape {array.shape}, the matrix asks for ({size},)")
    _refuse(name, array, np.isnan(array))
    array.flags.writeable = False
    return array


def _finite(name: str, value: object, size: int) -> Vector:
    array = _vector(name, value, size)
    _refuse(name, array, np.isinf(array))
    return array


def _mask(value: object, size: int) -> Mask:
    array = np.array(value)
    if array.shape != (size,) or array.dtype != np.bool_:
        raise InvalidProblem(f"integer must be {size} booleans, got {array.dtype} of shape {array.shape}")
    array.flags.writeable = False
    return array


def _offset(value: float) -> float:
    if not np.isfinite(value):
        raise InvalidProblem(f"offset is {value}")
    return float(value)


def _refuse(name: str, array: Vector, bad: Mask) -> None:
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise InvalidProblem(f"{name}[{place}] is {array[place]}")


def _refuse_crossed(name: str, lower: Vector, upper: Vector) -> None:
    crossed = lower > upper
    if crossed.any():
        k = int(np.flatnonzero(crossed)[0])
        raise InvalidProblem(f"{name}_lower[{k}] = {lower[k]} is above {name}_upper[{k}] = {upper[k]}")
