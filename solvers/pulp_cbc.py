"""CBC through PuLP 3.3 and 4: the second opinion that shares no code with HiGHS.

PuLP 3.3 answers Optimal at a time limit with whatever incumbent there is: only ``sol_status`` tells, so a solve with a
time limit is never called optimal on its status alone. CBC speaks through text files of about 8 digits, so a claimed bound
is lowered by that much; the multipliers it gives are proposals as ever.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from solvers.base import SolveOptions, Solver
from solvers.errors import SolverNotInstalled
from solvers.problem import LinearProgram
from solvers.result import SolveResult, SolveStats, Status

# PuLP 3.3: (status, sol_status), 'Optimal' alone being worth nothing at a time limit; anything not here is FAILED.
STATUS_3 = {
    (1, 1): Status.OPTIMAL,
    (1, 2): Status.TIME_LIMIT,
    (0, 0): Status.TIME_LIMIT,
    (-1, -1): Status.INFEASIBLE,
    (-1, 0): Status.INFEASIBLE,  # an integer program
}
# PuLP 4: the status of LpSolveStats, by name; a gap that was allowed is taken off the claimed bound below.
STATUS_4 = {
    "Optimal": Status.OPTIMAL,
    "GapLimit": Status.OPTIMAL,
    "Infeasible": Status.INFEASIBLE,
    "TimeLimit": Status.TIME_LIMIT,
}

PRINTED_DIGITS = 1e-7  # relative precision of what CBC prints


class PulpCbc(Solver):
    """CBC (EPL-2.0), bundled with PuLP 3.3; with PuLP 4 it is the extra ``pulp[cbc]``."""

    name = "pulp"
    package = "pulp"
    pip_name = "pulp"

    def solve(self, problem: LinearProgram, options: SolveOptions) -> SolveResult:
        import pulp

        begun = time.perf_counter()
        model, columns, rows = _model(pulp, problem)
        solved = model.solve(_command(pulp, options))
        seconds = time.perf_counter() - begun
        status = _status(model, solved)
        if status is Status.TIME_LIMIT and (options.time_limit is None or seconds < 0.9 * options.time_limit):
            status = Status.FAILED  # CBC stopped for a reason of its own
        if status not in (Status.OPTIMAL, Status.TIME_LIMIT):
            return SolveResult(status, -np.inf, np.inf, None, None, SolveStats(seconds))
        # PuLP leaves out columns that nothing uses; any value between their bounds will do.
        used = (problem.objective != 0) | (np.diff(problem.matrix.tocsc().indptr) > 0)
        ends = zip(columns, used, problem.column_lower, strict=True)
        values = [c.value() if needed else low for c, needed, low in ends]
        x = None if any(v is None for v in values) else np.array(values, dtype=np.float64)
        value = np.inf if x is None else float(problem.objective @ x) + problem.offset
        bound, dual = -np.inf, None
        if status is Status.OPTIMAL and x is not None:
            printed = PRINTED_DIGITS * (1.0 + float(np.abs(problem.objective) @ np.abs(x)) + abs(problem.offset))
            bound = value - printed - options.relative_gap * abs(value)
            dual = None if problem.integer.any() else _duals(model, rows, len(problem.row_lower))
        return SolveResult(status, bound, value, x, dual, SolveStats(seconds))


def _model(pulp: Any, p: LinearProgram) -> tuple[Any, list[Any], dict[str, int]]:
    model = pulp.LpProblem("program", pulp.LpMinimize)
    kinds = ["Integer" if flag else "Continuous" for flag in p.integer]
    ends = zip(p.column_lower.tolist(), p.column_upper.tolist(), kinds, strict=True)
    columns = [model.add_variable(f"x{j}", low, high, cat=kind) for j, (low, high, kind) in enumerate(ends)]
    model += _sum(pulp, columns, range(len(columns)), p.objective)
    rows = {}
    A = p.matrix
    for i in range(A.shape[0]):
        span = slice(A.indptr[i], A.indptr[i + 1])
        form = _sum(pulp, columns, A.indices[span], A.data[span])
        low, high = float(p.row_lower[i]), float(p.row_upper[i])
        if low == high:
            model += (form == low, f"e{i}")
            rows[f"e{i}"] = i
            continue
        if np.isfinite(high):
            model += (form <= high, f"u{i}")
            rows[f"u{i}"] = i
        if np.isfinite(low):
            model += (form >= low, f"l{i}")
            rows[f"l{i}"] = i
    return model, columns, rows


def _sum(pulp: Any, columns: list[Any], index: Any, values: Any) -> Any:
    return pulp.lpSum(float(v) * columns[j] for j, v in zip(index, values, strict=True))


def _command(pulp: Any, options: SolveOptions) -> Any:
    native = {"msg": False, "timeLimit": options.time_limit, "gapRel": options.relative_gap or None, "threads": 1}
    for name in ("PULP_CBC_CMD", "COIN_CMD"):
        command = getattr(pulp, name, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.3 announces the rename that the loop is about
            if command is not None and (made := command(**native)).available():
                return made
    raise SolverNotInstalled("PuLP found no CBC: pip install 'pulp<4' (CBC is bundled), or 'pulp[cbc]' with PuLP 4")


def _status(model: Any, solved: Any) -> Status:
    if isinstance(solved, int):
        return STATUS_3.get((model.status, model.sol_status), Status.FAILED)
    return STATUS_4.get(solved.status.name, Status.FAILED)


def _duals(model: Any, rows: dict[str, int], count: int) -> np.ndarray | None:
    """CBC's ``pi`` is d(minimum)/d(right-hand side), which is our sign for either side."""
    dual = np.zeros(count)
    for name, i in rows.items():
        row = (
            model.get_constraint_by_name(name) if hasattr(model, "get_constraint_by_name") else model.constraints[name]
        )
        if row.pi is None:
            return None
        dual[i] += float(row.pi)
    return dual
