"""The kinds of branch and bound agree with the truth, alone and by turns."""

from __future__ import annotations

import pytest
import torch
from support.networks import query

from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, node_bounds
from verify.branch import cascade, turns
from verify.branch.bounding import bound
from verify.branch.decide import decide
from verify.branch.leaf import settled
from verify.branch.outcome import Limits
from verify.branch.problem import problem_of
from verify.branch.relu import Effort, by_relu_splits, first_domains
from verify.branch.rules import ranked
from verify.branch.strong import Strong
from verify.branch.tighten import Memory, tightened
from verify.property import rows_as_clauses
from verify.selftest.networks import KINDS
from verify.selftest.oracle import exact_margins
from verify.verdict import Verdict

SEEDS = range(6)


def _problem(kind, seed, epsilon="0.3"):
    q = query(kind, seed, epsilon)
    clauses = rows_as_clauses(q).clauses
    return q, problem_of(q.network, q.region, node_bounds(q.network, q.region, by_slopes("crown")), clauses)


def _nobody(points, clause):
    """Confirms nothing, so that only bounds decide."""


@pytest.mark.parametrize("kind", KINDS)
def test_plain_and_strong_search_verify_exactly_the_clauses_that_hold(kind):
    for seed in SEEDS:
        q, problem = _problem(kind, seed)
        truth = torch.as_tensor(exact_margins(q))
        limits = Limits()
        root = bound(problem, problem.to_search(), first_domains(problem), Ascent(steps=5))
        domains = ranked(problem, root, Effort().choices)
        domains = domains.select(domains.lower <= 0)
        plain = by_relu_splits(problem, domains, limits, _nobody, Effort())
        strong = Strong(problem, problem.to_search(), limits, _nobody, Effort(), [(domains, Memory())]).run(1e9)
        for found in (plain, strong):
            open_ = torch.isin(torch.arange(problem.count), found.open.clause)
            assert bool((truth[~open_] > -1e-9).all())  # 1e-9: the oracle's, not ours
            assert bool((truth[open_] < 1e-7).all())
            assert not len(found.open) or found.reason == "leaf"


@pytest.mark.parametrize("turn", [1.0, 300.0])
def test_the_length_of_a_turn_changes_no_verdict(turn, monkeypatch):
    monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: False)
    monkeypatch.setattr(cascade, "QUICK", 0.0)
    monkeypatch.setattr(cascade, "ROUNDS", 1)
    verdicts = {}
    for length in (turn, turns.TURN):
        monkeypatch.setattr(turns, "TURN", length)
        queries = [query("mlp", seed, "0.4") for seed in range(12)]
        verdicts[length] = [decide(q.network, rows_as_clauses(q)).verdict for q in queries]
    assert verdicts[turn] == verdicts[turns.TURN]
    assert {Verdict.VERIFIED, Verdict.FALSIFIED} <= set(verdicts[turn])


@pytest.mark.parametrize("kind", KINDS)
def test_rounds_with_memory_never_loosen_an_interval(kind):
    _, problem = _problem(kind, 3)
    search, memory, now = problem.to_search(), Memory(), first_domains(problem)
    for _ in range(3):
        before = now
        now = tightened(problem, search, now, Ascent(steps=5), memory=memory)
        assert bool((now.low >= before.low).all() and (now.high <= before.high).all())


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"dead_and_stable"}))  # which has units at zero exactly
def test_a_domain_without_unstable_neurons_is_settled_by_its_linear_program(kind):
    """In a region of a point all neurons are stable, but for zeros, and the program's bound is the margin there."""
    problems = [(q, p) for q, p in (_problem(kind, seed, "0") for seed in range(30)) if not p.columns.count]
    assert problems
    for q, problem in problems[:3]:
        found, points = settled(problem, first_domains(problem), Limits())
        assert torch.allclose(found.lower, torch.as_tensor(exact_margins(q)), atol=1e-6)
        assert torch.equal(points, q.region.lower.expand(len(points), *points.shape[1:]))
