"""Certificates of decisions: ReLU splits, input splits, tightening, several rows, clauses and regions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.networks import query
from support.proofs import accepted, opened, ops
from support.questions import exact_clause, hard

import verify
from verify.branch import cascade, turns
from verify.property import Clause, Property
from verify.region import ball
from verify.selftest.networks import KINDS, network
from verify.selftest.oracle import lowest_worst_row
from verify.specification import Query, Specification
from verify.verdict import Verdict


@pytest.fixture(params=["relus", "tightened", "turns", "inputs"])
def engine(request, monkeypatch):
    """``relus``: no input splits. ``tightened``: rounds of tightening before every branch. ``turns``: quick turns, no rounds."""
    if request.param != "inputs":
        monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: False)
    if request.param in ("tightened", "turns"):
        monkeypatch.setattr(cascade, "QUICK", 0.0)
        monkeypatch.setattr(cascade, "ROUNDS", {"tightened": cascade.ROUNDS, "turns": 0}[request.param])
        monkeypatch.setattr(turns, "TURN", 1.0)
    return request.param


def certified(net, *clauses: Clause):
    decision = verify.decide(net, Property(clauses), timeout=20, certificate=True)
    assert decision.verdict is Verdict.VERIFIED, decision.reason
    accepted(decision.certificate, net)
    return decision.certificate.data


# A question for which each engine has to do what it is there for.
BRANCHED = {"relus": "in tree", "tightened": "in bounds", "turns": "in split", "inputs": "in boxes"}


@pytest.mark.parametrize("kind", ["mlp", "residual", "rewritten", "branches"])
def test_what_branching_verified_is_accepted(kind: str, engine: str) -> None:
    q = query(kind, 7, "0.4")
    assert any(op.startswith("in ") for op in ops(certified(q.network, exact_clause(q, 1e-3))))


def test_every_kind_of_step_is_written(engine: str) -> None:
    seen: set[str] = set()
    for seed in 2, *range(20):
        q = query("residual", seed, "0.8")
        seen |= set(ops(certified(q.network, exact_clause(q, 1e-4))))
        if BRANCHED[engine] in seen:
            return
    raise AssertionError(seen)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_certificate_says_verified_and_nothing_else_has_one(norm: str, engine: str) -> None:
    @given(
        kind=st.sampled_from(sorted(set(KINDS) - {"convolution"})),
        seed=st.integers(0, 10**6),
        rows=st.integers(1, 3),
        gap=st.sampled_from([0.02, 1e-4, -1e-4, -0.02]),
    )
    @settings(max_examples=3 if norm == "linf" else 1, deadline=None, derandomize=True, phases=[Phase.generate])
    def law(kind, seed, rows, gap):
        q = query(kind, seed, "0.5", norm)
        clause = exact_clause(q, gap, rows)
        if gap > 0:
            certified(q.network, clause)
        decision = verify.decide(q.network, Property((clause,)), timeout=20, certificate=True)
        plain = verify.decide(q.network, Property((clause,)), timeout=20)
        assert plain.verdict is decision.verdict
        assert plain.certificate is None
        assert (decision.certificate is not None) == (gap > 0) == (decision.verdict is Verdict.VERIFIED)

    law()


def test_clauses_of_several_lengths_about_several_regions(engine: str) -> None:
    net = network("mlp", 7)
    clauses = []
    for k, epsilon in enumerate(("0.3", "0.5", "0.1")):
        g = torch.Generator().manual_seed(k)
        region = ball(torch.rand(1, 4, generator=g, dtype=torch.float64), epsilon, clip=(0, 1))
        free = Specification(torch.zeros(1, 1, 3).double(), torch.zeros(1, 1).double(), torch.zeros(1, 1).long())
        q = Query(net, region, free)
        clauses += [exact_clause(q, 1e-3, rows) for rows in ((1, 2, 3) if k == 1 else (2,))]
    # In the file, the clauses of a region need not follow each other.
    order = [clauses[i] for i in (1, 0, 4, 2, 3)]
    data = certified(net, *order)
    file = opened(data)
    parts = file.document["claim"]["parts"]
    assert [file.arrays[part["rows"]].tolist() for part in parts] == [[1, 2, 3], [2], [2]]
    assert len(file.document["steps"]) == 3


def test_one_clause_that_breaks_the_property_leaves_no_certificate() -> None:
    q = query("mlp", 7, "0.4")
    clauses = (exact_clause(q, 0.05, 1), exact_clause(q, -0.01, 2))
    decision = verify.decide(q.network, Property(clauses), timeout=20, certificate=True)
    assert (decision.verdict, decision.certificate) == (Verdict.FALSIFIED, None)


def test_no_certificate_without_an_answer() -> None:
    net, clause = hard()
    decision = verify.decide(net, Property((clause,)), timeout=0.5, certificate=True)
    assert (decision.verdict, decision.certificate) == (Verdict.UNKNOWN, None)


def test_a_box_is_a_region_too() -> None:
    q = query("mlp", 7, "0.4")
    region = verify.box(q.region.lower, q.region.upper)
    clause = replace(exact_clause(q, 1e-3, 2), region=region)
    data = certified(q.network, clause)
    assert opened(data).document["claim"]["parts"][0]["region"]["kind"] == "box"
    assert lowest_worst_row(q) < 10


def test_parts_of_a_network_without_relus(monkeypatch) -> None:
    monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: True)
    seen = set()
    for seed in range(12):
        q = query("linear", seed, "0.8")
        seen |= set(ops(certified(q.network, exact_clause(q, 1e-3, 3))))
    assert "in boxes" in seen
