"""Every back end answers the table of known programs, with one convention for duals and bounds."""

from __future__ import annotations

import numpy as np
import pytest
from support.programs import INFEASIBLE_INTEGER, INFEASIBLE_LINEAR, INTEGER, LINEAR, Known, market_split

from solvers import (
    SolveOptions,
    SolveResult,
    Status,
    UnknownOption,
    get_solver,
    known_solvers,
    proves_infeasible,
    safe_dual_bound,
)

CLAIM = 2e-5
"""How far a solver's claim may be off: tolerances of 1e-6, CBC's eight digits and its increment of 1e-5."""

TIGHT = 1e-9
"""How far the rigorous bound of good duals may lie below the optimum: rounding, on numbers around one."""

BACK_ENDS = known_solvers()
OPTIONS = SolveOptions()
each_back_end = pytest.mark.parametrize("name", BACK_ENDS)


def cases(*tables: tuple[Known, ...]) -> pytest.MarkDecorator:
    known = [case for table in tables for case in table]
    return pytest.mark.parametrize("known", known, ids=[case.name for case in known])


def check_optimal(known: Known, result: SolveResult) -> None:
    assert result.status is Status.OPTIMAL, result
    assert result.dual_bound <= known.optimum + CLAIM
    assert result.primal_value >= known.optimum - CLAIM
    assert result.dual_bound == pytest.approx(known.optimum, abs=CLAIM)
    assert result.primal_value == pytest.approx(known.optimum, abs=CLAIM)
    problem, x = known.problem, result.x
    rows = problem.matrix @ x
    assert (rows >= problem.row_lower - CLAIM).all() and (rows <= problem.row_upper + CLAIM).all()
    assert (x >= problem.column_lower - CLAIM).all() and (x <= problem.column_upper + CLAIM).all()
    assert np.abs(x - np.round(x))[problem.integer].max(initial=0.0) <= CLAIM
    assert float(problem.objective @ x) + problem.offset == pytest.approx(result.primal_value, abs=CLAIM)
    assert result.farkas is None and result.notes == ()


@each_back_end
@cases(LINEAR)
def test_linear_programs_are_solved_with_tight_duals(name: str, known: Known) -> None:
    result = get_solver(name).solve(known.problem, OPTIONS)
    check_optimal(known, result)
    bound = safe_dual_bound(known.problem, result.row_dual)
    assert known.optimum - TIGHT <= bound <= known.optimum


@each_back_end
@cases(LINEAR)
def test_duals_follow_the_sign_convention(name: str, known: Known) -> None:
    dual = get_solver(name).solve(known.problem, OPTIONS).row_dual
    if known.dual is not None:
        assert dual == pytest.approx(np.array(known.dual, dtype=float), abs=1e-7)
    assert not (dual[np.isinf(known.problem.row_lower)] > 1e-7).any()
    assert not (dual[np.isinf(known.problem.row_upper)] < -1e-7).any()


@pytest.mark.parametrize("method", ["auto", "simplex", "interior"])
@pytest.mark.parametrize("name", ["highs", "scipy"])
@cases(LINEAR)
def test_every_lp_method_gives_duals_that_bound(name: str, method: str, known: Known) -> None:
    result = get_solver(name).solve(known.problem, SolveOptions(lp_method=method))
    assert result.status is Status.OPTIMAL
    # Without crossover the duals are as good as the tolerance; the bound is rigorous all the same.
    assert known.optimum - 1e-5 <= safe_dual_bound(known.problem, result.row_dual) <= known.optimum


@each_back_end
@cases(INTEGER)
def test_integer_programs_are_solved(name: str, known: Known) -> None:
    result = get_solver(name).solve(known.problem, OPTIONS)
    check_optimal(known, result)
    assert result.row_dual is None


@each_back_end
@cases(INFEASIBLE_LINEAR, INFEASIBLE_INTEGER)
def test_infeasible_programs_are_reported(name: str, known: Known) -> None:
    result = get_solver(name).solve(known.problem, OPTIONS)
    assert result.status is Status.INFEASIBLE
    assert result.dual_bound == np.inf and result.primal_value == np.inf and result.x is None
    assert result.row_dual is None or known.problem.num_rows == result.row_dual.size


@each_back_end
@cases(INFEASIBLE_LINEAR)
def test_farkas_vectors_prove_infeasibility(name: str, known: Known) -> None:
    solver = get_solver(name)
    result = solver.solve(known.problem, OPTIONS)
    assert (result.farkas is not None) == solver.returns_farkas
    if result.farkas is not None:
        assert proves_infeasible(known.problem, result.farkas)


@each_back_end
@cases(LINEAR, INTEGER)
def test_no_time_gives_no_false_claim(name: str, known: Known) -> None:
    result = get_solver(name).solve(known.problem, SolveOptions(time_limit=0.0))
    assert result.status in (Status.OPTIMAL, Status.TIME_LIMIT)
    assert result.dual_bound <= known.optimum + CLAIM
    assert result.primal_value >= known.optimum - CLAIM
    if result.row_dual is not None:
        assert safe_dual_bound(known.problem, result.row_dual) <= known.optimum


@each_back_end
def test_a_time_limit_is_kept_and_never_called_optimal(name: str) -> None:
    problem = market_split()
    result = get_solver(name).solve(problem, SolveOptions(time_limit=0.5))
    assert result.status is Status.TIME_LIMIT
    assert result.stats.seconds < 5.0
    assert result.dual_bound <= result.primal_value + CLAIM


