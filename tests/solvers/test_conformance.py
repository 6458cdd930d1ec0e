"""Every back end gives the known answers, in the one dual convention. All of them are required: none is skipped."""

from __future__ import annotations

import numpy as np
import pytest
from support.programs import CASES, LINEAR, program

from solvers.base import SolveOptions
from solvers.errors import InvalidProblem, SolverBroken, SolverNotInstalled, UnknownSolver
from solvers.registry import SOLVERS, get_solver
from solvers.result import Status
from solvers.safe import proves_infeasible, safe_dual_bound

TOLERANCE = 1e-6  # the solvers' own: their claims are compared, nothing is proved with it

back_ends = pytest.mark.parametrize("name", sorted(SOLVERS))


@back_ends
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_answer_is_the_known_one(name, case):
    result = get_solver(name).solve(case.problem, SolveOptions())
    assert result.status is case.status
    if case.status is Status.INFEASIBLE:
        assert result.x is None and result.row_dual is None and result.primal_value == np.inf
        return
    assert result.dual_bound <= case.optimum + TOLERANCE
    assert result.primal_value >= case.optimum - TOLERANCE
    assert result.primal_value == pytest.approx(case.optimum, abs=TOLERANCE)
    assert result.dual_bound == pytest.approx(case.optimum, abs=1e-5)
    p = case.problem
    assert result.primal_value == pytest.approx(p.objective @ result.x + p.offset, abs=TOLERANCE)
    rows = p.matrix @ result.x
    assert (rows >= p.row_lower - TOLERANCE).all() and (rows <= p.row_upper + TOLERANCE).all()
    assert (result.x >= p.column_lower - TOLERANCE).all() and (result.x <= p.column_upper + TOLERANCE).all()
    assert np.abs(result.x[p.integer] - np.round(result.x[p.integer])).max(initial=0) <= TOLERANCE


@back_ends
@pytest.mark.parametrize("case", LINEAR.values(), ids=list(LINEAR))
def test_duals_follow_the_convention_and_prove_the_optimum(name, case):
    result = get_solver(name).solve(case.problem, SolveOptions())
    if case.status is Status.INFEASIBLE:
        return
    p, y = case.problem, result.row_dual
    if case.dual is not None:
        assert y == pytest.approx(np.array(case.dual), abs=TOLERANCE)
    rows = p.matrix @ result.x
    assert (np.abs(rows - p.row_lower)[y > TOLERANCE] <= TOLERANCE).all(), "a positive dual prices the lower side"
    assert (np.abs(rows - p.row_upper)[y < -TOLERANCE] <= TOLERANCE).all(), "a negative dual prices the upper side"
    assert case.optimum - 1e-5 <= safe_dual_bound(p, y) <= case.optimum


@back_ends
def test_a_session_takes_new_objectives_and_bounds(name):
    p = program([1, 2], [[1, 1]], [(3, np.inf)], [(0, 10), (0, 10)])
    with get_solver(name).session(p, SolveOptions()) as session:
        assert session.solve().primal_value == pytest.approx(3)
        assert session.solve(objective=np.array([5.0, 2.0]), offset=1.0).primal_value == pytest.approx(7)
        session.set_column_bounds(1, 0.0, 2.0)
        assert session.solve().primal_value == pytest.approx(10)
        again = session.solve(objective=np.array([1.0, 2.0]))
        assert again.primal_value == pytest.approx(3) and again.row_dual == pytest.approx([1.0], abs=TOLERANCE)


@back_ends
def test_a_time_limit_never_makes_an_incumbent_a_bound(name):
    """Fifty-five binaries with a cardinality row: not solved in a blink, so what is claimed must be modest."""
    g = np.random.default_rng(0)
    n = 55
    weight = g.integers(1000, 9999, size=(6, n)).astype(float)
    p = program(
        -weight.mean(0) - g.integers(0, 50, n),
        weight,
        [(-np.inf, float(w.sum() / 2)) for w in weight],
        [(0, 1)] * n,
        integer=[1] * n,
    )
    result = get_solver(name).solve(p, SolveOptions(time_limit=0.3))
    assert result.status in (Status.TIME_LIMIT, Status.OPTIMAL, Status.FAILED)
    relaxed = get_solver(name).solve(p.relaxed(), SolveOptions()).primal_value
    if result.status is not Status.OPTIMAL:
        assert result.dual_bound <= result.primal_value and result.row_dual is None
        assert result.dual_bound == -np.inf or result.dual_bound >= relaxed - 1.0
    assert result.stats.seconds < 5


def test_highs_shows_why_a_program_is_infeasible():
    p = CASES["an infeasible program"].problem
    result = get_solver("highs").solve(p, SolveOptions())
    assert result.farkas is not None and proves_infeasible(p, result.farkas)
    assert not proves_infeasible(p, -result.farkas) and not proves_infeasible(p, np.zeros(2))


@back_ends
def test_dropped_coefficients_withdraw_the_claim(name):
    """Solvers drop tiny entries without a word; a bound of the changed program is no bound of this one."""
    p = program([1, 1], [[1.0, 1e-13]], [(1, np.inf)], [(0, 10), (0, 10)])
    result = get_solver(name).solve(p, SolveOptions())
    if name != "pulp":
        assert result.dual_bound == -np.inf
    assert safe_dual_bound(p, result.row_dual) <= 1.0


BAD = {
    "objective[1] is nan": {"c": [1, np.nan]},
    "column_upper[0] is inf": {"columns": [(0, np.inf), (0, 1)]},
    "row_lower[0] is 3": {"rows": [(3, 2)]},
    "column_lower[1] is 2": {"columns": [(0, 1), (2, 1)]},
    "matrix.data[0] is nan": {"A": [[np.nan, 1]]},
    "row_upper[0] is -inf": {"rows": [(-np.inf, -np.inf)]},
    "row_lower[0] is nan": {"rows": [(np.nan, 1)]},
}


@pytest.mark.parametrize("message", list(BAD))
def test_a_malformed_program_names_its_fault(message):
    good = {"c": [1, 1], "A": [[1, 1]], "rows": [(0, 1)], "columns": [(0, 1), (0, 1)]}
    with pytest.raises(InvalidProblem, match=message.replace("[", r"\[").replace("]", r"\]")):
        program(**{**good, **BAD[message]})


def test_wrong_shapes_are_refused():
    with pytest.raises(InvalidProblem, match="column_lower has shape"):
        program([1, 1], [[1, 1]], [(0, 1)], [(0, 1)])


def test_unknown_and_missing_solvers_are_named(monkeypatch):
    with pytest.raises(UnknownSolver, match="unknown solver 'gurobi': choose from highs, scipy, pulp"):
        get_solver("gurobi")
    monkeypatch.setattr("solvers.base.find_spec", lambda name: None)
    with pytest.raises(SolverNotInstalled, match="pip install highspy"):
        get_solver("highs")


def test_bad_options_are_refused():
    with pytest.raises(InvalidProblem, match="time_limit is -1"):
        SolveOptions(time_limit=-1)
    with pytest.raises(InvalidProblem, match="relative_gap is 2"):
        SolveOptions(relative_gap=2)


def test_a_nan_objective_is_refused_by_a_session():
    p = program([1, 2], [[1, 1]], [(3, np.inf)], [(0, 10), (0, 10)])
    with pytest.raises((SolverBroken, InvalidProblem), match=r"NaN|nan"):
        get_solver("highs").session(p, SolveOptions()).solve(objective=np.array([np.nan, 1.0]))
