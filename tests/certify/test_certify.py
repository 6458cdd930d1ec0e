"""Verdicts, margins and evidence of the certifiers; a falsified case beside each verified one."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lying import LIES, LyingSolver
from support.networks import query

import verify
from solvers.registry import get_solver
from verify.certify.methods import METHODS
from verify.certify.options import Options
from verify.certify.run import margin_table
from verify.errors import SoundnessError, UsageError
from verify.selftest.networks import KINDS, network
from verify.selftest.oracle import exact_margins
from verify.verdict import Evidence, MarginTable, Verdict
from verify.witness import confirm

PROVERS = ["interval", "dual", "crown", "alpha", "lp", "milp"]


@pytest.fixture(scope="module")
def diamond():
    """f(x) = (1 + relu(x0) + relu(x1), 0, -1): class 0 by at least 1 wherever the entries are."""
    from verify.load.builder import Builder

    b = Builder()
    h = b.relu(b.input((1, 2)))
    w = torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    return b.finish(b.affine(h, w, torch.tensor([1.0, 0.0, -1.0])))


@pytest.fixture(scope="module")
def seesaw():
    """f(x) = (relu(x0), relu(-x0) + 0.1): class 0 for x0 > 0.1."""
    from verify.load.builder import Builder

    b = Builder()
    h = b.relu(b.affine(b.input((1, 2)), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])))
    return b.finish(b.affine(h, torch.eye(2), torch.tensor([0.0, 0.1])))


@pytest.mark.parametrize("method", PROVERS)
def test_a_robust_input_is_verified_by_recomputed_bounds(diamond, method):
    result = verify.certify(diamond, [0.2, -0.3], 0, epsilon=0.1, method=method)
    assert result.verdict is Verdict.VERIFIED and result.counterexample is None
    assert result.evidence is Evidence.RECOMPUTED and result.reason == ""
    assert [row.target for row in result.margins] == [1, 2]
    for row, truth in zip(result.margins, (1.1, 2.1), strict=True):
        assert row.proved <= truth <= row.upper + 1e-12 and row.lower == pytest.approx(truth, abs=1e-5)


@pytest.mark.parametrize("method", PROVERS)
def test_a_breakable_input_is_falsified_by_a_point_that_was_evaluated(seesaw, method):
    result = verify.certify(seesaw, [0.3, 0.0], 0, epsilon=0.25, method=method)
    assert result.verdict is Verdict.FALSIFIED
    x = result.counterexample
    assert abs(float(x.x[0]) - 0.3) <= 0.25 and x.margin <= 0 and x.predicted == 1 and x.target == 1
    assert float(seesaw(x.x[None])[0, 0]) <= float(seesaw(x.x[None])[0, 1])
    assert torch.equal(x.x, x.x.float().double()), "the counterexample can be given to a float32 network"


@pytest.mark.parametrize("method", PROVERS)
def test_the_same_input_is_verified_in_a_smaller_ball(seesaw, method):
    assert verify.certify(seesaw, [0.3, 0.0], 0, epsilon=0.15, method=method).verdict is Verdict.VERIFIED


def test_a_misclassified_input_is_its_own_counterexample(seesaw):
    result = verify.certify(seesaw, [-0.3, 0.0], 0, epsilon=0)
    assert result.verdict is Verdict.FALSIFIED and result.predicted == 1
    assert result.counterexample.x.tolist() == [-0.3, 0.0]


def test_a_tie_is_not_verified():
    from verify.load.builder import Builder

    b = Builder()
    net = b.finish(b.affine(b.input((1, 1)), torch.tensor([[1.0], [1.0]])))
    result = verify.certify(net, [0.5], 0, epsilon=0.1, method="linear")
    assert result.verdict is not Verdict.VERIFIED and result.lower <= 0 <= result.upper


def test_the_linear_method_is_exact_in_every_norm_and_refuses_relus(seesaw):
    net = network("linear", 4)
    x = torch.full((4,), 0.5, dtype=torch.float64)
    label = int(net(x[None]).argmax())
    for norm in ("linf", "l2", "l1"):
        result = verify.certify(net, x, label, epsilon=0.2, norm=norm, clip=(0, 1), method="linear")
        for row in result.margins:
            assert row.lower <= row.upper and row.upper - row.lower < 1e-6
    with pytest.raises(UsageError, match="method 'linear' is for networks without ReLUs"):
        verify.certify(seesaw, [0.3, 0.0], 0, epsilon=0.1, method="linear")


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10_000), epsilon=st.sampled_from(["0.05", "0.3"]))
def test_lower_and_upper_bracket_the_truth(kind, seed, epsilon):
    q = query(kind, seed, epsilon)
    truth = exact_margins(q)
    for method in ("interval", "alpha", "lp"):
        table, _ = margin_table(q, method, Options())
        assert (table.lower[0].numpy() <= truth + 1e-9).all() and (table.upper[0].numpy() >= truth - 1e-9).all()


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10_000), norm=st.sampled_from(["l2", "l1"]))
def test_round_balls_are_inside_their_boxes(kind, seed, norm):
    """A ball's margins lie above those of its bounding box, and at or below every point of it."""
    ball, box = query(kind, seed, "0.4", norm), query(kind, seed, "0.4", "linf")
    for method in ("interval", "crown", "lp"):
        table, _ = margin_table(ball, method, Options())
        wide = METHODS[method].certify(box, Options()).lower
        assert bool((table.lower <= table.upper).all())
        if method == "interval":
            assert bool((table.lower >= wide - 1e-9).all())


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10_000))
def test_a_larger_region_never_raises_the_best_bound(kind, seed):
    small, large = query(kind, seed, "0.1"), query(kind, seed, "0.2")
    assert (exact_margins(large) <= exact_margins(small) + 1e-7).all()
    below = METHODS["interval"].certify(large, Options()).lower
    assert bool((below <= METHODS["interval"].certify(small, Options()).lower + 1e-9).all())


