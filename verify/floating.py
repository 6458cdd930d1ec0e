"""Facts about IEEE arithmetic that every rigorous bound rests on.

The model (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 2.2 and 3.1): an operation
satisfies ``fl(a op b) = (a op b)(1 + delta) + eta`` with ``|delta| <= u`` and ``|eta| <= TINY``, where ``eta`` is
zero for additions. A dot product of ``n`` terms, summed in any order, with or without fused multiply-add, is then
off by at most ``gamma(n) |a| . |b| + n TINY``. Strassen, Winograd and FFT products do not satisfy it; the float64
kernels of torch on a CPU do not use them.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from verify.errors import SoundnessError, UsageError

UNIT = 2.0**-53  # unit roundoff u of float64
TINY = 2.0**-1022  # smallest normal float64: an upper bound of any underflow error, gradual or flushed

# The same of float32 (IEEE binary32), for claims about a network as it is executed.
UNIT32 = 2.0**-24
TINY32 = 2.0**-126
MOST32 = 3.4e38  # a little below the largest float32, so that rounding to nearest reaches no infinity
LONGEST32 = 2**18  # products in one sum: from here on the error bound says next to nothing


def gamma(terms: int) -> float:
    """``gamma_n = n u / (1 - n u)``, rounded up: the relative error of a dot product of ``terms`` terms.

    Four more terms are counted than asked for, so that the few operations around the product are paid for too.
    """
    count = terms + 4
    if count > 2**40:
        raise UsageError(f"a dot product of {terms} terms is too long for a useful rounding bound (limit 2^40)")
    return count * UNIT * (1.0 + count * 4.0 * UNIT)


def down(value: Tensor) -> Tensor:
    """A number at most ``value`` minus the rounding of the operation that made it: ``value - 4u|value| - TINY``.

    Differentiable (unlike nextafter), so that training and slope search use the same code as the proof.
    """
    return value - (value.abs() * (4.0 * UNIT) + TINY)


def up(value: Tensor) -> Tensor:
    """A number at least ``value`` plus the rounding of the operation that made it: ``value + 4u|value| + TINY``."""
    return value + (value.abs() * (4.0 * UNIT) + TINY)


def float_below(value: Fraction) -> float:
    """The largest float64 that is at most ``value`` (exact directed rounding)."""
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, -math.inf)


def float_above(value: Fraction) -> float:
    """The smallest float64 that is at least ``value`` (exact directed rounding)."""
    return -float_below(-value)


def float_ends(value: Fraction) -> tuple[float, float]:
    """:func:`float_below` and :func:`float_above` of ``value``; OverflowError beyond float64."""
    nearest = float(value)
    exact = Fraction(nearest)
    if exact == value:
        return nearest, nearest
    return (
        (nearest, math.nextafter(nearest, math.inf)) if exact < value else (math.nextafter(nearest, -math.inf), nearest)
    )


def shift_below(value: Tensor, amount: Fraction) -> Tensor:
    """A float64 at most ``value - amount``, in exact arithmetic, and at most one step from the best one.

    When ``amount`` is a float64 and the subtraction is exact, the result is exact: a radius of 0 moves nothing.
    """
    offset = float_above(amount)
    total = value - offset
    # TwoSum (Knuth): value - offset == total + error exactly.
    part = total - value
    error = (value - (total - part)) + (-offset - part)
    return torch.where(error < 0, torch.nextafter(total, torch.full_like(total, -math.inf)), total)


def shift_above(value: Tensor, amount: Fraction) -> Tensor:
    """A float64 at least ``value + amount``; see :func:`shift_below`."""
    return -shift_below(-value, amount)


def shift_inside(value: Tensor, amount: Fraction) -> Tensor:
    """A float64 at least ``value - amount``: the inner side of :func:`shift_below`, for membership tests."""
    offset = float_below(amount)
    total = value - offset
    part = total - value
    error = (value - (total - part)) + (-offset - part)
    return torch.where(error > 0, torch.nextafter(total, torch.full_like(total, math.inf)), total)


def require_gradual_underflow() -> None:
    """Refuse to compute a rigorous bound while this thread flushes subnormal inputs to zero."""
    smallest = torch.tensor(5e-324, dtype=torch.float64)
    if not bool(smallest * 1.0 > 0):
        raise SoundnessError(
            "this process flushes subnormal numbers to zero, so rounding errors cannot be bounded: "
            "call torch.set_flush_denormal(False)"
        )


def parse_decimal(text: str | float | int | Fraction, name: str = "epsilon") -> Fraction:
    """The exact value of a decimal or a quotient: ``"0.1"``, ``"8/255"``, ``1e-3``; a float means its shortest decimal.

    A float ``0.1`` is read as the decimal 1/10, not as the binary fraction next to it, since that is what was typed.
    """
    if isinstance(text, Fraction):
        return text
    try:
        return Fraction(str(text).strip())
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{name} is {text!r}: give a finite number such as 0.1 or 8/255") from None
