"""Plain and strong branch and bound side by side: the strong one in a process of its own, until either has the answer.

The child proposes points and says which clauses it has verified, by the same recomputed bounds; only this process confirms points.
Where a certificate is wanted, the child keeps a record of its own, which begins at the roots, and sends what that says of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.branch.domains import Domains, missing
from verify.branch.outcome import Limits, Outcome, why_open
from verify.branch.problem import Problem
from verify.branch.relu import Confirm, Effort, by_relu_splits
from verify.branch.strong import Strong
from verify.branch.tighten import Memory
from verify.branch.turns import by_turns
from verify.floating import require_gradual_underflow
from verify.proof.document import Step
from verify.proof.tree import Tree
from verify.property import PropertyCounterexample
from verify.verdict import Verdict
from verify.workers import Helper, Line, helper, one_thread

TASK = "verify.branch.race:strong_beside"
SLICE = 10_000.0  # work between two reports of the child: one split of a few domains, mostly


@dataclass(frozen=True)
class _Question:
    """What the child gets; clocks differ between processes, so its time comes as ``seconds`` left."""

    problem: Problem
    domains: Domains
    seconds: float
    limits: Limits
    effort: Effort


@dataclass(frozen=True)
class _Point:
    """A point (1, *shape) that may satisfy its clause (1,)."""

    x: Tensor
    clause: Tensor


@dataclass(frozen=True)
class _Report:
    """The clauses that the child has left, why it stopped (``work``: it goes on), and how many domains it has bounded.

    ``steps``: by clause, how those were refuted that it has verified since the last report, where that is recorded.
    """

    open: Tensor
    reason: str
    bounded: int
    steps: Mapping[int, list[Step]]


@contextmanager
def companion(wanted: bool) -> Iterator[Helper | None]:
    """A process that gets ready for :func:`side_by_side` while this one works; None unless ``wanted`` and possible."""
    child = helper(TASK) if wanted else None
    if child is None:
        yield None
        return
    with child, one_thread():
        yield child


def side_by_side(
    problem: Problem, domains: Domains, limits: Limits, confirm: Confirm, effort: Effort, child: Helper
) -> Outcome:
    """Decide the clauses of ``domains``, their roots: plain search here, strong in ``child``, each clause by whichever is first.

    Recomputed: every bound that verifies, here or there, in float64 with its rounding. Raises what the child's search raises.
    A child that never came to life is done without.
    """
    return _Race(problem, domains, limits, confirm, effort, child).run()


@dataclass
class _Race:
    """One race: ``pool`` is what the plain search has open, None once that has stopped for ``plain``'s reason."""

    problem: Problem
    roots: Domains
    limits: Limits
    confirm: Confirm
    effort: Effort
    child: Helper
    told: bool = False  # whether the child has its question
    strong: str = "work"  # why the child's search stopped; "work" while it goes on
    plain: str = "work"
    bounded: int = 0
    beside: int = 0
    witness: PropertyCounterexample | None = None

    def run(self) -> Outcome:
        pool = self.roots
        while len(pool) and self.witness is None:
            if self.child.stillborn:
                return self._added(by_turns(self.problem, self.roots_of(pool), self.limits, self.confirm, self.effort))
            if self.plain == "work":
                pool = self._plain(pool)
            if self.witness is None and self.plain != "work" and (self.strong != "work" or self.limits.left() <= 0):
                return self._outcome(Verdict.UNKNOWN)
            if self.strong == "work":
                pool = self._heard(pool)
        return self._outcome(Verdict.VERIFIED if self.witness is None else Verdict.FALSIFIED)

    def roots_of(self, pool: Domains) -> Domains:
        """The roots of the clauses that ``pool`` holds."""
        return self.roots.select(torch.isin(self.roots.clause, pool.clause))

    def _plain(self, pool: Domains) -> Domains:
        """A stretch of plain search, until it ends or the child has something to say."""
        left = by_relu_splits(
            self.problem, pool, self.limits, self.confirm, self.effort, interrupted=lambda: self._called
        )
        self.bounded += left.bounded
        self.witness, self.plain = left.counterexample, left.reason or "work"
        if self.plain not in ("", "work"):
            return self.roots_of(left.open)  # its domains would only take memory from now on
        return left.open

    @property
    def _called(self) -> bool:
        return self.strong == "work" and (self.child.stirred or (self.child.ready and not self.told))

    def _heard(self, pool: Domains) -> Domains:
        """What stays open of ``pool`` after the child's messages; waits for one where there is nothing else to do."""
        if not len(pool) or self.witness is not None:
            return pool
        if self.child.ready and not self.told:
            self.told = True
            seconds, unlimited = self.limits.left(), replace(self.limits, deadline=None)
            self.child.put(_Question(_afresh(self.problem), self.roots_of(pool), seconds, unlimited, self.effort))
        wait = 0.0 if self.plain == "work" else min(0.1, max(0.0, self.limits.left()))
        while not self.child.stillborn and (message := self.child.get(wait)) is not None:
            wait = 0.0
            if isinstance(message, _Point):
                self.witness = self.confirm(message.x, message.clause)
                if self.witness is not None:
                    break
            elif isinstance(message, _Report):
                self.strong, self.beside = message.reason or "done", message.bounded
                self._recorded(message.steps)
                pool = pool.where(torch.isin(pool.clause, message.open))
                if self.strong != "work":
                    break
        if self.told and self.strong == "work":
            self.child.put(missing(self.problem.count, pool))
        return pool

    def _recorded(self, steps: Mapping[int, list[Step]]) -> None:
        """Note how the child refuted the roots of clauses."""
        if self.problem.tree is not None:
            for clause, part in zip(self.roots.clause.tolist(), self.roots.part.tolist(), strict=True):
                if clause in steps:
                    self.problem.tree.refuted(part, steps[clause])

    def _outcome(self, verdict: Verdict) -> Outcome:
        reason = ""
        if verdict is Verdict.UNKNOWN:
            reason = why_open((self.plain, "timeout" if self.strong == "work" else self.strong))
        return Outcome(verdict, self.witness, reason, self.bounded + self.beside)

    def _added(self, outcome: Outcome) -> Outcome:
        return replace(outcome, domains=outcome.domains + self.bounded)


