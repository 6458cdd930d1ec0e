"""Back ends are found lazily by name, say what they cannot do, and never change a problem silently."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy.sparse import csr_array
from support.programs import INTEGER, LINEAR, program

import solvers
from solvers import (
    InvalidOption,
    InvalidProblem,
    LinearProgram,
    SolveOptions,
    SolverFailure,
    SolverNotInstalled,
    Status,
    UnknownSolver,
    UnsupportedProblem,
    get_solver,
    safe_dual_bound,
)
from solvers import highs as highs_module
from solvers.highs import HighsSolver

each_back_end = pytest.mark.parametrize("name", solvers.known_solvers())
INF = np.inf


def test_all_required_back_ends_are_installed() -> None:
    assert solvers.available_solvers() == ("highs", "scipy", "pulp")


def test_an_unknown_solver_is_refused_with_the_known_names() -> None:
    with pytest.raises(UnknownSolver, match=r"unknown solver 'gurobbi'.*highs, scipy, pulp"):
        get_solver("gurobbi")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HighsSolver, "package", "no_such_package_here")
    with pytest.raises(SolverNotInstalled, match="pip install highspy"):
        get_solver("highs")
    with pytest.raises(SolverNotInstalled, match="pip install highspy"):
        HighsSolver().solve(LINEAR[0].problem, SolveOptions())
    assert "highs" not in solvers.available_solvers()


def test_importing_and_listing_import_no_solver() -> None:
    code = (
        "import sys, solvers; solvers.available_solvers(); solvers.get_solver('highs');"
        "print([m for m in ('highspy', 'pulp', 'scipy.optimize', 'verify', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@each_back_end
def test_capabilities_are_declared(name: str) -> None:
    solver = get_solver(name)
    assert solver.name == name and solver.available() and solver.supports_integers
    flags = ("supports_warm_start", "supports_stop_below", "supports_cutoff", "returns_farkas")
    assert {type(getattr(solver, flag)) for flag in flags} == {bool}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time_limit", -1.0),
        ("time_limit", float("nan")),
        ("threads", 0),
        ("seed", -1),
        ("relative_gap", -0.1),
        ("relative_gap", float("nan")),
        ("stop_below", float("inf")),
        ("cutoff", float("nan")),
        ("lp_method", "magic"),
    ],
)
def test_an_impossible_option_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidOption, match=field):
        SolveOptions(**{field: value})


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="presolve"):
        SolveOptions(presolve=True)


@each_back_end
def test_a_session_refuses_nonsense(name: str) -> None:
    with get_solver(name).session(LINEAR[0].problem, SolveOptions()) as session:
        with pytest.raises(InvalidProblem, match=r"objective\[0\] is nan"):
            session.solve(objective=[np.nan, 1.0])
        with pytest.raises(InvalidProblem, match="objective has shape"):
            session.solve(objective=[1.0])
        with pytest.raises(InvalidProblem, match=r"offset is 1\.0 without an objective"):
            session.solve(offset=1.0)
        with pytest.raises(InvalidOption, match="time_limit"):
            session.solve(time_limit=-1.0)
        with pytest.raises(InvalidProblem, match="column index 5"):
            session.set_column_bounds(5, 0.0, 1.0)
        with pytest.raises(InvalidProblem, match="is above"):
            session.set_column_bounds(0, 2.0, 1.0)
        assert session.solve().status is Status.OPTIMAL


def test_a_closed_session_says_so() -> None:
    session = get_solver("highs").session(LINEAR[0].problem, SolveOptions())
    session.close()
    with pytest.raises(SolverFailure, match="closed"):
        session.solve()


@each_back_end
def test_tiny_entries_are_replaced_by_their_range_and_reported(name: str) -> None:
    # The tiny entry belongs to the problem: with it x + 1e-13 y >= 1 allows x slightly below 1.
    problem = program([1, 0], [[1, 1e-13]], [1], [INF], [0, 0], [9, 1000])
    result = get_solver(name).solve(problem, SolveOptions())
    assert result.status is Status.OPTIMAL
    assert len(result.notes) == 1 and "replaced by their range" in result.notes[0]
    assert result.dual_bound <= 1 - 1e-10
    assert 1 - 2e-7 <= safe_dual_bound(problem, result.row_dual) <= 1 - 1e-10


@each_back_end
def test_tiny_entries_that_could_matter_are_refused(name: str) -> None:
    problem = program([1, 0], [[1, 1e-13]], [1], [INF], [0, 0], [9, 1e9])
    with pytest.raises(UnsupportedProblem, match="drops matrix entries below"):
        get_solver(name).solve(problem, SolveOptions())


def test_a_box_wider_than_tiny_entries_were_replaced_for_is_refused() -> None:
    problem = program([1, 0], [[1, 1e-13]], [1], [INF], [0, 0], [9, 1000])
    with get_solver("highs").session(problem, SolveOptions()) as session:
        session.set_column_bounds(1, 0.0, 10.0)
        session.set_column_bounds(1, 0.0, 1000.0)
        with pytest.raises(UnsupportedProblem, match="wider bounds"):
            session.set_column_bounds(1, 0.0, 1e9)


@each_back_end
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [[1e15]]}, "matrix entry"),
        ({"objective": [1e20]}, "objective"),
        ({"row_upper": [1e20]}, "row_upper"),
        ({"column_upper": [1e25]}, "column_upper"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_that_a_solver_takes_for_infinite_are_refused(name: str, changes: dict, message: str) -> None:
    fields = {"objective": [1], "rows": [[1]], "column_lower": [0], "column_upper": [1]}
    fields |= {"row_lower": [0], "row_upper": [1]}
    with pytest.raises(UnsupportedProblem, match=message):
        get_solver(name).solve(program(**{**fields, **changes}), SolveOptions())


def test_an_unknown_native_status_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highs_module, "STATUS", {})
    result = get_solver("highs").solve(LINEAR[0].problem, SolveOptions())
    assert result.status is Status.FAILED and result.x is None
    assert result.dual_bound == -INF and result.primal_value == INF
    assert "kOptimal" in result.notes[0]


def test_every_status_has_its_own_meaning() -> None:
    assert len({status.meaning for status in Status}) == len(Status) == 7


def test_a_model_that_highs_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highs_module, "SMALLEST_ENTRY", 1e-12)
    import highspy

    monkeypatch.setattr(highspy.Highs, "getNumNz", lambda self: 1)
    with pytest.raises(SolverFailure, match="kept 1 of 2 matrix entries"):
        get_solver("highs").solve(LINEAR[0].problem, SolveOptions())


def test_the_time_limit_is_each_solves_own() -> None:
    """HiGHS counts time over all runs of an object: a session must not run out of it."""
    with get_solver("highs").session(LINEAR[1].problem, SolveOptions(time_limit=0.2)) as session:
        statuses = {session.solve(objective=[2.0 + k % 3, 3.0]).status for k in range(400)}
        threading.Event().wait(0.25)
        statuses.add(session.solve().status)
    assert statuses == {Status.OPTIMAL}


def test_thread_counts_may_follow_each_other() -> None:
    for threads in (1, 2, 1):
        result = get_solver("highs").solve(INTEGER[0].problem, SolveOptions(threads=threads))
        assert result.status is Status.OPTIMAL


def test_concurrent_thread_counts_are_refused() -> None:
    scheduler = highs_module._Scheduler()
    with scheduler.running(1), pytest.raises(SolverFailure, match="one thread count"):
        scheduler.running(2)


def test_a_fork_after_many_threads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = highs_module._Scheduler()
    with scheduler.running(2):
        pass
    monkeypatch.setattr(highs_module.os, "getpid", lambda: -1)
    with pytest.raises(SolverFailure, match="spawn or forkserver"):
        scheduler.running(2)


def test_concurrent_solves_agree() -> None:
    results: list[float] = []

    def work() -> None:
        for known in (*LINEAR, *INTEGER):
            found = get_solver("highs").solve(known.problem, SolveOptions())
            results.append(abs(found.primal_value - known.optimum))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 2 * (len(LINEAR) + len(INTEGER)) and max(results) < 1e-6


def test_a_dense_program_is_solved_alike_by_all() -> None:
    rng = np.random.default_rng(3)
    dense = rng.normal(size=(30, 40))
    middle = dense @ rng.uniform(-1, 1, 40)
    box = np.ones(40)
    problem = LinearProgram(
        rng.normal(size=40), csr_array(dense), middle - 0.1, middle + 0.1, -box, box, np.zeros(40, bool)
    )
    bounds = [
        safe_dual_bound(problem, get_solver(n).solve(problem, SolveOptions()).row_dual) for n in solvers.known_solvers()
    ]
    assert np.ptp(bounds) < 1e-6
