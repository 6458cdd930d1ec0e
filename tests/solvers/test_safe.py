"""A bound from any multipliers is a theorem: compared with exact rational arithmetic on nasty programs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lying import LIES, LyingSolver
from support.programs import CASES, LINEAR, program

from solvers.base import SolveOptions
from solvers.registry import get_solver
from solvers.result import Status
from solvers.safe import legal, proves_infeasible, safe_dual_bound

entry = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e17, -1e17, 1 + 2**-52, 1e-30, 5e-324, -(2.0**-1022), 0.1]),
    st.floats(-10, 10, allow_subnormal=True),
)
multiplier = st.one_of(entry, st.sampled_from([math.nan, math.inf, -math.inf]))


@st.composite
def programs(draw):
    m, n = draw(st.integers(0, 4)), draw(st.integers(1, 4))
    numbers = lambda k: draw(st.lists(entry, min_size=k, max_size=k))  # noqa: E731
    ends = lambda k: [tuple(sorted(draw(st.tuples(entry, entry)))) for _ in range(k)]  # noqa: E731
    rows = [(draw(st.sampled_from([lo, -math.inf])), draw(st.sampled_from([hi, math.inf]))) for lo, hi in ends(m)]
    p = program(numbers(n), np.array(numbers(m * n)).reshape(m, n), rows, ends(n), offset=draw(entry))
    return p, np.array(draw(st.lists(multiplier, min_size=m, max_size=m)))


def exact_bound(p, y):
    """The formula of the module in rational arithmetic, with the multipliers that are legal."""
    y = [Fraction(v) for v in legal(p, y)]
    A = p.matrix.toarray()
    r = [
        Fraction(c) - sum((Fraction(A[i, j]) * y[i] for i in range(len(y))), Fraction(0))
        for j, c in enumerate(p.objective)
    ]
    rows = sum(
        (v * Fraction(lo if v > 0 else hi) for v, lo, hi in zip(y, p.row_lower, p.row_upper, strict=True) if v),
        Fraction(0),
    )
    ends = zip(r, p.column_lower, p.column_upper, strict=True)
    return rows + sum((min(v * Fraction(lo), v * Fraction(hi)) for v, lo, hi in ends), Fraction(0)) + Fraction(p.offset)


@settings(max_examples=500, deadline=None)
@given(case=programs())
def test_the_float_bound_is_never_above_the_exact_one(case):
    p, y = case
    bound = safe_dual_bound(p, y)
    assert bound == -math.inf or Fraction(bound) <= exact_bound(p, y)


@pytest.mark.parametrize("case", LINEAR.values(), ids=list(LINEAR))
@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_no_lie_makes_a_bound_above_the_optimum(case, lie):
    result = LyingSolver(lie).solve(case.problem, SolveOptions())
    if case.status is Status.OPTIMAL and result.row_dual is not None:
        assert safe_dual_bound(case.problem, result.row_dual) <= case.optimum


def test_multipliers_of_the_wrong_length_prove_nothing_more_than_zeros():
    p = CASES["a row priced from below"].problem
    assert safe_dual_bound(p, np.ones(5)) == safe_dual_bound(p, np.zeros(1))


@pytest.mark.parametrize("case", [c for c in LINEAR.values() if c.status is Status.OPTIMAL])
def test_nothing_proves_a_feasible_program_infeasible(case):
    g = np.random.default_rng(0)
    for scale in (1e-9, 1.0, 1e9):
        assert not proves_infeasible(case.problem, scale * g.normal(size=len(case.problem.row_lower)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_back_ends_agree_on_random_programs(seed):
    g = np.random.default_rng(seed)
    m, n = int(g.integers(1, 8)), int(g.integers(1, 8))
    A = np.round(g.normal(size=(m, n)), 2) * (g.random((m, n)) < 0.7)
    inner = g.random(n)
    rows = [(v - g.random(), v + g.random()) for v in A @ inner]
    p = program(g.normal(size=n), A, rows, [(-1.0, 2.0)] * n, integer=g.random(n) < 0.4)
    values = {name: get_solver(name).solve(p, SolveOptions()) for name in ("highs", "scipy")}
    if any(r.status is Status.INFEASIBLE for r in values.values()):  # integrality may exclude everything
        assert all(r.status is Status.INFEASIBLE for r in values.values())
        return
    assert (
        len({round(r.primal_value, 5) for r in values.values()}) == 1
        or np.ptp([r.primal_value for r in values.values()]) < 1e-5
    )
