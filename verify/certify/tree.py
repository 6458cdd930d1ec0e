"""The integer program solved by our own tree: branch and bound on the ReLUs' phases, a linear program a node.

A node is the triangle program with the facets that its root asked for; a split fixes one ReLU, ``p = 0`` active or
``z = 0`` inactive, which moves two ends of columns and leaves the last basis dual feasible. Nothing else of an integer
solver is needed here: no presolve, no cuts of dense rows, no search for points (one comes from an attack, and every
solution's input is evaluated). Trusted: optimal values and the word "infeasible" of the linear programs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from solvers.base import Session, SolveOptions
from solvers.problem import LinearProgram
from solvers.result import SolveResult, Status
from verify.bounds.tighten import Budget, Objective
from verify.encode.cuts import narrowed, with_facets
from verify.encode.lp import Encoding

Array = NDArray[np.float64]

ACTIVE, INACTIVE = 1, -1
SIDES = (ACTIVE, INACTIVE)
OPEN = 1e-6  # a ReLU is undecided while z and p are both above this share of their largest values
RELIABLE = 3  # splits of each side after which a ReLU's average gain is believed
TRIED = 8  # ReLUs considered for a split
PATIENCE = 4  # of these in succession without a better one
GAP = 1e-7  # a node that improves by less, relative to the value's size, is closed
LEAST_GAIN = 1e-6  # gains enter products at least so large


@dataclass(frozen=True)
class Minimum:
    """``lower``: the programs claim that no value is below it; ``point``: the input of the lowest value met, if any."""

    lower: float
    point: Array | None


class _UndecidedError(Exception):
    """A linear program was not solved: the time is up, or the solver failed twice."""


@dataclass(frozen=True, eq=False)
class _Node:
    """``bound``: its program's minimum; ``phases`` (k,): 0 where open; ``shares`` (2, k): p and z over their largest."""

    bound: float
    phases: NDArray[np.int8]
    shares: Array


def minimum(
    encoding: Encoding, objective: Objective, known: float, value: Callable[[Array], float], budget: Budget
) -> Minimum:
    """The least value of the objective over the encoded network.

    It is claimed to within GAP of its size and the solver's tolerances, unless the time ends first.

    ``known``: a value that is attained. ``value``: the objective's value at a network input, (n,) -> number.
    """
    options = replace(budget.options(), lp_method="simplex")
    narrow = narrowed(encoding)
    narrow = replace(narrow, problem=narrow.problem.with_objective(*objective))
    root = budget.solver.solve(narrow.problem, options)
    if root.status is not Status.OPTIMAL or root.x is None or not np.isfinite(root.dual_bound):
        return Minimum(-np.inf, None)
    program = with_facets(narrow, root.x)
    with budget.solver.session(program.problem, options) as session:
        search = _Search(program, value, budget, options, session, known)
        return search.run(root.dual_bound)