def test_a_batch_is_its_inputs_one_by_one():
    q = query("mlp", 7, "0.1", count=5)
    together, _ = margin_table(q, "crown", Options())
    for i in range(5):
        alone, _ = margin_table(q.select(torch.tensor([i])), "crown", Options())
        assert torch.allclose(together.lower[i], alone.lower[0], atol=1e-12)


def test_rows_in_chunks_are_rows_at_once(monkeypatch):
    q = query("mlp", 7, "0.3", count=3)
    whole = METHODS["alpha"].certify(q, Options()).lower
    monkeypatch.setattr("verify.bounds.compute.MEMORY_BYTES", 1)
    assert torch.allclose(METHODS["alpha"].certify(q, Options()).lower, whole, atol=1e-9)


@pytest.mark.parametrize("method", ["lp", "milp"])
@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_a_lying_solver_never_verifies_what_is_false(monkeypatch, seesaw, method, lie):
    monkeypatch.setattr("verify.certify.options.get_solver", lambda name: LyingSolver(get_solver("highs"), lie))
    try:
        result = verify.certify(seesaw, [0.3, 0.0], 0, epsilon=0.25, method=method, pre_activation="interval")
    except SoundnessError:
        return
    assert result.verdict is not Verdict.VERIFIED
    assert all(row.proved <= row.upper for row in result.margins)


@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_a_lying_solver_never_breaks_a_recomputed_bound(monkeypatch, lie):
    monkeypatch.setattr("verify.certify.options.get_solver", lambda name: LyingSolver(get_solver("highs"), lie))
    for seed in range(5):
        q = query("mlp", seed, "0.3")
        truth = exact_margins(q)
        assert (METHODS["lp"].certify(q, Options(pre_activation="lp")).lower[0].numpy() <= truth + 1e-9).all()


