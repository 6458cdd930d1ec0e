"""CBC through PuLP, with the API that PuLP 3.3 and PuLP 4 share.

PuLP talks to CBC through text files: the problem is written with 13 digits and the answer read with about
8. So the value is recomputed from x here, and the claimed dual bound of an optimal solve is that value less
what those digits, the relative gap and CBC's cutoff increment can hide. PuLP 3 says "Optimal" for a solve
that stopped on time with an incumbent; only its `sol_status` tells. No dual bound is known when the time
runs out. No warm start, target, cutoff or Farkas vector. Two rows stand for a ranged row, and its dual is
the sum of theirs.
"""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

import numpy as np

from solvers.base import BackEnd, SolveOptions
from solvers.errors import SolverNotInstalled, UnknownOption
from solvers.limits import Limits, represent
from solvers.problem import LinearProgram, Vector
from solvers.result import SolveResult, SolveStats, Status

SMALLEST_ENTRY = 1e-12
"""Entries below are replaced by their range; CBC's presolve treats them as noise."""

PRINT_PRECISION = 1e-7
"""Relative error allowed for a value recomputed from 8 printed digits (and 13 written ones)."""

CUTOFF_INCREMENT = 1e-5
"""CBC's default `increment`: an improvement below this is not looked for."""

SHORTEST_TIME = 0.01
"""Seconds. With less CBC is not started: starting takes longer, and CBC reads 0 as it likes."""

STATUS: dict[str, Status] = {
    # PuLP 3: status / sol_status
    "Optimal/Optimal Solution Found": Status.OPTIMAL,
    "Optimal/Solution Found": Status.TIME_LIMIT,
    "Not Solved/No Solution Found": Status.TIME_LIMIT,
    "Infeasible/No Solution Exists": Status.INFEASIBLE,
    "Infeasible/No Solution Found": Status.INFEASIBLE,
    # PuLP 4: LpSolveStatus
    "Optimal": Status.OPTIMAL,
    # CBC finished within the gap, which is the one we asked for: 0 unless the options say otherwise.
    "GapLimit": Status.OPTIMAL,
    "TimeLimit": Status.TIME_LIMIT,
    "Infeasible": Status.INFEASIBLE,
}
"""What PuLP says -> Status. Whatever is not here is FAILED, and so is a time limit when none was set."""


class PulpCbcSolver(BackEnd):
    """CBC as PuLP ships or finds it."""

    name: ClassVar[str] = "pulp"
    package: ClassVar[str] = "pulp"
    pip_name: ClassVar[str] = "pulp[cbc]"

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        """Solve once, in a process of CBC. The method of a linear program cannot be chosen."""
        self.check(problem, options)
        if options.lp_method == "interior":
            raise UnknownOption(self.name, "lp_method", options.lp_method, "use 'auto' or 'simplex', or 'highs'")
        represented = represent(self.name, problem, Limits(smallest=SMALLEST_ENTRY))
        started = time.perf_counter()
        empty = _contradiction(represented.problem)
        if empty:
            return _nothing(Status.INFEASIBLE, math.inf, started, (*represented.notes, empty))
        if options.time_limit is not None and options.time_limit < SHORTEST_TIME:
            return _nothing(Status.TIME_LIMIT, -math.inf, started, represented.notes)
        return _solve(represented.problem, options, represented.notes, started)


def _contradiction(problem: LinearProgram) -> str:
    """Name what PuLP would not pass on to CBC: an empty row that excludes 0, an integer column without an
    integer."""
    entries = np.diff(problem.matrix.indptr)
    rows = np.flatnonzero((entries == 0) & ((problem.row_lower > 0) | (problem.row_upper < 0)))
    columns = np.flatnonzero(problem.integer & (np.ceil(problem.column_lower) > np.floor(problem.column_upper)))
    if rows.size:
        return f"row {rows[0]} has no entries and excludes 0"
    return f"column {columns[0]} has no integer between its bounds" if columns.size else ""


