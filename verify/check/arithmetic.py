"""The two arithmetics behind one interface: float64 with a-priori error terms, always outwards, and rational numbers with none.

The model of float64 (Higham, *Accuracy and Stability of Numerical Algorithms*, ch. 2-3): every operation gives
``(x op y)(1 + e) + f`` with ``|e| <= u = 2^-53``, and ``|f| <= 2^-1075`` only where a product or quotient underflows. So a sum of
n products, in any order and with or without fused multiply-add, misses by at most ``gamma(n) sum |x_i y_i| + 2 n 2^-1075``.
``up`` and ``down`` go to the next float64, which is past the exact result of the one operation that gave their argument. What
overflowed becomes NaN, and a comparison with NaN is false.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from verify.check.reasons import Rejected, Unreadable, require

_rational: Any = Fraction  # slower, and the same numbers
with suppress(ImportError):
    _rational = import_module("flint").fmpq

Array = NDArray[Any]


class Arithmetic(Protocol):
    """What the rules ask of numbers. Numbers of frames are float64 arrays; ``lift`` makes operands of them."""

    name: str
    item_bytes: int  # of a number in an array, about
    tiny: Any  # over any error of underflow of one operation, by a factor of 2^50

    def lift(self, x: Array) -> Array: ...
    def number(self, q: Fraction) -> Any:
        """``q``, or the next number above it."""

    def gamma(self, n: int) -> Any: ...
    def up(self, x: Array) -> Array: ...
    def down(self, x: Array) -> Array: ...
    def lower(self, x: Array) -> Array:
        """float64 at most ``x``."""

    def upper(self, x: Array) -> Array: ...
    def norm_up(self, p: Array) -> Array:
        """At least the Euclidean norm of each row."""


class Float64:
    """IEEE binary64, round to nearest."""

    name = "float64"
    item_bytes = 8
    tiny = 2.0**-1022

    def __init__(self) -> None:
        """Refuse a processor that flushes subnormal numbers, or does not round to nearest."""
        small, unit = np.array([2.0**-1022, 0.0]), np.array([1.0, -1.0])
        kept = (small * 0.5)[0] == 2.0**-1023 and (small[None] @ np.array([0.5, 0.0]))[0] == 2.0**-1023
        nearest = (
            (unit * (1 + 2.0**-53) == unit).all()
            and (unit + unit * 2.0**-53 == unit).all()
            and 1 - unit[0] * 2.0**-54 == 1
        )
        if not (kept and nearest):
            raise Unreadable(
                "this processor is set to flush subnormal numbers or not to round to nearest; use --arithmetic exact"
            )

    def lift(self, x: Array) -> Array:
        return x

    def number(self, q: Fraction) -> Any:
        return round_fraction(q.numerator, q.denominator, 1)

    def gamma(self, n: int) -> Any:
        """``n u / (1 - n u)``, or more: n is below 2^40 (sizes are limited), so the denominator is over ``1 - 2^-13``."""
        return n * 2.0**-53 * (1 + 2.0**-10)

    def up(self, x: Array) -> Array:
        return np.where(np.isfinite(x), np.nextafter(x, np.inf), np.nan)

    def down(self, x: Array) -> Array:
        return np.where(np.isfinite(x), np.nextafter(x, -np.inf), np.nan)

    def lower(self, x: Array) -> Array:
        return x

    upper = lower

    def norm_up(self, p: Array) -> Array:
        squares, n = (p * p).sum(axis=1), p.shape[1]
        return self.up(np.sqrt(self.up(squares * (1 + self.gamma(4 * n + 32)) + n * self.tiny)))


class Exact:
    """Rational numbers in object arrays: python-flint's when it is installed, else the standard library's."""

    name = "exact"
    item_bytes = 256
    tiny = 0

    def lift(self, x: Array) -> Array:
        flat = [_rational(*item.as_integer_ratio()) for item in np.asarray(x, dtype=np.float64).ravel().tolist()]
        return np.array([*flat, None], dtype=object)[:-1].reshape(np.shape(x))

    def number(self, q: Fraction) -> Any:
        return _rational(q.numerator, q.denominator)

    def gamma(self, n: int) -> Any:
        return 0

    def up(self, x: Array) -> Array:
        return x

    down = up

    def lower(self, x: Array) -> Array:
        return self._rounded(x, -1)

    def upper(self, x: Array) -> Array:
        return self._rounded(x, 1)

    def norm_up(self, p: Array) -> Array:
        squares = (p * p).sum(axis=1)
        roots = np.sqrt(self.upper(squares)) * (1 + 2.0**-51) + 2.0**-537  # generous; the next line is what counts
        require(bool((self.lift(roots) * self.lift(roots) >= squares).all()), "a norm is beyond float64")
        return self.lift(roots)

    def _rounded(self, x: Array, side: int) -> Array:
        x = np.asarray(x, dtype=object)
        # numpy makes Python's own integers of empty sums: they have both names too
        pairs = ((q, 1) if isinstance(q, int) else ratio(q) for q in x.ravel().tolist())
        return np.array([round_fraction(p, q, side) for p, q in pairs], dtype=np.float64).reshape(x.shape)


def ratio(q: Any) -> tuple[int, int]:
    """Numerator and denominator of either kind of rational number."""
    return (q.numerator, q.denominator) if isinstance(q, Fraction) else (int(q.p), int(q.q))


def round_fraction(numerator: int, denominator: int, side: int) -> float:
    """The float64 next to a fraction: at most it for side -1, at least it for side 1."""
    try:  # Python's division of integers rounds correctly
        nearest = numerator / denominator
    except OverflowError:
        raise Rejected("a derived number is beyond float64") from None
    p, q = nearest.as_integer_ratio()
    miss = side * (numerator * q - p * denominator)  # > 0: the nearest is on the wrong side
    if miss > 0:
        nearest = float(np.nextafter(nearest, side * np.inf))
    require(abs(nearest) < np.inf, "a derived number is beyond float64")
    return nearest


ARITHMETICS: dict[str, Callable[[], Arithmetic]] = {"float64": Float64, "exact": Exact}
