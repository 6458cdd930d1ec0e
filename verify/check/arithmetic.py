"""The two arithmetics: float64, whose roundings `model` pays for, and rational numbers, which have none.

The model of float64 (Higham, *Accuracy and Stability of Numerical Algorithms*, ch. 2-3): every operation gives
``(x op y)(1 + e) + f`` with ``|e| <= u = 2^-53``, and ``|f| <= 2^-1075`` only where a product or quotient underflows. So a sum
of n products, in any order and with or without fused multiply-add, misses by at most ``n u / (1 - n u)`` times the sum of their
magnitudes, and ``2 n 2^-1075``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np

from verify.check.forms import Rejected, need

_rational: Any = Fraction  # slower, and the same numbers
with suppress(ImportError):
    _rational = import_module("flint").fmpq


@dataclass(frozen=True)
class Arithmetic:
    """What the rules ask of numbers. ``tiny`` is over any error of underflow of one operation, by a factor of 2^50."""

    exact: bool
    unit: float
    tiny: float
    item_bytes: int  # of a number in an array, about

    def lift(self, x: Any) -> Any:
        """float64 numbers as operands: in exact arithmetic, rational numbers in an array of objects."""
        if not self.exact:
            return x
        flat = [_rational(*item.as_integer_ratio()) for item in np.ravel(x).astype(np.float64).tolist()]
        return np.array([*flat, None], dtype=object)[:-1].reshape(np.shape(x))

    def lower(self, x: Any) -> Any:
        """float64 numbers that are at most ``x``."""
        floats = [below(q) for q in np.ravel(x).tolist()] if self.exact else x
        return np.reshape(floats, np.shape(x))


ARITHMETICS = {"float64": Arithmetic(False, 2**-53, 2**-1022, 8), "exact": Arithmetic(True, 0, 0, 256)}


def below(q: Any) -> float:
    """The largest float64 that is at most a rational number."""
    top, bottom = (int(q.p), int(q.q)) if hasattr(q, "p") else (q.numerator, q.denominator)
    try:
        nearest = top / bottom  # Python's division of integers rounds correctly
        p, r = nearest.as_integer_ratio()
        if p * bottom > top * r:
            nearest = float(np.nextafter(nearest, -np.inf))
            nearest.as_integer_ratio()
    except OverflowError:  # infinity is no ratio
        raise Rejected("a derived number is beyond float64") from None
    return nearest


def arithmetic_called(name: str) -> Arithmetic:
    """The arithmetic; float64 only on a processor that keeps subnormal numbers and rounds to nearest. Raises `Unreadable`."""
    need(name in ARITHMETICS, f"arithmetic {name!r}", f"there are {', '.join(ARITHMETICS)}")
    small, one = np.array([2.0**-1022, 0.0]), np.array([1.0, -1.0])
    kept = (small * 0.5)[0] == (small[None] @ np.array([0.5, 0.0]))[0] == 2.0**-1023
    nearest = (one * (1 + 2**-53) == one).all() and (one + one * 2**-53 == one).all() and 1 - one[0] * 2**-54 == 1
    good = name == "exact" or (kept and nearest)
    need(good, "this processor flushes subnormal numbers, or does not round to nearest", "use --arithmetic exact")
    return ARITHMETICS[name]
