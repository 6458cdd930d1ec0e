"""From a region and its clauses to a decision: the cheapest bound first, each stage only on the clauses still open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds, spec_bounds
from verify.bounds.nouns import Bounds
from verify.bounds.optimise import by_ascent
from verify.bounds.progressive import progressive
from verify.branch.bounding import bound, mixed_rows, row_room
from verify.branch.domains import Domains
from verify.branch.inputs import worth_splitting_inputs
from verify.branch.narrow import narrowed
from verify.branch.outcome import Limits, Outcome
from verify.branch.parts import by_recorded_parts
from verify.branch.problem import Problem, problem_of
from verify.branch.race import companion, side_by_side
from verify.branch.relu import Confirm, Effort, by_relu_splits, first_domains
from verify.branch.rules import ranked
from verify.branch.tighten import Memory, tightened
from verify.branch.turns import by_turns
from verify.network import Network
from verify.proof.recorder import Recorder
from verify.proof.tree import Columns, Tree
from verify.property import Clause, PropertyCounterexample
from verify.verdict import Verdict
from verify.workers import Helper

GAIN = 0.04  # a round of tightening that closes less than this of every gap is the last one
ROUNDS = 40
FIRST_STEPS, NEXT_STEPS = 20, 10  # of a round: later ones go on where the one before ended
QUICK = 1500.0  # work for each clause in the quick search: some thirty domains
# Rounds at the root that closed this much of the gaps promise well: strong domains then get so much longer turns.
PAYS, FAVOUR = 0.4, 8.0
ATTACK = 0.1  # share of the time left that the thorough attack may take

INPUTS = 0.6  # share of the time left for halving inputs, where that is worth it; branching on ReLUs gets the rest

Attack = Callable[[Tensor, float | None], PropertyCounterexample | None]
"""Positions of clauses and a deadline -> a counterexample, if a thorough attack on them finds one."""


SplitInputs = Callable[[int, Limits], Outcome]
"""The position of a clause and limits -> how halving its inputs ended."""


@dataclass(frozen=True)
class Stage:
    """What a decision may use: its limits, the judge of proposed points, the attack, input splits, how to branch, processes.

    ``workers``: from 2 on, the last stage is two searches in two processes. ``known``: bounds of every node over the region,
    where somebody has optimised them already. ``record``: where a certificate is wanted, what hears of every bound.
    """

    limits: Limits
    confirm: Confirm
    attack: Attack
    split_inputs: SplitInputs
    effort: Effort = field(default_factory=Effort)
    record: Recorder | None = None
    workers: int = 1
    known: Bounds | None = None

    def ascent(self, steps: int, rate: float = 0.25) -> Ascent:
        """A search within the deadline."""
        return Ascent(steps=steps, rate=rate, deadline=self.limits.deadline)

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.limits.left() <= 0


def decide_region(network: Network, clauses: Sequence[Clause], stage: Stage) -> Outcome:
    """Is some clause satisfied by an x of the region that all of ``clauses`` share?

    CROWN; alpha-CROWN with optimised pre-activation bounds; a thorough attack; a quick branch and bound; pre-activation
    bounds tightened with the clause as a constraint; branch and bound. Recomputed: every bound that verifies, in float64
    with its rounding. Trusted: nothing.
    """
    if any(not len(clause.d) for clause in clauses):
        return Outcome(Verdict.UNKNOWN, reason="a clause without rows whose points could not be confirmed")
    for bounds in _ladder(network, clauses, stage):
        problem = problem_of(network, clauses[0].region, bounds, clauses)
        open_ = (~_refuted(problem, bounds, stage.record)).nonzero().squeeze(1)
        if not len(open_):
            return Outcome(Verdict.VERIFIED, domains=len(clauses))
        if stage.late:
            return Outcome(Verdict.UNKNOWN, reason="timeout", domains=len(clauses))
        worth = torch.tensor([worth_splitting_inputs(network, clauses[k]) for k in open_.tolist()])
        if bool(worth.any()):
            return _by_inputs(problem, clauses, (open_[worth], open_[~worth]), stage)
    return _branched(problem, open_, stage)


def _branched(problem: Problem, open_: Tensor, stage: Stage) -> Outcome:
    """Branch on ReLUs for the clauses ``open_``; what was recorded of each that is refuted goes to the record."""
    if stage.record is None:
        return _searched(problem, first_domains(problem).select(open_), stage)
    tree = Tree(Columns.of(problem.network, problem.columns.index))
    problem = replace(problem, tree=tree)
    domains = first_domains(problem)
    outcome = _searched(problem, domains.select(open_), stage)
    for k, steps in zip(open_.tolist(), tree.steps(domains.part[open_].tolist()), strict=True):
        if steps is not None:
            stage.record.case(k, steps)
        elif outcome.verdict is Verdict.VERIFIED or tree.full:
            why = "outgrew its memory" if tree.full else "is incomplete"
            stage.record.missing.append(f"the record of branch and bound {why}")
    if outcome.verdict is Verdict.UNKNOWN:
        stage.record.missing.append(f"branching with a record ended without an answer: {outcome.reason}")
    return outcome


def _by_inputs(problem: Problem, clauses: Sequence[Clause], parts: tuple[Tensor, Tensor], stage: Stage) -> Outcome:
    """Halve the inputs for each clause of the first part; branch on ReLUs for those that stay open, and for the others."""
    open_, others = parts
    count, left = problem.count, others.tolist()
    for done, k in enumerate(open_.tolist()):
        limits = stage.limits
        if limits.deadline is not None:
            part = INPUTS * limits.left() / (len(open_) - done)
            limits = replace(limits, deadline=time.perf_counter() + part)
        outcome = _split_inputs(problem, k, clauses[k], limits, stage)
        count += outcome.domains
        if outcome.verdict is Verdict.FALSIFIED:
            return replace(outcome, domains=count)
        if outcome.verdict is Verdict.UNKNOWN:
            left.append(k)
    if not left:
        return Outcome(Verdict.VERIFIED, domains=count)
    if stage.late:
        return Outcome(Verdict.UNKNOWN, reason="timeout", domains=count)
    outcome = _branched(problem, torch.tensor(left), stage)
    return replace(outcome, domains=count + outcome.domains)


def _split_inputs(problem: Problem, k: int, clause: Clause, limits: Limits, stage: Stage) -> Outcome:
    """Halve the inputs for clause k within ``limits``; where a certificate is wanted, once more in a way that leaves one."""
    outcome = stage.split_inputs(k, limits)
    if stage.record is not None and outcome.verdict is Verdict.VERIFIED:
        root = replace(problem.bounds, pre={r: v.select(torch.tensor([k])) for r, v in problem.bounds.pre.items()})
        again, steps = by_recorded_parts(problem, k, clause, stage.limits, root)
        if again.verdict is Verdict.VERIFIED:
            stage.record.case(k, steps)
        else:
            stage.record.missing.append(f"halving inputs again, with a record, ended without an answer: {again.reason}")
    return outcome


def _ladder(network: Network, clauses: Sequence[Clause], stage: Stage) -> Iterator[Bounds]:
    """Bounds of every node by dearer and dearer methods, unless they are known."""
    if stage.known is not None:
        yield stage.known
        return
    record = stage.record
    crown = [by_slopes(name, deadline=stage.limits.deadline) for name in ("dual", "crown")]
    yield node_bounds(network, clauses[0].region, progressive(*crown), source="crown", record=record)
    if record is not None:
        record.again()
    alpha = progressive(*crown, by_ascent(stage.ascent(20)))
    yield node_bounds(network, clauses[0].region, alpha, source="alpha", record=record)


def _refuted(problem: Problem, bounds: Bounds, record: Recorder | None) -> Tensor:
    """The clauses (K,) of which some row is positive by CROWN."""
    K, J = problem.rows.shape
    each = torch.eye(J, dtype=torch.float64).expand(K, J, J)
    rows = mixed_rows(problem, torch.arange(K), each, {})
    together = replace(
        rows,
        coefficient=rows.coefficient.flatten(0, 1).unsqueeze(0),
        constant=rows.constant.flatten(0, 1).unsqueeze(0),
    )
    at = fixed_lines(bounds, "crown")
    lower = spec_bounds(problem.network, problem.region, bounds, together, at).reshape(K, J)
    best = torch.where(problem.rows, lower, -torch.inf)
    if record is None:
        return best.amax(1) > 0
    lower, row = (best - row_room(problem.C, problem.d, bounds.values[-1].magnitude())).max(1)
    record.by_rows(lower > 0, row, bounds, at)
    return lower > 0


def _searched(problem: Problem, domains: Domains, stage: Stage) -> Outcome:
    """The stages that work on domains, from the roots of the clauses that are open."""
    effort, count, problem = stage.effort, problem.count + len(domains), narrowed(problem)
    search = problem.to_search()
    domains, witness = _rooted(problem, search, domains, stage, stage.ascent(40))
    if witness is None and len(domains):
        quick = replace(effort, work=QUICK * len(domains), share=0.0)
        first = by_relu_splits(problem, domains, stage.limits, stage.confirm, quick)
        count, witness = count + first.bounded, first.counterexample
        domains = domains.select(torch.isin(domains.clause, first.open.clause))
    if witness is None and len(domains):
        share = None if stage.limits.deadline is None else time.perf_counter() + ATTACK * stage.limits.left()
        witness = stage.attack(domains.clause, share)
    if witness is not None:
        return Outcome(Verdict.FALSIFIED, witness, domains=count)
    if not len(domains):
        return Outcome(Verdict.VERIFIED, domains=count)
    with companion(stage.workers > 1 and not stage.late) as child:  # it starts while the rounds go on
        outcome = _tightened_and_branched(problem, search, domains, stage, child)
    return replace(outcome, domains=outcome.domains + count)


def _tightened_and_branched(
    problem: Problem, search: Problem, domains: Domains, stage: Stage, child: Helper | None
) -> Outcome:
    """Rounds of tightening at the roots while they pay, then branch and bound: with ``child``, or by turns without."""
    memory, origin, count, witness = Memory(), domains, 0, None
    for k in range(ROUNDS):
        if witness is not None or not len(domains) or stage.late:
            break
        before = domains
        ascent = stage.ascent(FIRST_STEPS) if k == 0 else stage.ascent(NEXT_STEPS, 0.1)
        tighter = tightened(problem, search, domains, ascent, memory=memory)
        domains, witness = _rooted(problem, search, tighter, stage, stage.ascent(40, 0.1))
        memory = memory.select(torch.isin(before.clause, domains.clause).nonzero().squeeze(1))
        count += len(before)
        if len(domains) == len(before) and bool((domains.lower < (1.0 - GAIN) * before.lower).all()):
            break
    if witness is not None:
        return Outcome(Verdict.FALSIFIED, witness, domains=count)
    if not len(domains):
        return Outcome(Verdict.VERIFIED, domains=count)
    if stage.late:
        return Outcome(Verdict.UNKNOWN, reason="timeout", domains=count)
    del memory
    if child is not None:
        outcome = side_by_side(problem, domains, stage.limits, stage.confirm, stage.effort, child)
    else:
        at_first = origin.lower[torch.isin(origin.clause, domains.clause)].sum()
        favour = FAVOUR if float(domains.lower.sum()) > (1.0 - PAYS) * float(at_first) else 1.0
        outcome = by_turns(problem, domains, stage.limits, stage.confirm, stage.effort, favour)
    return replace(outcome, domains=outcome.domains + count)


def _rooted(
    problem: Problem, search: Problem, domains: Domains, stage: Stage, ascent: Ascent
) -> tuple[Domains, PropertyCounterexample | None]:
    """The domains that stay open with longer optimised bounds, and a counterexample that the bounding forms point at."""
    found = bound(problem, search, domains, ascent)
    left = ranked(problem, found, stage.effort.choices)
    open_ = ~(left.lower > 0)
    return left.select(open_), stage.confirm(found.points[open_], left.clause[open_])
