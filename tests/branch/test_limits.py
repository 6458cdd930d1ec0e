"""Time and memory end a search honestly, and nothing but the question changes a verdict."""

from __future__ import annotations

import time

import pytest
import torch
from support.networks import query
from support.questions import exact_clause, hard

import verify
from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, node_bounds
from verify.branch import cascade
from verify.branch.bounding import bound
from verify.branch.cascade import Stage, decide_region
from verify.branch.outcome import Limits, Outcome
from verify.branch.problem import problem_of
from verify.branch.relu import Effort, by_relu_splits, first_domains
from verify.branch.rules import ranked
from verify.load.builder import Builder
from verify.network import Network
from verify.property import Clause, Property, rows_as_clauses
from verify.region import ball, box
from verify.selftest.networks import KINDS, network, weights
from verify.verdict import Verdict


@pytest.fixture(autouse=True)
def relus_only(monkeypatch):
    """ReLU branch and bound has limits of its own; those of input splits are tested with them."""
    monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: False)


@pytest.mark.parametrize("timeout", [1e-6, 0.2, 1.0])
def test_the_deadline_ends_the_search(timeout):
    net, clause = hard()
    begun = time.perf_counter()
    decision = verify.decide(net, Property((clause,)), timeout=timeout)
    assert (decision.verdict, decision.reason) == (Verdict.UNKNOWN, "timeout")
    assert time.perf_counter() - begun < timeout + 1.0


def test_the_memory_limit_ends_the_search():
    net, clause = hard()
    problem = problem_of(net, clause.region, node_bounds(net, clause.region, by_slopes("crown")), [clause])
    found = bound(problem, problem.to_search(), first_domains(problem), Ascent(steps=2))
    start = ranked(problem, found, Effort().choices)
    left = by_relu_splits(
        problem, start, Limits(memory_bytes=20_000), lambda x, clause: None, Effort(steps=2, trials=2)
    )
    assert left.reason == "memory" and len(left.open)


@pytest.mark.parametrize("gap", [0.003, -0.003])
def test_the_same_seed_takes_the_same_steps(gap):
    q = query("mlp", 11, "0.5")
    prop = Property((exact_clause(q, gap),))
    first, second = (verify.decide(q.network, prop, seed=3) for _ in range(2))
    assert (first.verdict, first.domains) == (second.verdict, second.domains)
    if first.counterexample is not None:
        assert torch.equal(first.counterexample.x, second.counterexample.x)


EFFORTS = {
    "few steps": Effort(steps=1, trials=1, tighten_steps=1),
    "one domain at a time": Effort(most=1),
    "few choices": Effort(choices=1, trials=4),
    "no tightening": Effort(share=0.0),
    "much tightening": Effort(share=10.0, tighten_steps=3),
    "wild steps": Effort(rate=30.0),
    "no room": Effort(batch_bytes=1),
}


@pytest.mark.parametrize("effort", list(EFFORTS))
@pytest.mark.parametrize("kind", ["mlp", "residual", "rewritten", "branches"])
def test_effort_changes_no_verdict(effort, kind, monkeypatch):
    monkeypatch.setattr(cascade, "Effort", lambda: EFFORTS[effort])
    q = query(kind, 11, "0.5")
    for gap in (0.003, -0.003):
        clause = exact_clause(q, gap)
        judge = _judge(q.network, clause)
        stage = Stage(
            Limits(deadline=time.perf_counter() + 20), judge, lambda k, deadline: None, _none, EFFORTS[effort]
        )
        outcome = decide_region(q.network, [clause], stage)
        wanted = (Verdict.VERIFIED,) if gap > 0 else (Verdict.FALSIFIED, Verdict.UNKNOWN)
        assert outcome.verdict in wanted, outcome.reason


def _none(k: int, limits: Limits) -> Outcome:
    return Outcome(Verdict.UNKNOWN)


def _judge(net: Network, clause: Clause):
    return lambda x, owner: verify.witness.confirm_clause(net, clause, x)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_region_of_one_point_is_decided(kind):
    net = network(kind, 4)
    x = torch.full((1, *net.input_shape), 0.375, dtype=torch.float64)
    C = weights(torch.Generator().manual_seed(1), 2, net.outputs)
    for gap in (1e-9, -1e-9):
        d = gap - (C @ net(x)[0])
        clause = Clause(box(x, x), C, d, d, torch.zeros(2).bool())
        decision = verify.decide(net, Property((clause, clause)), timeout=10)
        assert decision.verdict is (Verdict.VERIFIED if gap > 0 else Verdict.FALSIFIED)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_several_clauses_about_a_network_without_relus(norm):
    q = query("linear", 3, "0.2", norm)
    for gap in (1e-4, -1e-4, 1e-13):
        decision = verify.decide(q.network, Property((exact_clause(q, gap), exact_clause(q, gap, 1))), timeout=5)
        if abs(gap) > 1e-6:
            assert decision.verdict is (Verdict.VERIFIED if gap > 0 else Verdict.FALSIFIED)


def test_a_clause_without_rows_is_satisfied_by_every_point():
    q = query("mlp", 0, "0.1")
    none = Clause(
        q.region, torch.zeros(0, 3).double(), torch.zeros(0).double(), torch.zeros(0).double(), torch.zeros(0).bool()
    )
    decision = verify.decide(q.network, Property((*rows_as_clauses(q).clauses, none)))
    assert decision.verdict is Verdict.FALSIFIED
    assert verify.decide(q.network, Property(())).verdict is Verdict.VERIFIED


def test_two_relus_that_read_one_node_are_split_apart():
    """``relu(y)`` and ``relu(y)`` again, then ``relu(a - b)``, which is 0 everywhere."""
    b = Builder()
    x = b.input((1, 3))
    y = b.affine(x, torch.tensor([[1.0, -1.0, 0.5], [0.3, 1.0, -2.0]]).double())
    left, right = b.relu(y), b.relu(y)
    net = b.finish(b.affine(b.relu(b.subtract(left, right)), torch.ones(1, 2).double()))
    region = ball(torch.zeros(1, 3).double(), 1)
    for d, verdict in ((1e-3, Verdict.VERIFIED), (-1e-3, Verdict.FALSIFIED)):
        row = torch.tensor([d], dtype=torch.float64)
        for sign in (1.0, -1.0):
            clause = Clause(region, torch.full((1, 1), sign).double(), row, row, torch.zeros(1).bool())
            assert verify.decide(net, Property((clause,)), timeout=20).verdict is verdict
