"""Decimals of a VNN-LIB file as exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction

_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)
LARGEST_EXPONENT, MOST_DIGITS = 400, 4000  # float64 ends at 1e308; "1e999999999" would fill the memory with digits


def exact_decimal(text: str) -> Fraction | None:
    """The exact value of a decimal such as ``-0.5``, ``.5``, ``3.`` or ``1e-5``; None when it is no such thing.

    Raises OverflowError for a number that no float64 computation can be about.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    if len(text) > MOST_DIGITS or (
        match[1] is not None and (len(match[1]) > 6 or abs(int(match[1])) > LARGEST_EXPONENT)
    ):
        raise OverflowError(text)
    return Fraction(text)
