"""VNN-LIB texts for tests, and the network they are about."""

from __future__ import annotations

from fractions import Fraction

import torch

from verify.load.builder import Builder
from verify.network import Network
from verify.property import Clause


def network(inputs: int = 2, outputs: int = 2) -> Network:
    """A linear network of the wanted sizes: output j is the sum of all inputs plus j."""
    b = Builder()
    x = b.input((1, inputs))
    weight = torch.ones(outputs, inputs, dtype=torch.float64)
    return b.finish(b.affine(x, weight, torch.arange(outputs, dtype=torch.float64)))


def declared(*assertions: str, inputs: int = 2, outputs: int = 2) -> str:
    """A VNN-LIB 1.0 text with the declarations of X and Y."""
    names = [*(f"X_{i}" for i in range(inputs)), *(f"Y_{j}" for j in range(outputs))]
    return "\n".join([*(f"(declare-const {n} Real)" for n in names), *(f"(assert {a})" for a in assertions)]) + "\n"


def unit(*assertions: str, inputs: int = 2, outputs: int = 2) -> str:
    """The same, every input between 0 and 1."""
    bounds = [f"({r} X_{i} {v})" for i in range(inputs) for r, v in ((">=", "0"), ("<=", "1"))]
    return declared(*bounds, *assertions, inputs=inputs, outputs=outputs)


def satisfied(clause: Clause, x: list[Fraction], y: list[Fraction], *, inner: bool) -> bool:
    """Whether exact numbers satisfy a clause: its inner ends (what a witness must satisfy) or its outer ones (a proof)."""
    region = clause.region
    lower, upper = (region.inner_lower, region.inner_upper) if inner else (region.lower, region.upper)
    ends = zip(lower.flatten().tolist(), x, upper.flatten().tolist(), strict=True)
    if not all(Fraction(a) <= v <= Fraction(b) for a, v, b in ends):
        return False
    constants = (clause.inner_d if inner else clause.d).tolist()
    for row, d, strict in zip(clause.C.tolist(), constants, clause.strict.tolist(), strict=True):
        value = sum((Fraction(c) * v for c, v in zip(row, y, strict=True)), Fraction(d))
        if value > 0 or (inner and strict and value == 0):
            return False
    return True