def strong_beside(line: Line) -> None:
    """The child's task: strong branch and bound on the question that the parent sends, with a report after every slice."""
    require_gradual_underflow()
    asked: _Question = line.get()
    deadline = None if asked.seconds == float("inf") else time.perf_counter() + asked.seconds
    copy = asked.problem.to_search()

    def propose(x: Tensor, clause: Tensor) -> None:
        """Send the most promising of the points (N, *shape) if float32 says that it satisfies its clause (N,)."""
        if len(x):
            rows = (copy.C[clause] @ copy.network(x.float()).unsqueeze(2)).squeeze(2) + copy.d[clause]
            worst = torch.where(copy.rows[clause], rows, -torch.inf).amax(1)
            best = worst.argmin()
            if worst[best] <= 0:
                line.put(_Point(x[best].unsqueeze(0), clause[best].unsqueeze(0)))

    limits = replace(asked.limits, deadline=deadline)
    problem, roots = asked.problem, asked.domains
    if problem.tree is not None:
        roots = replace(roots, part=problem.tree.begin(len(roots)))
    strong = Strong(problem, copy, limits, propose, asked.effort, [(roots, Memory())])
    reason, left = "work", roots
    while reason == "work":
        for decided in line.waiting():
            strong.without(decided)
            left = left.where(~torch.isin(left.clause, decided))
        found = strong.run(SLICE)
        reason, still = found.reason, torch.isin(left.clause, found.open.clause)
        line.put(_Report(found.open.clause.unique(), reason, found.bounded, _steps(problem, left.where(~still))))
        left = left.where(still)
    line.get()  # the parent takes this process down; ending first would look like a failure


def _afresh(problem: Problem) -> Problem:
    """The problem with a record of nothing yet, if it has any."""
    return problem if problem.tree is None else replace(problem, tree=Tree(problem.tree.columns))


def _steps(problem: Problem, verified: Domains) -> dict[int, list[Step]]:
    """By clause, how its root is refuted, where the problem's record says so."""
    if problem.tree is None or not len(verified):
        return {}
    found = problem.tree.steps(verified.part.tolist())
    return {k: steps for k, steps in zip(verified.clause.tolist(), found, strict=True) if steps is not None}
