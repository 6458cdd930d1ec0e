"""Plain and strong branch and bound by turns, in one process: nobody knows beforehand which of them is the better."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from verify.branch.domains import Domains, missing
from verify.branch.forecast import work_left
from verify.branch.outcome import Limits, Outcome, why_open
from verify.branch.problem import Problem
from verify.branch.relu import Confirm, Effort, by_relu_splits
from verify.branch.strong import Strong
from verify.branch.tighten import Memory
from verify.verdict import Verdict

FAVOUR = 8.0  # how much longer the turns of the search are that looks as if it will be the first
TURN = 50_000.0  # work of the first turn of each kind of branch and bound: two thousand plain domains


def by_turns(
    problem: Problem, domains: Domains, limits: Limits, confirm: Confirm, effort: Effort, favour: float = 1.0
) -> Outcome:
    """Decide the clauses of ``domains``, their roots; each turn is twice as long; either one's answer to a clause settles it.

    At first the strong one's turns are ``favour`` times as long, and where it is favoured it begins; once both have had a turn, the
    one with less work left by its forecast is favoured. The strong one starts without the memory of
    the rounds at the root: searches from afresh got further (benchmarks/README.md). Recomputed: every bound that verifies.
    """
    strong = Strong(problem, problem.to_search(), limits, confirm, effort, [(domains, Memory())])
    pool, turn, count, splits, spent = domains, TURN, 0, torch.zeros(problem.count), 0.0
    share = (0.0 if favour > 1.0 else 1.0, favour)
    while True:
        plain = by_relu_splits(problem, pool, limits, confirm, replace(effort, work=share[0] * turn))
        count, splits, spent = count + plain.bounded, splits + plain.splits, spent + plain.work
        if plain.counterexample is not None:
            return Outcome(Verdict.FALSIFIED, plain.counterexample, domains=count)
        strong.without(missing(problem.count, plain.open))
        other = strong.run(share[1] * turn)
        if other.counterexample is not None:
            return Outcome(Verdict.FALSIFIED, other.counterexample, domains=count + other.bounded)
        pool = plain.open.where(torch.isin(plain.open.clause, other.open.clause))
        if not len(pool):
            return Outcome(Verdict.VERIFIED, domains=count + other.bounded)
        if "work" not in (plain.reason, other.reason):
            why = why_open((plain.reason, other.reason))
            return Outcome(Verdict.UNKNOWN, reason=why, domains=count + other.bounded)
        turn *= 2.0
        ahead = [
            work_left(domains, left, done, work) if work >= TURN else math.nan
            for left, done, work in ((pool, splits, spent), (other.open, other.splits, other.work))
        ]
        if any(math.isnan(one) for one in ahead):
            share = (1.0, favour)
        else:
            share = (FAVOUR if ahead[0] < ahead[1] else 1.0, FAVOUR if ahead[1] < ahead[0] else 1.0)
