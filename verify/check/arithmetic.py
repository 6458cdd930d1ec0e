"""The two arithmetics behind one interface: float64 with a-priori error terms, always outwards, and rational numbers with none.

The model of float64 (Higham, *Accuracy and Stability of Numerical Algorithms*, ch. 2-3): every operation gives
``(x op y)(1 + e) + f`` with ``|e| <= u = 2^-53``, and ``|f| <= 2^-1075`` only where a product or quotient underflows. So a sum of
n products, in any order and with or without fused multiply-add, misses by at most ``gamma(n) sum |x_i y_i| + 2 n 2^-1075``.
``up`` and ``down`` go to the next float64, which is past the exact result of the one operation that gave their argument. What
overflowed becomes NaN, and a comparison with NaN is false.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.forms import Rejected, Unreadable

_rational: Any = Fraction  # slower, and the same numbers
with suppress(ImportError):
    _rational = import_module("flint").fmpq

Array = NDArray[Any]


@dataclass(frozen=True)
class Arithmetic:
    """What the rules ask of numbers. Numbers of frames are float64 arrays; ``lift`` makes operands of them.

    ``tiny`` is over any error of underflow of one operation, by a factor of 2^50; ``item_bytes``: of a number in an array, about.
    """

    name: str
    exact: bool
    tiny: Any
    item_bytes: int

    def lift(self, x: Array) -> Array:
        """The numbers as operands: in exact arithmetic, rational numbers in an array of objects."""
        if not self.exact:
            return x
        flat = [_rational(*item.as_integer_ratio()) for item in np.asarray(x, dtype=np.float64).ravel().tolist()]
        return np.array([*flat, None], dtype=object)[:-1].reshape(np.shape(x))

    def number(self, q: Fraction) -> Any:
        """``q``, or the next number above it."""
        return _rational(q.numerator, q.denominator) if self.exact else rounded(q, 1)

    def gamma(self, n: int) -> Any:
        """``n u / (1 - n u)``, or more: n is below 2^40 (sizes are limited), so the denominator is over ``1 - 2^-13``."""
        return 0 if self.exact else n * 2.0**-53 * (1 + 2.0**-10)

    def up(self, x: Any) -> Any:
        """At least what the last operation of ``x`` would have given without rounding."""
        return x if self.exact else np.where(np.isfinite(x), np.nextafter(x, np.inf), np.nan)

    def down(self, x: Any) -> Any:
        """At most that."""
        return x if self.exact else np.where(np.isfinite(x), np.nextafter(x, -np.inf), np.nan)

    def ends(self, x: Array, side: int) -> Array:
        """float64 numbers at most ``x`` for side -1, at least ``x`` for side 1."""
        if not self.exact:
            return x
        return np.array([rounded(q, side) for q in np.ravel(x).tolist()], dtype=np.float64).reshape(np.shape(x))


def rounded(q: Any, side: int) -> float:
    """The float64 next to a rational number: at most it for side -1, at least it for side 1."""
    top, bottom = (int(q.p), int(q.q)) if hasattr(q, "p") else (q.numerator, q.denominator)
    try:  # Python's division of integers rounds correctly
        nearest = top / bottom
        p, r = nearest.as_integer_ratio()
    except OverflowError:
        raise Rejected("a derived number is beyond float64") from None
    if side * (top * r - p * bottom) > 0:  # the nearest is on the wrong side
        nearest = float(np.nextafter(nearest, side * np.inf))
    if abs(nearest) == np.inf:
        raise Rejected("a derived number is beyond float64")
    return nearest


ARITHMETICS = {a.name: a for a in (Arithmetic("float64", False, 2.0**-1022, 8), Arithmetic("exact", True, 0, 256))}


def arithmetic_called(name: str) -> Arithmetic:
    """The arithmetic; float64 only on a processor that keeps subnormal numbers and rounds to nearest. Raises `Unreadable`."""
    if name not in ARITHMETICS:
        raise Unreadable(f"arithmetic {name!r}; there are {', '.join(ARITHMETICS)}")
    small, unit = np.array([2.0**-1022, 0.0]), np.array([1.0, -1.0])
    kept = (small * 0.5)[0] == (small[None] @ np.array([0.5, 0.0]))[0] == 2.0**-1023
    nearest = (
        (unit * (1 + 2.0**-53) == unit).all() and (unit + unit * 2.0**-53 == unit).all() and 1 - unit[0] * 2.0**-54 == 1
    )
    if name == "float64" and not (kept and nearest):
        raise Unreadable(
            "this processor flushes subnormal numbers or does not round to nearest; use --arithmetic exact"
        )
    return ARITHMETICS[name]