@dataclass
class _Search:
    """The tree of one objective. Costs (2, k): gains by distance moved, summed and counted for each side of a ReLU."""

    program: Encoding
    value: Callable[[Array], float]
    budget: Budget
    options: SolveOptions
    session: Session
    best: float
    point: Array | None = None
    gained: Array = field(init=False)
    counted: Array = field(init=False)

    def __post_init__(self) -> None:
        layers = self.program.layers.values()
        self._columns = np.stack(
            [
                np.concatenate([np.zeros(0, int), *(layer.p for layer in layers)]),
                np.concatenate([np.zeros(0, int), *(layer.z for layer in layers)]),
            ]
        )
        self._ends = self.program.problem.column_upper[self._columns]
        self.gained, self.counted = np.zeros(self._ends.shape), np.zeros(self._ends.shape)

    @property
    def limit(self) -> float:
        """Where a node is closed: what lies above is no improvement worth a split."""
        return self.best - GAP * (1.0 + abs(self.best))

    def run(self, bound: float) -> Minimum:
        """Search from the root, whose minimum is at least ``bound``."""
        lowest, order = np.inf, count()
        k = self._ends.shape[1]
        heap: list[tuple[float, int, _Node]] = []
        at: _Node | None = None
        try:
            at = self._solved(_Node(bound, np.zeros(k, np.int8), np.zeros((2, k))))
        except _UndecidedError:
            lowest = bound
        while at is not None or heap:
            at = heapq.heappop(heap)[2] if at is None else at
            if self.budget.spent:
                lowest = min(lowest, at.bound, heap[0][0] if heap else np.inf)
                break
            if at.bound >= self.limit:
                at = None
                continue
            try:
                below = self._split(at)
            except _UndecidedError:
                below = None
            if below is None:  # its bound is what can be claimed of it
                lowest, at = min(lowest, at.bound), None
                continue
            below.sort(key=lambda node: node.bound)
            at = below[0] if below else None  # a dive: its program is near the last one
            for node in below[1:]:
                heapq.heappush(heap, (node.bound, next(order), node))
        return Minimum(min(lowest, self.limit), self.point)

    def _split(self, node: _Node) -> list[_Node] | None:
        """The open halves of a node, or of its only open half and so on; None if no ReLU is open."""
        while True:
            open_ = (node.phases == 0) & (node.shares > OPEN).all(0)
            if not open_.any():
                return None
            halves = self._halves(node, np.flatnonzero(open_))
            if len(halves) != 1:
                return halves
            node = halves[0]

    def _halves(self, node: _Node, open_: NDArray[np.intp]) -> list[_Node]:
        """Split at the most promising ReLU; one found to have a closed half is taken at once."""
        average = self.gained.sum(1) / np.maximum(self.counted.sum(1), 1.0)
        rate = np.where(self.counted > 0, self.gained / np.maximum(self.counted, 1.0), average[:, None])
        promise = np.maximum(rate * node.shares, LEAST_GAIN).prod(0)
        best: tuple[float, int, list[_Node] | None] | None = None
        worse = 0
        for k in open_[np.argsort(-promise[open_], kind="stable")][:TRIED].tolist():
            halves, score = None, float(promise[k])
            if self.counted[:, k].min() < RELIABLE:
                halves = self._both(node, k)
                if len(halves) < len(SIDES):
                    return halves
                score = float(np.prod([max(half.bound - node.bound, LEAST_GAIN) for half in halves]))
            if best is None or score > best[0]:
                best, worse = (score, k, halves), 0
            else:
                worse += 1
            if worse == PATIENCE:
                break
        assert best is not None, "open_ is not empty"
        return self._both(node, best[1]) if best[2] is None else [h for h in best[2] if h.bound < self.limit]

    def _both(self, node: _Node, k: int) -> list[_Node]:
        """The halves of a split at ReLU ``k`` that stay open; their gains are remembered."""
        found = []
        for side, phase in enumerate(SIDES):
            phases = node.phases.copy()
            phases[k] = phase
            half = self._solved(_Node(node.bound, phases, node.shares))
            gain = (self.limit if half is None else min(half.bound, self.limit)) - node.bound
            self.gained[side, k] += max(gain, 0.0) / node.shares[side, k]
            self.counted[side, k] += 1
            if half is not None:
                found.append(half)
        return found

    def _solved(self, node: _Node) -> _Node | None:
        """The node with its own minimum and shares; None when it is closed."""
        fixed = np.stack([node.phases == ACTIVE, node.phases == INACTIVE])
        upper = np.where(fixed, 0.0, self._ends).ravel()
        columns = self._columns.ravel()
        if columns.size:
            self.session.set_column_bounds(columns, np.zeros(columns.size), upper)
        result = self.session.solve(time_limit=self.budget.left())
        if result.status is Status.FAILED:
            again = self.program.problem.with_column_bounds(columns, np.zeros(columns.size), upper)
            result = self._afresh(again)
        if result.status is Status.INFEASIBLE:
            return None
        if result.status is not Status.OPTIMAL or result.x is None:
            raise _UndecidedError
        self._look(result.x)
        bound = max(node.bound, result.dual_bound)
        shares = np.clip(result.x[self._columns] / self._ends, 0.0, 1.0)
        return None if bound >= self.limit else _Node(bound, node.phases, shares)

    def _afresh(self, problem: LinearProgram) -> SolveResult:
        """Solved without the basis that led the solver astray."""
        return self.budget.solver.solve(problem, replace(self.options, time_limit=self.budget.left()))

    def _look(self, x: Array) -> None:
        """Evaluate a solution's input; a value that is rounded down does no harm, it closes less."""
        point = self.program.point(x)
        if (found := self.value(point)) < self.best:
            self.best, self.point = found, point
