"""The program: minimise ``objective . x + offset`` over rows, finite column bounds and integer columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from solvers.errors import InvalidProblem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearProgram:
    """Minimise ``objective . x + offset`` subject to ``row_lower <= matrix x <= row_upper``, bounds and integrality.

    ``matrix`` (m, n) sparse; ``row_lower``, ``row_upper`` (m,) may be infinite; ``column_lower``, ``column_upper`` (n,) are
    finite, so that every multiplier gives a bound; ``integer`` (n,) bool. Checked when made: InvalidProblem names the
    first entry that is wrong. Duplicate entries are summed and explicit zeros dropped.
    """

    objective: Array
    matrix: sp.csr_array
    row_lower: Array
    row_upper: Array
    column_lower: Array
    column_upper: Array
    integer: NDArray[np.bool_]
    offset: float = 0.0

    def __post_init__(self) -> None:
        matrix = self.matrix.astype(np.float64).tocsr().copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        object.__setattr__(self, "matrix", matrix)
        rows, columns = matrix.shape
        for name, size in _SIZES.items():
            dtype: type[np.generic] = np.bool_ if name == "integer" else np.float64
            value: NDArray[np.generic] = np.array(getattr(self, name), dtype=dtype)
            value.setflags(write=False)
            object.__setattr__(self, name, value)
            if value.shape != ((rows, columns)[size],):
                raise InvalidProblem(f"{name} has shape {value.shape}, the matrix is {rows} by {columns}")
        for name in ("objective", "column_lower", "column_upper"):
            _refuse(name, getattr(self, name), ~np.isfinite(getattr(self, name)), "must be finite")
        _refuse("row_lower", self.row_lower, ~(self.row_lower < np.inf), "must be a number below +inf")
        _refuse("row_upper", self.row_upper, ~(self.row_upper > -np.inf), "must be a number above -inf")
        _refuse("matrix.data", matrix.data, ~np.isfinite(matrix.data), "must be finite")
        _refuse("row_lower", self.row_lower, self.row_lower > self.row_upper, "lies above row_upper")
        _refuse("column_lower", self.column_lower, self.column_lower > self.column_upper, "lies above column_upper")
        if not np.isfinite(self.offset):
            raise InvalidProblem(f"offset is {self.offset}: it must be finite")

    def with_objective(self, objective: Array, offset: float = 0.0) -> LinearProgram:
        """The same rows and columns under another objective."""
        return replace(self, objective=objective, offset=offset)

    def with_row(self, row: Array, lower: float, upper: float) -> LinearProgram:
        """The same program with one more row, ``lower <= row . x <= upper``."""
        return replace(
            self,
            matrix=sp.csr_array(sp.vstack([self.matrix, sp.csr_array(row[None])], format="csr")),
            row_lower=np.append(self.row_lower, lower),
            row_upper=np.append(self.row_upper, upper),
        )

    def relaxed(self) -> LinearProgram:
        """The same program without integrality."""
        return replace(self, integer=np.zeros(len(self.objective), dtype=np.bool_))


_SIZES = {
    "row_lower": 0,
    "row_upper": 0,
    "objective": 1,
    "column_lower": 1,
    "column_upper": 1,
    "integer": 1,
}


def _refuse(name: str, value: Array, wrong: NDArray[np.bool_], why: str) -> None:
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        raise InvalidProblem(f"{name}[{k}] is {value[k]}: it {why}")