def _solve(problem: LinearProgram, options: SolveOptions, notes: tuple[str, ...], started: float) -> SolveResult:
    import pulp

    model, variables = _model(pulp, problem)
    solver = _cbc(pulp, options)
    try:
        native = model.solve(solver)
    except pulp.PulpSolverError as error:
        return _nothing(Status.FAILED, -math.inf, started, (*notes, f"PuLP failed: {error}"))
    if isinstance(native, int):
        label = f"{pulp.LpStatus.get(native)}/{pulp.LpSolution.get(model.sol_status)}"
        has_point = model.sol_status in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible)
    else:
        label, has_point = native.status.name, bool(native.has_solution)
    status = STATUS.get(label, Status.FAILED)
    if status is Status.TIME_LIMIT and options.time_limit is None:
        status = Status.FAILED
    if status is Status.FAILED:
        return _nothing(status, -math.inf, started, (*notes, f"PuLP ended with {label}"))
    if status is Status.INFEASIBLE:
        return _nothing(status, math.inf, started, notes)
    # A linear program that ran out of time has a point that need not be feasible: it is not an incumbent.
    if not has_point or (status is Status.TIME_LIMIT and not problem.has_integers):
        return _nothing(status, -math.inf, started, notes)
    x = _point(problem, variables)
    value = float(problem.objective @ x)
    bound = value - _hidden(problem, options, x, value) if status is Status.OPTIMAL else -math.inf
    row_dual = None if problem.has_integers else _row_dual(problem, model)
    stats = SolveStats(time.perf_counter() - started)
    return SolveResult(status, bound + problem.offset, value + problem.offset, x, row_dual, stats, None, notes)


def _model(pulp: Any, problem: LinearProgram) -> tuple[Any, list[Any]]:
    """Build the PuLP model; numbers are Python floats, since numpy's would take over the operators."""
    model = pulp.LpProblem("problem", pulp.LpMinimize)
    kinds = ("Continuous", "Integer")
    boxes = zip(problem.column_lower.tolist(), problem.column_upper.tolist(), problem.integer.tolist(), strict=True)
    variables = [model.add_variable(f"x{j}", lo, hi, cat=kinds[integer]) for j, (lo, hi, integer) in enumerate(boxes)]
    costly = np.flatnonzero(problem.objective)
    model += pulp.lpDot([variables[j] for j in costly], problem.objective[costly].tolist())
    start, index, value = (
        array.tolist() for array in (problem.matrix.indptr, problem.matrix.indices, problem.matrix.data)
    )
    for i, (low, high) in enumerate(zip(problem.row_lower.tolist(), problem.row_upper.tolist(), strict=True)):
        if start[i] == start[i + 1]:
            continue
        row = pulp.lpDot([variables[j] for j in index[start[i] : start[i + 1]]], value[start[i] : start[i + 1]])
        if low == high:
            model += (row == low, f"e{i}")
            continue
        if math.isfinite(low):
            model += (row >= low, f"l{i}")
        if math.isfinite(high):
            model += (row <= high, f"u{i}")
    return model, variables


def _cbc(pulp: Any, options: SolveOptions) -> Any:
    bundled = getattr(pulp, "PULP_CBC_CMD", None)
    path = None if bundled is None else bundled.pulp_cbc_path
    solver = pulp.COIN_CMD(
        msg=False,
        path=path,
        timeLimit=options.time_limit,
        threads=options.threads if options.threads > 1 else None,
        gapRel=options.relative_gap,
        options=[f"randomSeed {options.seed}", f"randomCbcSeed {options.seed}"] if options.seed else [],
    )
    if not solver.available():
        raise SolverNotInstalled(PulpCbcSolver.name, PulpCbcSolver.pip_name)
    return solver


def _point(problem: LinearProgram, variables: list[Any]) -> Vector:
    """Read x (n,). A column in no row and without a cost is not passed on: any value of its box will do."""
    values = [variable.value() if callable(variable.value) else variable.value for variable in variables]
    idle = np.where(problem.integer, np.ceil(problem.column_lower), problem.column_lower)
    return np.array([idle[j] if v is None else v for j, v in enumerate(values)], dtype=np.float64)


def _row_dual(problem: LinearProgram, model: Any) -> Vector:
    dual = np.zeros(problem.num_rows)
    for i in range(problem.num_rows):
        for prefix in "elu":
            row = model.get_constraint_by_name(f"{prefix}{i}")
            if row is not None and row.pi is not None:
                dual[i] += row.pi
    return dual


def _hidden(problem: LinearProgram, options: SolveOptions, x: Vector, value: float) -> float:
    """How far below ``value`` the optimum may lie by CBC's own rules and PuLP's text files."""
    printed = PRINT_PRECISION * max(1.0, float(np.abs(problem.objective) @ np.abs(x)))
    if not problem.has_integers:
        return printed
    gap = options.relative_gap
    allowed = math.inf if gap >= 1.0 else gap / (1.0 - gap) * abs(value)
    return printed + CUTOFF_INCREMENT + allowed


def _nothing(status: Status, bound: float, started: float, notes: tuple[str, ...]) -> SolveResult:
    stats = SolveStats(time.perf_counter() - started)
    return SolveResult(status, bound, math.inf, None, None, stats, None, notes)
