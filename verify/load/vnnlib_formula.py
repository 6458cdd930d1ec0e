"""What a VNN-LIB file says, in either version of the language: comparisons of linear terms under ``and`` and ``or``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

_ZERO = Fraction(0)

Terms: TypeAlias = tuple[tuple[int, Fraction], ...]  # (index, coefficient) pairs; no coefficient is zero


@dataclass(frozen=True, slots=True)
class Atom:
    """``sum c x_i + sum c y_j + constant <= 0``, or ``< 0`` where ``strict``, in exact numbers.

    ``at`` is its place in the file, for :meth:`Document.place`.
    """

    inputs: Terms
    outputs: Terms
    constant: Fraction
    strict: bool
    at: int


@dataclass(frozen=True, slots=True)
class And:
    """All of ``parts``."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of ``parts``."""

    parts: tuple[Formula, ...]


Formula: TypeAlias = Atom | And | Or


@dataclass(frozen=True)
class Document:
    """A file: how many inputs and outputs it declares, and the assertions, all of which a counterexample satisfies.

    ``place`` turns an atom's ``at`` into (line number, text).
    """

    source: str
    inputs: int
    outputs: int
    assertions: tuple[Formula, ...]
    place: Callable[[int], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear term: coefficients of variables, each a pair ("X" or "Y", index), and a constant."""

    terms: Mapping[tuple[str, int], Fraction] = field(default_factory=dict)
    constant: Fraction = Fraction(0)

    def times(self, factor: Fraction) -> Linear:
        """``factor * self``."""
        return Linear({name: factor * c for name, c in self.terms.items()}, factor * self.constant)


def weighted_sum(parts: Iterable[tuple[Fraction, Linear]]) -> Linear:
    """The sum of ``weight * term`` over pairs."""
    terms: dict[tuple[str, int], Fraction] = {}
    constant = Fraction(0)
    for weight, term in parts:
        for name, c in term.terms.items():
            terms[name] = terms.get(name, _ZERO) + weight * c
        constant += weight * term.constant
    return Linear(terms, constant)


def compare(relation: str, left: Linear, right: Linear, at: int) -> Formula:
    """The formula of ``left relation right``; relations are the keys of RELATIONS."""
    return RELATIONS[relation](left, right, at)


def _below(left: Linear, right: Linear, at: int, *, strict: bool) -> Atom:
    """``left - right <= 0`` (``< 0``)."""
    if len(left.terms) + len(right.terms) == 1 and not (left.constant and right.constant):
        # A bound of one variable, as most atoms of most files are: no need to add fractions.
        constant = left.constant if left.constant else -right.constant
        pairs = [*left.terms.items(), *((name, -c) for name, c in right.terms.items())]
    else:
        difference = weighted_sum([(Fraction(1), left), (Fraction(-1), right)])
        constant, pairs = difference.constant, sorted(difference.terms.items())
    inputs = tuple((index, c) for (kind, index), c in pairs if kind == "X" and c)
    outputs = tuple((index, c) for (kind, index), c in pairs if kind == "Y" and c)
    return Atom(inputs, outputs, constant, strict, at)


def _at_most(left: Linear, right: Linear, at: int) -> Formula:
    return _below(left, right, at, strict=False)


def _less(left: Linear, right: Linear, at: int) -> Formula:
    return _below(left, right, at, strict=True)


RELATIONS: Mapping[str, Callable[[Linear, Linear, int], Formula]] = {
    "<=": _at_most,
    ">=": lambda left, right, at: _at_most(right, left, at),
    "<": _less,
    ">": lambda left, right, at: _less(right, left, at),
    "=": lambda left, right, at: And((_at_most(left, right, at), _at_most(right, left, at))),
    "==": lambda left, right, at: And((_at_most(left, right, at), _at_most(right, left, at))),
    "!=": lambda left, right, at: Or((_less(left, right, at), _less(right, left, at))),
}
