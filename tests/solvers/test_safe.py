"""The rigorous bound never exceeds the exact rational value, whatever the numbers and whatever the duals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from support.lying import LIES, LyingSolver
from support.programs import INFEASIBLE_LINEAR, INTEGER, LINEAR, program

from solvers import (
    InvalidProblem,
    LinearProgram,
    SolveOptions,
    SolverFailure,
    get_solver,
    proves_infeasible,
    safe_dual_bound,
)

TINY, HUGE = 5e-324, 1e150
ORDINARY = st.floats(-10, 10)
CANCELLING = st.sampled_from([1.0, 1.0 + 2**-52, -1.0, 1e16, -1e16, 1.0 / 3.0, 0.1, -0.1])
NASTY = st.one_of(
    ORDINARY,
    CANCELLING,
    st.floats(-HUGE, HUGE),
    st.sampled_from([0.0, -0.0, TINY, -TINY, 1e-308, -3e-308, 1e-160, -1e-160, 2.0**-1022, HUGE, -HUGE]),
)


@st.composite
def programs(draw: st.DrawFn, number: st.SearchStrategy[float]) -> tuple[LinearProgram, list[Fraction]]:
    """A program and an exactly feasible rational point: row sides are rounded outwards around its rows."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(0, 4))

    def vector(k: int) -> np.ndarray:
        return np.array(draw(st.lists(number, min_size=k, max_size=k)), dtype=float).reshape(k)

    ends = np.stack([vector(n), vector(n)])
    lower, upper = ends.min(axis=0), ends.max(axis=0)
    weights = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    point = [
        Fraction(lo) + (Fraction(hi) - Fraction(lo)) * w / 4 for lo, hi, w in zip(lower, upper, weights, strict=True)
    ]
    dense = vector(m * n).reshape(m, n)
    rows = [sum((Fraction(a) * x for a, x in zip(row, point, strict=True)), Fraction(0)) for row in dense]
    kinds = draw(st.lists(st.sampled_from(["lower", "upper", "both", "free"]), min_size=m, max_size=m))
    row_lower = [_below(v) if k in ("lower", "both") else -np.inf for v, k in zip(rows, kinds, strict=True)]
    row_upper = [-_below(-v) if k in ("upper", "both") else np.inf for v, k in zip(rows, kinds, strict=True)]
    offset = draw(number)
    made = LinearProgram(
        vector(n),
        csr_array(dense),
        np.array(row_lower),
        np.array(row_upper),
        lower,
        upper,
        np.zeros(n, bool),
        offset,
    )
    return made, point


def _below(value: Fraction) -> float:
    """A float at or below ``value``; -inf when there is none."""
    try:
        near = float(value)
    except OverflowError:
        near = math.copysign(math.inf, value)
    if near == math.inf:
        return math.nextafter(math.inf, 0)
    return math.nextafter(near, -math.inf) if math.isinf(near) or Fraction(near) > value else near


def exact_value(problem: LinearProgram, point: list[Fraction]) -> Fraction:
    terms = zip(problem.objective, point, strict=True)
    return sum((Fraction(c) * x for c, x in terms), Fraction(problem.offset))


def exact_bound(problem: LinearProgram, y: np.ndarray) -> Fraction:
    """The theorem's right-hand side in rationals, for the legal part of y."""
    dense, total = problem.matrix.toarray(), Fraction(problem.offset)
    prices = []
    for value, lower, upper in zip(y, problem.row_lower, problem.row_upper, strict=True):
        side = lower if value > 0 else upper
        price = Fraction(value) if np.isfinite(value) and np.isfinite(side) else Fraction(0)
        prices.append(price)
        total += price * Fraction(side) if price else 0
    for j in range(problem.num_columns):
        r = Fraction(problem.objective[j]) - sum(
            (p * Fraction(a) for p, a in zip(prices, dense[:, j], strict=True)), Fraction(0)
        )
        total += min(r * Fraction(problem.column_lower[j]), r * Fraction(problem.column_upper[j]))
    return total


def at_most(bound: float, value: Fraction) -> bool:
    return bound == -math.inf or (math.isfinite(bound) and Fraction(bound) <= value)


