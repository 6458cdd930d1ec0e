"""The method that decides: its table is true, its verdicts are the truth, its time is what was given."""

from __future__ import annotations

import math
import time

import pytest
import torch
from support.networks import query

import verify
from verify.branch import cascade
from verify.certify import complete as module
from verify.certify import team
from verify.certify.complete import POSITIVE
from verify.certify.options import Options
from verify.certify.run import margin_table
from verify.selftest.networks import KINDS
from verify.selftest.oracle import exact_margins
from verify.specification import Query, classification
from verify.verdict import Evidence, Verdict


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("epsilon", ["0.1", "0.4"])
def test_every_verdict_is_the_truth(kind, epsilon):
    for seed in (3, 8):
        q = query(kind, seed, epsilon)
        truth = exact_margins(q)
        table, found = margin_table(q, "complete", Options(timeout=20))
        assert (table.lower[0].numpy() <= truth + 1e-9).all() and (table.upper[0].numpy() >= truth - 1e-9).all()
        if abs(truth.min()) > 1e-6:
            assert table.verdicts()[0] is (Verdict.VERIFIED if truth.min() > 0 else Verdict.FALSIFIED)
            assert (found[0] is None) == (truth.min() > 0)
        assert table.evidence(0, 0) is Evidence.RECOMPUTED


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", "0.3"), ("l2", "0.45"), ("l1", "0.7")])
def test_many_inputs_are_answered_as_each_alone(norm, epsilon):
    q = query("mlp", 13, epsilon, norm, count=9)  # of which alpha leaves some open
    together, found = margin_table(q, "complete", Options(timeout=20))
    assert set(together.verdicts()) == {Verdict.VERIFIED, Verdict.FALSIFIED}, "one of each beside the other"
    for i in range(9):
        alone, own = margin_table(q.select(torch.tensor([i])), "auto", Options(timeout=20))
        assert together.verdicts()[i] is alone.verdicts()[0] and (found[i] is None) == (own[0] is None)
        assert together.seconds_of(i) > 0


def test_a_row_that_branch_and_bound_proved_is_just_positive():
    """Alpha leaves a row open that is true; what is then known of its margin is the sign."""
    for seed in range(40):
        q = query("mlp", seed, "0.3")
        weak, _ = margin_table(q, "alpha", Options())
        if weak.verdicts()[0] is Verdict.UNKNOWN and exact_margins(q).min() > 1e-3:
            table, _ = margin_table(q, "complete", Options())
            opened = weak.proved[0] <= 0
            assert table.verdicts()[0] is Verdict.VERIFIED and bool((table.proved[0, opened] == POSITIVE).all())
            assert math.nextafter(0.0, 1.0) == POSITIVE
            return
    pytest.fail("alpha decided every network")


def test_misclassified_inputs_are_answered_without_a_search(monkeypatch):
    q = query("mlp", 1, "0.3", count=3)
    wrong = (q.network(q.region.centre).argmax(1) + 1) % 3
    asked = Query(q.network, q.region, classification(wrong, 3))
    for where, name in ((module, "crown"), (module, "alpha"), (team, "decide_known")):
        monkeypatch.setattr(where, name, lambda *_, **__: pytest.fail("no bound was needed"))
    table, found = margin_table(asked, "complete", Options())
    assert table.verdicts() == [Verdict.FALSIFIED] * 3 and all(found)
    assert bool(torch.isfinite(table.lower).all())


def test_a_network_without_relus_gets_its_exact_margins():
    q = query("linear", 2, "0.2", count=2)
    table, _ = margin_table(q, "complete", Options())
    assert bool((table.upper - table.lower < 1e-9).all())


@pytest.mark.parametrize("timeout", [1e-6, 0.1])
def test_the_timeout_is_each_inputs_own(timeout, monkeypatch):
    """A search that never ends gets what its input has left, and the others lose nothing by it."""
    given = []

    def endless(network, prop, *, timeout, **_):
        given.append(timeout)
        time.sleep(max(timeout, 0.0))
        return verify.Decision(Verdict.UNKNOWN, None, "timeout", 1, timeout)

    monkeypatch.setattr(team, "decide_known", endless)
    q = query("mlp", 13, "0.3", count=9)
    begun = time.perf_counter()
    table, _ = margin_table(q, "complete", Options(timeout=timeout))
    spent = time.perf_counter() - begun
    assert spent < 9 * timeout + 1.0 and all(0 < t <= timeout for t in given)
    left = [table.reason_of(i) for i, v in enumerate(table.verdicts()) if v is Verdict.UNKNOWN]
    assert left and set(left) == {"timeout"}


def test_the_reason_is_the_engines(monkeypatch):
    monkeypatch.setattr(team, "decide_known", lambda *_, **__: verify.Decision(Verdict.UNKNOWN, None, "memory", 1, 0.0))
    monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda *_: False)
    for seed in range(40):
        q = query("mlp", seed, "0.3")
        table, found = margin_table(q, "complete", Options())
        if table.verdicts()[0] is Verdict.UNKNOWN:
            assert table.reason_of(0) == "memory" and found == [None]
            return
    pytest.fail("cheap bounds decided every network")


def test_a_false_verification_is_a_contradiction(monkeypatch):
    """If the engine called a falsified row verified, the attack's point would stop the run."""
    lie = verify.Decision(Verdict.VERIFIED, None, "", 1, 0.0)
    monkeypatch.setattr(team, "decide_known", lambda *_, **__: lie)
    q = query("mlp", 13, "0.3", count=9)
    with pytest.raises(verify.SoundnessError, match="no number of this run can be trusted"):
        margin_table(q, "complete", Options())


def test_auto_is_the_default_and_is_called_complete():
    q = query("mlp", 3, "0.05")
    result = verify.certify(q.network, q.region.centre[0], 0, epsilon=0.05)
    assert result.method == "complete"