@each_back_end
def test_a_session_swaps_objectives(name: str) -> None:
    problem = LINEAR[1].problem  # x + y >= 4, x <= 3, y <= 9
    with get_solver(name).session(problem, OPTIONS) as session:
        assert session.solve().dual_bound == pytest.approx(9, abs=CLAIM)
        swapped = session.solve(objective=[3.0, 1.0], offset=0.5)
        assert swapped.dual_bound == pytest.approx(4.5, abs=CLAIM)
        assert swapped.row_dual == pytest.approx([1.0], abs=1e-7)
        bound = safe_dual_bound(problem.with_objective([3.0, 1.0], 0.5), swapped.row_dual)
        assert 4.5 - TIGHT <= bound <= 4.5
        assert session.solve().primal_value == pytest.approx(9, abs=CLAIM)


@each_back_end
def test_a_session_changes_column_bounds(name: str) -> None:
    problem = LINEAR[1].problem
    with get_solver(name).session(problem, OPTIONS) as session:
        session.set_column_bounds(0, 0.0, 1.0)
        assert session.solve().dual_bound == pytest.approx(11, abs=CLAIM)
        session.set_column_bounds([0, 1], [0.0, 0.0], [1.0, 2.0])
        infeasible = session.solve()
        assert infeasible.status is Status.INFEASIBLE
        if infeasible.farkas is not None:
            assert proves_infeasible(
                problem.with_column_bounds(1, 0.0, 2.0).with_column_bounds(0, 0, 1), infeasible.farkas
            )
        session.set_column_bounds([1, 0], [0.0, 0.0], [9.0, 3.0])
        again = session.solve(time_limit=10.0)
        assert again.status is Status.OPTIMAL and again.dual_bound == pytest.approx(9, abs=CLAIM)


@each_back_end
def test_an_integer_session_swaps_objectives(name: str) -> None:
    problem = INTEGER[0].problem
    with get_solver(name).session(problem, OPTIONS) as session:
        assert session.solve().primal_value == pytest.approx(-20, abs=CLAIM)
        assert session.solve(objective=[-10.0, -1.0, -7.0]).primal_value == pytest.approx(-17, abs=CLAIM)
        session.set_column_bounds(0, 0.0, 0.0)
        assert session.solve(objective=[-10.0, -1.0, -7.0]).primal_value == pytest.approx(-8, abs=CLAIM)


@each_back_end
def test_a_stop_at_a_target_is_honoured_or_refused(name: str) -> None:
    solver, known = get_solver(name), INTEGER[0]
    options = SolveOptions(stop_below=-5.0)
    if not solver.supports_stop_below:
        with pytest.raises(UnknownOption, match="stop_below"):
            solver.solve(known.problem, options)
        return
    result = solver.solve(known.problem, options)
    assert result.status in (Status.TARGET_REACHED, Status.OPTIMAL)
    assert result.primal_value < -5.0 and result.x is not None
    assert result.dual_bound <= known.optimum + CLAIM


@each_back_end
@pytest.mark.parametrize(("cutoff", "status"), [(-25.0, Status.CUTOFF), (-15.0, Status.OPTIMAL)])
def test_a_cutoff_is_honoured_or_refused(name: str, cutoff: float, status: Status) -> None:
    solver, known = get_solver(name), INTEGER[0]
    options = SolveOptions(cutoff=cutoff)
    if not solver.supports_cutoff:
        with pytest.raises(UnknownOption, match="cutoff"):
            solver.solve(known.problem, options)
        return
    result = solver.solve(known.problem, options)
    assert result.status is status
    assert result.dual_bound == (cutoff if status is Status.CUTOFF else pytest.approx(-20))


@pytest.mark.parametrize(
    "name", [name for name in BACK_ENDS if get_solver(name).supports_cutoff], ids=lambda name: name
)
@cases(INFEASIBLE_INTEGER)
def test_with_a_cutoff_infeasible_is_not_claimed(name: str, known: Known) -> None:
    result = get_solver(name).solve(known.problem, SolveOptions(cutoff=3.0))
    assert result.status is Status.CUTOFF and result.dual_bound == 3.0


@pytest.mark.parametrize("options", [SolveOptions(stop_below=99.0), SolveOptions(cutoff=-99.0)], ids=repr)
@cases(LINEAR)
def test_early_stops_change_nothing_for_continuous_programs(options: SolveOptions, known: Known) -> None:
    check_optimal(known, get_solver("highs").solve(known.problem, options))


@pytest.mark.parametrize(
    ("name", "options", "option"),
    [
        ("scipy", SolveOptions(threads=2), "threads"),
        ("scipy", SolveOptions(seed=7), "seed"),
        ("pulp", SolveOptions(lp_method="interior"), "lp_method"),
    ],
)
def test_options_that_a_back_end_cannot_take_are_refused_by_name(name: str, options: SolveOptions, option: str) -> None:
    with pytest.raises(UnknownOption, match=option):
        get_solver(name).solve(LINEAR[0].problem, options)


@pytest.mark.parametrize("options", [SolveOptions(seed=7), SolveOptions(relative_gap=0.01)], ids=repr)
@pytest.mark.parametrize("name", ["highs", "pulp"])
def test_seed_and_gap_are_taken(name: str, options: SolveOptions) -> None:
    result = get_solver(name).solve(INTEGER[0].problem, options)
    assert result.status is Status.OPTIMAL and result.dual_bound <= -20 + CLAIM
