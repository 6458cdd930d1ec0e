"""Few, strong domains: after every split all intervals are tightened, round after round, while that pays.

A round costs as much as bounding hundreds of domains. It pays where the intervals of deep layers are what is loose: each that
gets tighter makes the others tighter, and a domain often collapses altogether. Where it does not, plain splitting wins
(:mod:`verify.branch.relu`); nobody knows beforehand, so the two take turns (:mod:`verify.branch.cascade`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from verify.bounds.climb import Ascent
from verify.branch.bounding import Bounded, bound
from verify.branch.domains import Domains, halved, joined
from verify.branch.outcome import Limits
from verify.branch.problem import Problem
from verify.branch.relu import Branched, Confirm, Effort, first_domains, leaves_settled
from verify.branch.rules import ranked, tried
from verify.branch.tighten import Memory, tightened
from verify.property import PropertyCounterexample

AGAIN = 0.1  # a round that closes less than this of the gaps is the last one before a split
TRIALS = 8  # columns tried before a split
BATCH = 8  # domains tightened together
FIRST, NEXT = 12, 10  # steps of a domain's first round without memory, and of every other


@dataclass
class Strong:
    """A search that can be interrupted: batches of open domains, each with what its rounds remember, deepest last."""

    problem: Problem
    copy: Problem
    limits: Limits
    confirm: Confirm
    effort: Effort
    stack: list[tuple[Domains, Memory]]
    bounded: int = 0
    work: float = 0.0
    witness: PropertyCounterexample | None = None
    leaves: list[Domains] = field(default_factory=list)
    splits: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.splits = torch.zeros(self.problem.count)

    def run(self, work: float) -> Branched:
        """Go on for ``work`` steps of rows, or until all is decided; depth first.

        Recomputed: every bound by which a domain is dropped, as in :func:`verify.branch.bounding.bound`.
        """
        end, reason = self.work + work, "timeout" if self.limits.left() <= 0 else ""
        while self.stack and self.witness is None and not reason:
            domains, memory = self._without_leaves(*self.stack.pop())
            if not len(domains):
                continue
            if len(domains) > BATCH:
                order = domains.lower.argsort(descending=True)
                for part in (order[BATCH:], order[:BATCH]):
                    self.stack.append((domains.select(part), memory.select(part)))
                continue
            self._split(domains, memory)
            reason = self._stopped(end)
        open_ = [domains for domains, _ in self.stack] + self.leaves
        if open_ and not reason:
            reason = "leaf"
        return Branched(
            joined(open_) if open_ else first_domains(self.problem).select(slice(0, 0)),
            self.witness,
            reason,
            self.bounded,
            self.splits,
            self.work,
        )

    def without(self, clauses: torch.Tensor) -> None:
        """Forget the domains of clauses that were decided elsewhere."""
        kept = []
        for domains, memory in self.stack:
            index = (~torch.isin(domains.clause, clauses)).nonzero().squeeze(1)
            if len(index):
                kept.append((domains.select(index), memory.select(index)))
        self.stack = kept
        self.leaves = [part for d in self.leaves if len(part := d.select(~torch.isin(d.clause, clauses)))]

    def _stopped(self, end: float) -> str:
        if self.limits.left() <= 0:
            return "timeout"
        if 2 * sum(memory.bytes for _, memory in self.stack) > self.limits.memory_bytes:
            self.stack = [(domains, Memory()) for domains, _ in self.stack]  # slower, but it goes on
        return "work" if self.work > end else ""

    def _split(self, domains: Domains, memory: Memory) -> None:
        """Halve the domains; tighten and bound the halves while that pays; keep what stays open."""
        halves = halved(self.problem, domains, tried(self.copy, domains, TRIALS, self.limits))
        memory = memory.select(torch.arange(len(domains)).repeat(2))
        self.splits = self.splits + torch.bincount(domains.clause, minlength=self.problem.count)
        self.work += len(halves) * (self.effort.steps + TRIALS)
        now, memory = self._bounded(halves, memory)
        while len(now) and self.witness is None and self.limits.left() > 0:
            before = now
            steps = NEXT if memory.forms else FIRST
            self.work += float(2 * steps * ((now.low < 0) & (now.high > 0)).sum())
            ascent = Ascent(steps=steps, rate=0.1 if memory.forms else 0.25, deadline=self.limits.deadline)
            now, memory = self._bounded(tightened(self.problem, self.copy, now, ascent, memory=memory), memory)
            if len(now) == len(before) and float(now.lower.sum()) < (1.0 - AGAIN) * float(before.lower.sum()):
                break
        if len(now):
            self.stack.append((now, memory))

    def _bounded(self, domains: Domains, memory: Memory) -> tuple[Domains, Memory]:
        self.bounded += len(domains)
        ascent = Ascent(steps=self.effort.steps, rate=self.effort.rate, deadline=self.limits.deadline)
        found: Bounded = bound(self.problem, self.copy, domains, ascent)
        left = ranked(self.problem, found, self.effort.choices)
        index = (~(left.lower > 0)).nonzero().squeeze(1)
        self.witness = self.witness or self.confirm(found.points[index], left.clause[index])
        return self._without_leaves(left.select(index), memory.select(index))

    def _without_leaves(self, domains: Domains, memory: Memory) -> tuple[Domains, Memory]:
        leaf = domains.choices[:, 0] < 0
        if bool(leaf.any()) and self.witness is None:
            stuck, self.witness = leaves_settled(self.problem, domains.select(leaf), self.limits, self.confirm)
            self.leaves += [stuck] if len(stuck) else []
        index = (~leaf).nonzero().squeeze(1)
        return domains.select(index), memory.select(index)