def test_a_solvers_claim_verifies_only_when_it_is_trusted():
    """An input that alpha cannot prove and the integer program can."""
    for seed in range(200):
        q = query("mlp", seed, "0.3")
        answer = METHODS["milp"].certify(q, Options(pre_activation="interval"))
        if bool(answer.lower.amin() > 0.01) and bool(answer.proved.amin() < -0.001):
            break
    else:
        pytest.fail("no such input among the seeds")
    x, label = q.region.centre[0], int(q.network(q.region.centre).argmax())
    options = {"epsilon": "0.3", "clip": (0, 1), "method": "milp", "pre_activation": "interval"}
    modest = verify.certify(q.network, x, label, **options)
    assert modest.verdict is Verdict.UNKNOWN and modest.reason == "solver's claim only"
    assert any(row.evidence is Evidence.SOLVER_CLAIM for row in modest.margins)
    trusting = verify.certify(q.network, x, label, trust_solver=True, **options)
    assert trusting.verdict is Verdict.VERIFIED and trusting.evidence is Evidence.SOLVER_CLAIM


def test_evidence_is_contagious():
    """Bounds over pre-activation bounds that a solver claims are claims, whatever computes them."""
    for seed in range(100):
        q = query("mlp", seed, "0.3")
        answer = METHODS["crown"].certify(q, Options(pre_activation="milp"))
        if answer.bounds.evidence is Evidence.SOLVER_CLAIM:
            assert bool((answer.proved == -torch.inf).all()) and bool((answer.lower > -torch.inf).all())
            return
    pytest.fail("no network left a ReLU unstable")


def test_a_contradiction_stops_the_run():
    one = torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(SoundnessError, match="no number of this run can be trusted"):
        MarginTable("crown", torch.zeros(1, 1).long(), one, one, one - 0.5, 0.0, "")


def test_only_points_inside_become_counterexamples():
    q = query("mlp", 3, "0.1")
    outside = q.region.upper + 1.0
    assert confirm(q, outside) == [None]
    inside = confirm(q, q.region.centre)
    assert inside == [None], "the centre is classified as labelled"


@pytest.mark.parametrize("method", ["alpha", "lp", "milp"])
def test_a_timeout_is_honoured_and_said(method):
    q = query("mlp", 11, "0.3")
    begun = time.perf_counter()
    table, _ = margin_table(q, method, Options(timeout=1e-6))
    assert time.perf_counter() - begun < 2.0 and bool(torch.isfinite(table.proved).all())
    assert table.reason == "timeout"


def test_compare_checks_every_method_against_every_point(diamond):
    comparison = verify.compare(diamond, [0.2, -0.3], 0, epsilon=0.1)
    assert list(comparison.results) == ["interval", "dual", "crown", "alpha", "lp", "milp", "complete"]
    assert comparison.targets == (1, 2)
    for method, result in comparison.results.items():
        assert all(g >= 0 for g in comparison.gap(method)), method
        assert result.layers and sum(next(iter(result.layers.values()))) == 2


BAD = {
    "unknown method 'crwn': choose from interval, dual": {"method": "crwn"},
    "unknown pre-activation bounds 'x': choose from": {"pre_activation": "x"},
    "unknown option 'timeot'": {"timeot": 3},
    "timeout is 0": {"timeout": 0},
    "label 7 is out of range: the network has 3 outputs, 0 to 2": {"label": 7},
    "takes inputs of shape": {"x": [0.1, 0.2, 0.3]},
    "unknown norm 'l3'": {"norm": "l3"},
}


@pytest.mark.parametrize("message", list(BAD))
def test_misuse_is_named(diamond, message):
    arguments = {"x": [0.2, -0.3], "label": 0, "epsilon": 0.1, **BAD[message]}
    with pytest.raises(UsageError, match=message):
        verify.certify(diamond, arguments.pop("x"), arguments.pop("label"), **arguments)


def test_inputs_may_be_arrays_tensors_or_lists(diamond):
    for x in ([0.2, -0.3], np.array([[0.2, -0.3]]), torch.tensor([0.2, -0.3])):
        assert verify.certify(diamond, x, 0, epsilon=0.1).verdict is Verdict.VERIFIED
