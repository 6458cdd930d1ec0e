"""Every input decided: cheap bounds for many inputs at once, then branch and bound on each row that those leave open."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from verify.bounds.compute import node_bounds, spec_bounds
from verify.bounds.nouns import Bounds, Interval
from verify.branch.decide import Decision
from verify.certify.alpha import alpha
from verify.certify.answer import Answer, rows_of
from verify.certify.crown import crown
from verify.certify.linear import linear
from verify.certify.options import Options
from verify.certify.pre_activation import chosen
from verify.certify.team import Job, Team
from verify.property import Property, rows_as_clauses
from verify.specification import Query
from verify.verdict import Verdict
from verify.witness import upper_margins

POSITIVE = math.ulp(0.0)  # the lower bound of a row of which branch and bound proved no more than that it is positive
TOGETHER = 8  # inputs that share the rows of alpha-CROWN


def complete(query: Query, options: Options) -> Answer:
    """Margins (B, S) whose signs are decided, but for the limits of time and memory.

    An input that is misclassified as it is gets interval bounds. The others get CROWN's bounds, then alpha-CROWN's where those
    leave a row open, each for many inputs at once; then :func:`verify.branch.decide.decide` settles the open rows of one input
    after another. Recomputed: every bound, in float64 with its rounding. Trusted: nothing.

    Branch and bound excludes the points where a row is not positive, so all that it proves of a margin is its sign: such a row
    has the lower bound ``POSITIVE``, the least float64 above 0, which stands for "> 0".
    """
    chosen(options, "crown")  # a name that does not exist is refused even where no bounds are needed
    if not query.network.relus:
        return linear(query, options)
    work = _begun(query, options)
    work.bound(work.open(), crown)
    for some in work.open().split(TOGETHER):
        work.bound(some, alpha)
    work.settle(work.open().tolist())
    return work.answer()


@dataclass
class _Work:
    """What is known of each input so far, and the seconds that it took. Local to one call."""

    query: Query
    options: Options
    bounds: Bounds
    pre: dict[int, Interval]
    lower: Tensor
    proved: Tensor
    points: Tensor
    falsified: Tensor
    spent: Tensor
    reasons: list[str] = field(default_factory=list)
    known: dict[int, Bounds] = field(default_factory=dict)  # alpha-CROWN's, of inputs that it left open

    def open(self) -> Tensor:
        """The inputs (k,) that are neither verified nor falsified."""
        return (~self.falsified & ~(self._counted() > 0).all(1)).nonzero().squeeze(1)

    def bound(self, index: Tensor, method: Callable[[Query, Options], Answer]) -> None:
        """Bounds of the inputs ``index`` by ``method``, in the time that is left to them."""
        if not len(index):
            return
        with self.timed(index) as options:
            found = method(self.query.select(index), options)
            self.lower[index] = torch.maximum(self.lower[index], found.lower)
            self.proved[index] = torch.maximum(self.proved[index], found.proved)
            for r, interval in found.bounds.pre.items():
                self.pre[r].lower[index], self.pre[r].upper[index] = interval.lower, interval.upper
            if found.bounds.source == "alpha" and self.options.intersect:
                still = (~(self._counted()[index] > 0).all(1)).nonzero().squeeze(1)
                self.known |= {int(index[j]): found.bounds.select(j.reshape(1)) for j in still}

    def settle(self, inputs: list[int]) -> None:
        """Decide the open rows of ``inputs``."""
        jobs: dict[int, tuple[Tensor, Job]] = {}
        for i in inputs:
            left = None if self.options.timeout is None else self.options.timeout - float(self.spent[i])
            if left is not None and left <= 0:
                self.reasons[i] = "timeout"
                continue
            rows = (~(self._counted()[i] > 0)).nonzero().squeeze(1)
            clauses = rows_as_clauses(self.query, i).clauses
            asked = Property(tuple(clauses[k] for k in rows.tolist()))
            jobs[i] = rows, Job(asked, self.known.get(i), left, self.options.seed)
        team = self.options.team or Team(self.query.network, 1)
        decisions = team.settled([job for _, job in jobs.values()])
        for (i, (rows, _)), decision in zip(jobs.items(), decisions, strict=True):
            self._decided(i, rows, decision)

    def _decided(self, i: int, rows: Tensor, decision: Decision) -> None:
        """Note what was decided about ``rows`` of input ``i``."""
        if decision.verdict is Verdict.VERIFIED:
            for bound in (self.lower, self.proved):
                bound[i, rows] = bound[i, rows].clamp(min=POSITIVE)
        if decision.counterexample is not None:
            self.points[i], self.falsified[i] = decision.counterexample.x, True
        self.reasons[i] = decision.reason
        self.spent[i] += decision.seconds

    @contextmanager
    def timed(self, index: Tensor) -> Iterator[Options]:
        """The options with the deadline of work on the inputs ``index``, which are charged for it in equal parts."""
        begun, options = time.perf_counter(), self.options
        if options.timeout is not None:
            left = float((options.timeout - self.spent[index]).clamp(min=0).sum())
            options = replace(options, deadline=begun + left)
        yield options
        self.spent[index] += (time.perf_counter() - begun) / len(index)

    def answer(self) -> Answer:
        """All of it."""
        bounds = replace(self.bounds, pre=self.pre)
        return Answer(
            self.lower,
            self.proved,
            bounds,
            (self.points,),
            reasons=tuple(self.reasons),
            spent=tuple(self.spent.tolist()),
        )

    def _counted(self) -> Tensor:
        return torch.maximum(self.lower, self.proved) if self.options.trust_solver else self.proved


def _begun(query: Query, options: Options) -> _Work:
    """Interval bounds of every input, and which of them are misclassified as they are."""
    begun, count = time.perf_counter(), query.region.count
    bounds = node_bounds(query.network, query.region)
    lower = spec_bounds(query.network, query.region, bounds, rows_of(query), None)
    middle = (query.region.lower + query.region.upper) / 2
    points = getattr(query.region, "centre", query.region.project(middle)).clone()
    falsified = (upper_margins(query, points) <= 0).any(1)
    pre = {r: Interval(v.lower.clone(), v.upper.clone()) for r, v in bounds.pre.items()}
    spent = torch.full((count,), (time.perf_counter() - begun) / count, dtype=torch.float64)
    return _Work(query, options, bounds, pre, lower, lower.clone(), points, falsified, spent, [""] * count)
