"""The output constraints of a case as rows ``C y + d <= 0``: exact coefficients, the constant rounded both ways."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from verify.errors import UnsupportedProperty
from verify.floating import float_ends
from verify.load.vnnlib_formula import Atom, Document, Terms


@dataclass(frozen=True, slots=True)
class Row:
    """One row: (output, coefficient) pairs, and the constant rounded down and up."""

    coefficients: tuple[tuple[int, float], ...]
    d: float
    inner_d: float
    strict: bool


def row(atom: Atom, document: Document) -> Row:
    """The row of an atom about outputs only.

    Its coefficients are exact: where a decimal is no float64, the row is multiplied by the positive number that makes
    all of them integers, which changes no solution. Raises UnsupportedProperty where that leaves float64 too.
    """
    coefficients, constant = _exact(atom.outputs), atom.constant
    if coefficients is None:
        scale = _integer_scale(atom.outputs)
        coefficients, constant = _exact([(j, c * scale) for j, c in atom.outputs]), constant * scale
    if coefficients is None or not _finite(constant):
        line, text = document.place(atom.at)
        raise UnsupportedProperty(
            document.source,
            line,
            text,
            "has coefficients that no float64 row holds exactly, whatever it is multiplied by",
            "give coefficients of fewer digits",
        )
    return Row(coefficients, *float_ends(constant), atom.strict)


def matrices(rows: Sequence[Row], outputs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``C`` (J, outputs), ``d`` (J,), ``inner_d`` (J,) and ``strict`` (J,) of rows."""
    matrix = np.zeros((len(rows), outputs))
    for j, one in enumerate(rows):
        for index, c in one.coefficients:
            matrix[j, index] = c
    d, inner_d = (torch.tensor([getattr(r, name) for r in rows], dtype=torch.float64) for name in ("d", "inner_d"))
    return torch.from_numpy(matrix), d, inner_d, torch.tensor([r.strict for r in rows], dtype=torch.bool)


def _exact(terms: Iterable[tuple[int, Fraction]]) -> tuple[tuple[int, float], ...] | None:
    """The coefficients in float64, or None when one of them is no float64."""
    found = []
    for index, c in terms:
        small = c.denominator == 1 and abs(c.numerator) < 2**53  # as nearly all are: 1 and -1
        if not small and (not _finite(c) or Fraction(float(c)) != c):
            return None
        found.append((index, float(c)))
    return tuple(found)


def _integer_scale(terms: Terms) -> Fraction:
    """The positive number that makes the coefficients integers without a common divisor."""
    denominator = math.lcm(*(c.denominator for _, c in terms))
    divisor = math.gcd(*(int(c * denominator) for _, c in terms))
    return Fraction(denominator, divisor)


def _finite(value: Fraction) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