def duals(m: int, number: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    return st.lists(st.one_of(number, st.sampled_from([math.nan, math.inf, -math.inf])), min_size=m, max_size=m)


@pytest.mark.parametrize("number", [ORDINARY, CANCELLING, NASTY], ids=["ordinary", "cancelling", "nasty"])
def test_the_bound_is_below_the_exact_bound_and_every_feasible_value(
    number: st.SearchStrategy[float],
) -> None:
    @settings(max_examples=250, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        problem, point = data.draw(programs(number))
        y = np.array(data.draw(duals(problem.num_rows, number)), dtype=float)
        bound = safe_dual_bound(problem, y)
        assert at_most(bound, exact_bound(problem, y))
        assert at_most(bound, exact_value(problem, point))

    check()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_bound_is_tight_to_rounding(data: st.DataObject) -> None:
    problem, _ = data.draw(programs(ORDINARY))
    y = np.array(data.draw(st.lists(ORDINARY, min_size=problem.num_rows, max_size=problem.num_rows)), dtype=float)
    # Four columns and rows of numbers up to 10, sides up to 400: terms stay below 1e6, rounding below 1e-7.
    assert float(exact_bound(problem, y)) - safe_dual_bound(problem, y) <= 1e-7


@pytest.mark.parametrize("number", [ORDINARY, CANCELLING, NASTY], ids=["ordinary", "cancelling", "nasty"])
def test_no_vector_proves_a_feasible_program_infeasible(number: st.SearchStrategy[float]) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        problem, _ = data.draw(programs(number))
        assert not proves_infeasible(problem, np.array(data.draw(duals(problem.num_rows, number)), dtype=float))

    check()


def test_a_ray_that_is_exact_only_in_floating_point_proves_nothing() -> None:
    # 0.1 x + 0.2 x - 0.3 x is not zero in float64: the rows allow x = 0 exactly, so nothing may be proved.
    problem = program([0], [[0.1], [0.2], [0.3]], [0, 0, -np.inf], [np.inf, np.inf, 0], [-1], [1])
    assert not proves_infeasible(problem, [1.0, 1.0, -1.0])


@pytest.mark.parametrize("known", INFEASIBLE_LINEAR[:2], ids=lambda known: known.name)
def test_useless_vectors_prove_nothing(known: object) -> None:
    for ray in (np.zeros, lambda m: np.full(m, np.nan), lambda m: np.full(m, np.inf)):
        assert not proves_infeasible(known.problem, ray(known.problem.num_rows))


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("known", LINEAR, ids=lambda known: known.name)
def test_the_bound_survives_every_lie(known: object, lie: str) -> None:
    liar = LyingSolver(get_solver("highs"), LIES[lie])
    with liar.session(known.problem, SolveOptions()) as session:
        result = session.solve()
    if result.row_dual is not None:
        assert at_most(safe_dual_bound(known.problem, result.row_dual), Fraction(known.optimum))
    if result.farkas is not None:
        assert not proves_infeasible(known.problem, result.farkas)


@pytest.mark.parametrize("known", INTEGER, ids=lambda known: known.name)
def test_the_relaxations_duals_bound_the_integer_program(known: object) -> None:
    relaxed = get_solver("highs").solve(known.problem.relaxed(), SolveOptions())
    assert at_most(safe_dual_bound(known.problem, relaxed.row_dual), Fraction(known.optimum))


def test_overflow_gives_no_bound() -> None:
    problem = program([1e308, 1e308], [[1e308, 1e308]], [1], [np.inf], [-1e308, 0], [1e308, 1])
    assert safe_dual_bound(problem, [1e308]) == -math.inf


@pytest.mark.parametrize("row_dual", [[], [1.0, 2.0], [[1.0]]])
def test_a_dual_of_another_length_is_refused(row_dual: list[float]) -> None:
    with pytest.raises(InvalidProblem, match="row_dual has shape"):
        safe_dual_bound(LINEAR[0].problem, row_dual)


def test_flush_to_zero_is_refused() -> None:
    torch.set_flush_denormal(True)
    try:
        with pytest.raises(SolverFailure, match="subnormal"):
            safe_dual_bound(LINEAR[0].problem, [1.0])
    finally:
        torch.set_flush_denormal(False)
    assert safe_dual_bound(LINEAR[0].problem, [1.0]) <= 1.0
