"""Formulas in conjunctive normal form as ReLU networks: the question whether one can be satisfied, as a clause."""

from __future__ import annotations

import itertools
import random

import torch

from verify.load.builder import Builder
from verify.network import Network
from verify.property import Clause
from verify.region import box

Formula = list[list[int]]
"""Clauses of literals: +v or -v for the variable v = 1, 2, ..."""


def random_formula(variables: int, clauses: int, seed: int, size: int = 3) -> Formula:
    """Each clause has ``size`` different variables, each negated or not."""
    r = random.Random(seed)
    return [[v * r.choice((1, -1)) for v in r.sample(range(1, variables + 1), size)] for _ in range(clauses)]


def satisfiable(formula: Formula, variables: int) -> bool:
    """By trying every assignment."""
    return any(
        all(any(bits[abs(v) - 1] == (v > 0) for v in clause) for clause in formula)
        for bits in itertools.product((False, True), repeat=variables)
    )


def formula_network(formula: Formula, variables: int) -> tuple[Network, Clause]:
    """A network over [0, 1]^n and a clause that x satisfies iff x is 0 or 1 everywhere and satisfies the formula.

    ``Y_0 = 1 - sum of relu(1 - the literals of a clause)`` must be at least 1, and ``Y_1 = sum of relu(x) - relu(2x - 1)``,
    which is ``min(x, 1 - x)``, at most 0.
    """
    n, count = variables, len(formula)
    W, b = torch.zeros(count, n).double(), torch.ones(count).double()
    for k, clause in enumerate(formula):
        for v in clause:
            W[k, abs(v) - 1] = -1.0 if v > 0 else 1.0
            b[k] -= float(v < 0)
    eye, zero, one = torch.eye(n).double(), torch.zeros(n).double(), torch.ones(n).double()
    builder = Builder()
    h = builder.relu(builder.affine(builder.input((1, n)), torch.cat([W, eye, 2 * eye]), torch.cat([b, zero, -one])))
    V = torch.zeros(2, count + 2 * n).double()
    V[0, :count], V[1, count : count + n], V[1, count + n :] = -1.0, 1.0, -1.0
    network = builder.finish(builder.affine(h, V, torch.tensor([1.0, 0.0]).double()))
    d = torch.tensor([1.0, 0.0]).double()
    region = box(zero.unsqueeze(0), one.unsqueeze(0))
    return network, Clause(region, torch.tensor([[-1.0, 0.0], [0.0, 1.0]]).double(), d, d, torch.tensor([False, False]))
