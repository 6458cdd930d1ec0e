"""The input box of a case: exact ends from the file, rounded outwards for proofs and inwards for witnesses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from verify.errors import LoadError, UnsupportedProperty
from verify.floating import float_ends
from verify.load.vnnlib_formula import Atom, Document
from verify.region import Box

Place: TypeAlias = int  # an atom's ``at``


@dataclass(frozen=True, slots=True)
class End:
    """One end of an input's interval, exact. ``strict``: the end itself is outside."""

    value: Fraction
    strict: bool
    at: Place


@dataclass(frozen=True, slots=True)
class Ends:
    """What is known of an input: either end may be missing."""

    lower: End | None = None
    upper: End | None = None

    def empty(self) -> bool:
        """Whether no real number lies between the ends, in exact arithmetic."""
        if self.lower is None or self.upper is None:
            return False
        if self.lower.value == self.upper.value:
            return self.lower.strict or self.upper.strict
        return self.lower.value > self.upper.value

    def also(self, atom: Atom) -> Ends:
        """These ends and the bound of one input that ``atom`` is: ``c x + constant <= 0``."""
        ((_, c),) = atom.inputs
        value = -atom.constant / c if c.denominator != 1 or abs(c.numerator) != 1 else -c.numerator * atom.constant
        end = End(value, atom.strict, atom.at)
        if c > 0:
            tighter = self.upper is None or (end.value, not end.strict) < (self.upper.value, not self.upper.strict)
            return Ends(self.lower, end) if tighter else self
        tighter = self.lower is None or (end.value, end.strict) > (self.lower.value, self.lower.strict)
        return Ends(end, self.upper) if tighter else self


def tightened(ends: Mapping[int, Ends], atoms: Iterable[Atom], document: Document) -> dict[int, Ends]:
    """The ends of the inputs that ``atoms`` bound further, by input. Raises UnsupportedProperty for atoms of several inputs."""
    changed: dict[int, Ends] = {}
    for atom in atoms:
        if len(atom.inputs) > 1 or atom.outputs:
            line, text = document.place(atom.at)
            mixed = "inputs and outputs in one comparison" if atom.outputs else "several inputs in one comparison"
            raise UnsupportedProperty(
                document.source,
                line,
                text,
                f"has {mixed}",
                "comparisons of one input with a number, and of outputs with each other and with numbers, are supported",
            )
        index = atom.inputs[0][0]
        before = changed.get(index) or ends.get(index, Ends())
        after = before.also(atom)
        if after is not before:
            changed[index] = after
    return changed


Rounded: TypeAlias = tuple[float, float, float, float]  # lower, upper, inner_lower, inner_upper


def rounded(index: int, ends: Ends, document: Document) -> Rounded:
    """The float64 ends of input ``index``: ``lower`` and ``upper`` outwards, ``inner_*`` inwards.

    A strict end is kept for proofs, which is sound since it only adds a point, and left out for witnesses. An input that
    is fixed at a decimal (or held between two) with no float64 there is, for a witness, the float64 next to the decimal:
    what a program is given when it reads the file. Raises UnsupportedProperty when an end is missing, and LoadError when an end is
    beyond float64 or when strict ends leave no float64 between them.
    """
    low, high = ends.lower, ends.upper
    if low is None or high is None:
        known = low or high
        line, text = document.place(known.at) if known else (1, "the file")
        missing = "a bound" if known is None else ("a lower bound" if low is None else "an upper bound")
        why = f"leaves input X_{index} without {missing}"
        remedy = "every input needs a lower and an upper bound in every case"
        raise UnsupportedProperty(document.source, line, text, why, remedy)
    try:
        lower, inner_lower = float_ends(low.value)
        inner_upper, upper = float_ends(high.value)
    except OverflowError:
        lower = -math.inf
        upper = inner_lower = inner_upper = math.inf
    if math.isinf(lower) or math.isinf(upper) or math.isinf(inner_lower) or math.isinf(inner_upper):
        line, text = document.place(low.at if abs(low.value) > abs(high.value) else high.at)
        raise LoadError(f"{document.source}, line {line}: {text} is beyond float64: give bounds below 1.7e308")
    if inner_lower > inner_upper:  # no float64 between the ends
        inner_lower = inner_upper = float((low.value + high.value) / 2)
    if low.strict and inner_lower == low.value:
        inner_lower = math.nextafter(inner_lower, math.inf)
    if high.strict and inner_upper == high.value:
        inner_upper = math.nextafter(inner_upper, -math.inf)
    if inner_lower > inner_upper:
        line, text = document.place(low.at)
        raise LoadError(
            f"{document.source}, line {line}: {text} and the upper bound of X_{index} leave no float64 number strictly between "
            "them: no point of this region can be evaluated"
        )
    return lower, upper, inner_lower, inner_upper


def region(base: npt.NDArray[np.float64], changed: Mapping[int, Rounded], shape: tuple[int, ...]) -> Box:
    """The box (1, *shape) with ends ``base`` (4, inputs) but for the inputs in ``changed``."""
    ends = base.copy()
    for index, values in changed.items():
        ends[:, index] = values
    lower, upper, inner_lower, inner_upper = torch.from_numpy(ends).reshape(4, 1, *shape)
    return Box(lower, upper, inner_lower, inner_upper)
