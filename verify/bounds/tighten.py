"""Tightening pre-activation bounds with a solver: the one file of this room that looks up to encoders and solvers.

A solver proposes slopes; the bounds come from the backward pass with them (``RECOMPUTED``). Only :func:`by_milp` takes a
solver's word, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvers.base import SolveOptions, Solver
from solvers.result import SolveResult, Status
from verify.bounds.backward import backward
from verify.bounds.compute import chunks, mirrored, neuron_rows
from verify.bounds.nouns import Bounds, Interval
from verify.bounds.relaxation import Lines, chord, crown_slope, lines
from verify.bounds.scope import Scope, Tightener
from verify.encode.lp import Encoding, Slopes, encode, slopes, with_binaries
from verify.verdict import Evidence

# HiGHS and CBC call a point feasible that misses a row by 1e-6. A claimed bound is lowered by that much, relative to
# its size, before it is used or shown, so that honest claims do not contradict evaluated points.
SOLVER_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Which solver, and until when (time.perf_counter())."""

    solver: Solver
    deadline: float | None = None

    def left(self) -> float | None:
        """Seconds left, None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.perf_counter())

    @property
    def spent(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.perf_counter() >= self.deadline

    def options(self) -> SolveOptions:
        """Options of one solve within the time left."""
        return SolveOptions(time_limit=self.left())


Objective: TypeAlias = tuple[NDArray[np.float64], float]
"""Coefficients of an encoding's columns, and the constant."""


@dataclass(frozen=True)
class Solution:
    """What a solved linear program proposes: slopes of its duals and the network input of its solution, if it has any.

    ``claim``: what the solver says of its minimum; -inf where it says nothing.
    """

    slopes: Slopes | None
    point: NDArray[np.float64] | None
    claim: float = -np.inf


def by_lp(budget: Budget) -> Tightener:
    """Two linear programs a neuron; the slopes of their duals give the bound, recomputed by the backward pass."""

    def tighten(scope: Scope) -> tuple[Interval, Evidence]:
        return _each(scope, lambda one: _lp_bounds(one, budget)), scope.bounds.evidence

    return tighten


def _lp_bounds(scope: Scope, budget: Budget) -> tuple[Tensor, Tensor]:
    encoding = encode(scope.network, scope.region, scope.bounds, node=scope.start)
    per_row = [s.slopes for s in solved(encoding, _both(encoding, scope.index.numpy()), budget)]
    size = len(scope.index)
    low, high = torch.empty(1, size, dtype=torch.float64), torch.empty(1, size, dtype=torch.float64)
    for places in chunks(scope):
        pick = torch.cat([places, size + places])
        at = dual_lines(scope.bounds, [per_row[k] for k in pick.tolist()], scope.start)
        if scope.record is not None:
            at = scope.record.stored(scope.bounds, at)
            scope.record.neurons(scope.start, scope.index[places], scope.bounds, at)
        rows = mirrored(neuron_rows(scope, scope.index[places]))
        below, negated = backward(scope.network, scope.region, scope.bounds, rows, at).chunk(2, dim=1)
        low[:, places], high[:, places] = below, -negated
    return low, high


def by_milp(budget: Budget) -> Tightener:
    """Two integer programs a neuron. Trusts the solver's dual bound, loosened by SOLVER_TOLERANCE: SOLVER_CLAIM."""

    def tighten(scope: Scope) -> tuple[Interval, Evidence]:
        return _each(scope, lambda one: _milp_bounds(one, budget)), Evidence.SOLVER_CLAIM

    return tighten


def _milp_bounds(scope: Scope, budget: Budget) -> tuple[Tensor, Tensor]:
    encoding = with_binaries(encode(scope.network, scope.region, scope.bounds, node=scope.start))
    claims = torch.full((1, 2 * len(scope.index)), -torch.inf, dtype=torch.float64)
    for k, (objective, offset) in enumerate(_both(encoding, scope.index.numpy())):
        if budget.spent:
            break
        result = budget.solver.solve(encoding.problem.with_objective(objective, offset), budget.options())
        claims[0, k] = claimed(result)
    low, negated = claims.chunk(2, dim=1)
    return low, -negated


def claimed(result: SolveResult) -> float:
    """The solver's dual bound less its own tolerance; -inf when it has none, or says what cannot be (infeasible)."""
    if result.status not in (Status.OPTIMAL, Status.TIME_LIMIT) or not np.isfinite(result.dual_bound):
        return -np.inf
    return result.dual_bound - SOLVER_TOLERANCE * (1.0 + abs(result.dual_bound))


def solved(encoding: Encoding, objectives: Sequence[Objective], budget: Budget) -> list[Solution]:
    """Each objective minimised over the encoded program, warm-started; empty solutions once the time is up."""
    found: list[Solution] = []
    with budget.solver.session(encoding.problem, budget.options()) as session:
        for objective, offset in objectives:
            if budget.spent:
                found.append(Solution(None, None))
                continue
            result = session.solve(objective=objective, offset=offset, time_limit=budget.left())
            read = None if result.row_dual is None else slopes(encoding, objective, result.row_dual)
            found.append(Solution(read, None if result.x is None else encoding.point(result.x), claimed(result)))
    return found


def dual_lines(bounds: Bounds, per_row: Sequence[Slopes | None], start: int) -> dict[int, Lines]:
    """The lines (1, S, *shape) that the rows' duals stand for; a row without any gets CROWN's lines.

    A neuron's slope serves below when its coefficient is positive and above when it is negative: at a degenerate vertex
    the LP's dual may take a flatter line than the chord above.
    """
    at = {}
    for r, pre in ((r, pre) for r, pre in bounds.pre.items() if r <= start):
        lower = crown_slope(pre).flatten(1).expand(len(per_row), -1).clone()
        upper = chord(pre)[0].flatten(1).expand(len(per_row), -1).clone()
        for k, found in enumerate(per_row):
            if found is not None and r in found:
                neurons, values = (torch.from_numpy(v) for v in found[r])
                lower[k, neurons] = upper[k, neurons] = values
        shape = (1, len(per_row), *pre.lower.shape[1:])
        at[r] = lines(pre, lower.reshape(shape), upper.reshape(shape))
    return at


def _both(encoding: Encoding, index: NDArray[np.int64]) -> list[Objective]:
    """Objectives ``v_j`` for each neuron of the encoded node, then ``-v_j``."""
    rows = encoding.expression.matrix[index].toarray()
    offsets = encoding.expression.constant[index]
    return [(r, float(c)) for r, c in zip(rows, offsets, strict=True)] + [
        (-r, -float(c)) for r, c in zip(rows, offsets, strict=True)
    ]


def _each(scope: Scope, bound: Callable[[Scope], tuple[Tensor, Tensor]]) -> Interval:
    """``bound`` of every input by itself, with the neurons that it wants; the known bounds elsewhere."""
    known = scope.bounds.values[scope.start]
    lower, upper = (t.flatten(1)[:, scope.index].clone() for t in (known.lower, known.upper))
    for i in range(scope.region.count):
        at, mine = torch.tensor([i]), scope.wanted[i]
        if bool(mine.any()):
            one = Scope(
                scope.network,
                scope.region.select(at),
                scope.bounds.select(at),
                scope.start,
                scope.index[mine],
                mine[mine].unsqueeze(0),
                scope.record,
            )
            low, high = bound(one)
            lower[i, mine], upper[i, mine] = low[0], high[0]
    return Interval(lower, upper)
