"""What is decided is the truth, which is known by enumerating activation patterns: every kind of network, ball and engine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.networks import query, samples

import verify
from verify.branch import cascade
from verify.exact_evaluation import is_exact
from verify.property import Clause, Property, rows_as_clauses
from verify.selftest.networks import KINDS, weights
from verify.selftest.oracle import lowest_worst_row
from verify.specification import Query, Specification
from verify.verdict import Verdict

GAPS = (0.2, 0.01, 1e-4, -1e-4, -0.01, -0.2)


def shifted(q: Query, seed: int, rows: int, gap: float, *, strict: bool = False) -> Clause:
    """A clause of random rows whose largest has the minimum ``gap`` over the region: satisfied somewhere iff gap <= 0."""
    C = weights(torch.Generator().manual_seed(seed), rows, q.network.outputs)
    zero = torch.zeros(1, rows, dtype=torch.float64)
    plain = Query(q.network, q.region, Specification(C.unsqueeze(0), zero, torch.zeros(1, rows).long()))
    d = zero[0] + (gap - lowest_worst_row(plain))
    return Clause(q.region, C, d, d, torch.full((rows,), strict))


def check(q: Query, clauses: tuple[Clause, ...], holds: bool) -> None:
    decision = verify.decide(q.network, Property(clauses), timeout=20)
    assert decision.verdict is (Verdict.VERIFIED if holds else Verdict.FALSIFIED), decision.reason
    if not holds:
        x, clause = decision.counterexample.x.unsqueeze(0), clauses[decision.counterexample.clause]
        assert bool(q.region.contains(x).all())
        assert bool((clause.C @ q.network(x)[0] + clause.d <= 1e-9).all())


@pytest.fixture(params=["relus", "all"])
def engine(request, monkeypatch):
    """With ``relus``, nothing but ReLU branch and bound may decide: no input splits."""
    if request.param == "relus":
        monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: False)
    return request.param


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_verdict_is_the_truth(kind, norm, engine):
    if engine == "all" and norm != "linf":
        pytest.skip("inputs of a round ball are not split")
    if kind == "convolution" and norm != "linf":
        pytest.skip("the oracle takes seconds for a round ball in twelve dimensions")

    @given(seed=st.integers(0, 10**6), rows=st.integers(1, 3), gap=st.sampled_from(GAPS), strict=st.booleans())
    @settings(max_examples=5, deadline=None, derandomize=True, phases=[Phase.generate])
    def law(seed, rows, gap, strict):
        q = query(kind, seed, "0.4", norm)
        check(q, (shifted(q, seed, rows, gap, strict=strict),), holds=gap > 0)

    law()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("gaps", [(0.05, 0.2, 0.01), (0.05, -0.01, 0.2)])
def test_clauses_of_different_lengths_are_alternatives(kind, gaps, engine):
    q = query(kind, 7, "0.4")
    clauses = tuple(shifted(q, 3 + k, k + 1, gap) for k, gap in enumerate(gaps))
    check(q, clauses, holds=min(gaps) > 0)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_rows_of_a_classification_are_decided_one_by_one(kind, norm, engine):
    """The label's own region: a verified question has no sample that breaks it, a falsified one has its point."""
    for seed, epsilon in ((1, "0.05"), (2, "0.5")):
        q = query(kind, seed, epsilon, norm)
        decision = verify.decide(q.network, rows_as_clauses(q), timeout=60)
        if decision.verdict is Verdict.VERIFIED:
            points = samples(q.region, 500)
            many = q.select(torch.zeros(500, dtype=torch.long))
            assert bool((many.margins(points) > 0).all())
        else:
            x = decision.counterexample.x.unsqueeze(0)
            assert decision.verdict is Verdict.FALSIFIED
            assert bool((q.margins(x) <= 1e-12).any()) and bool(q.region.contains(x).all())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ties_are_not_verified(kind, engine):
    """A row that is 0 everywhere: every point satisfies it, and only exact arithmetic can say so."""
    q = query(kind, 0, "0.1")
    zero = torch.zeros(1, dtype=torch.float64)
    tie = Clause(q.region, torch.zeros(1, 3, dtype=torch.float64), zero, zero, torch.zeros(1, dtype=torch.bool))
    decision = verify.decide(q.network, Property((tie,)), timeout=1)
    assert decision.verdict is (Verdict.FALSIFIED if is_exact(q.network) else Verdict.UNKNOWN)
    strict = Clause(tie.region, tie.C, zero, zero, torch.ones(1, dtype=torch.bool))
    decision = verify.decide(q.network, Property((strict, strict)), timeout=0.3)
    assert decision.verdict is Verdict.UNKNOWN, "0 < 0 holds nowhere, but no bound says so"
