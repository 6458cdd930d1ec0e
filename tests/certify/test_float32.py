"""Claims about the network as it is executed: verdicts, counterexamples, certificates, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from support.exact import exact_value
from support.executions import single

import verify
from verify.certify.methods import METHODS
from verify.certify.options import Options
from verify.check import check
from verify.executed import executed, meant
from verify.load.builder import Builder
from verify.proof.canonical import canonical
from verify.proof.certificate import Certificate, Refused, certified
from verify.proof.recorder import Recorder, places
from verify.property import Clause, Property, rows_as_clauses
from verify.region import ball, box
from verify.selftest.networks import network
from verify.specification import Query, classification
from verify.verdict import Evidence, Verdict
from verify.witness import confirm, upper_margins

EPSILON = Fraction(1, 2**24)


def brightened() -> tuple[verify.Network, torch.Tensor, int]:
    """A network, and an input brightened until its margin over the ball around it is hardly positive (Jia & Rinard 2021)."""
    g = torch.Generator().manual_seed(0)
    b = Builder()
    x = b.input((1, 8))
    for n in (12, 8):
        x = b.relu(
            b.affine(x, torch.randn(n, x.shape[1], generator=g).double(), torch.randn(n, generator=g).double() / 2)
        )
    net = b.finish(b.affine(x, torch.randn(2, 8, generator=g).double(), torch.randn(2, generator=g).double()))
    g = torch.Generator().manual_seed(100)
    while True:
        picture = torch.rand(8, generator=g).double()
        scores = net(torch.linspace(0, 4, 4001).double()[:, None] * picture)
        sign = (scores[:, 0] - scores[:, 1]).sign()
        turns = (sign[1:] * sign[:-1] < 0).nonzero().flatten()
        if len(turns):
            break
    label = 0 if sign[turns[0] + 1] > 0 else 1
    low, high = (float(k) / 1000 for k in (turns[0], turns[0] + 1))
    for _ in range(60):
        middle = low / 2 + high / 2
        at = (middle * picture).float().double()
        proved = float(verify.lower_bounds(net, at[None], [label], epsilon=EPSILON, method="crown")) > 0
        low, high = (low, middle) if proved else (middle, high)
    return net, (high * picture).float().double(), label


def test_what_real_arithmetic_proves_an_execution_may_break() -> None:
    net, x, label = brightened()
    proved = verify.certify(net, x, label, epsilon=EPSILON, certificates=True)
    assert proved.verdict is Verdict.VERIFIED
    assert proved.evidence is Evidence.CERTIFIED
    assert proved.semantics == "real"

    for method in ("crown", "alpha", "lp", "complete"):
        answer = verify.certify(net, x, label, epsilon=EPSILON, method=method, semantics="float32", timeout=20)
        assert answer.verdict is Verdict.FALSIFIED
        found = answer.counterexample
        assert found is not None
        assert found.float32_margin <= 0
        assert found.margin <= 0
        assert (found.x == found.x.float().double()).all()
        assert (found.x - x).abs().max() <= float(EPSILON)
        scores = executed(meant(net, "float32"), found.x[None])[0]
        assert scores[label] <= scores[1 - label]
        exact = exact_value(net, found.x)  # and yet the claim about real arithmetic is literally true
        assert exact[label] > exact[1 - label]


def test_a_property_is_decided_about_executions_too() -> None:
    net, x, label = brightened()
    query = Query(net, ball(x[None], EPSILON), classification(torch.tensor([label]), 2))
    asked = Property(tuple(rows_as_clauses(query, 0).clauses))
    assert verify.decide(net, asked).verdict is Verdict.VERIFIED
    assert verify.decide(net, asked, semantics="float32", timeout=20).verdict is not Verdict.VERIFIED


@pytest.mark.parametrize("kind", ["mlp", "residual", "convolution", "rewritten", "branches"])
@pytest.mark.parametrize("method", ["interval", "dual", "crown", "alpha", "lp", "complete"])
def test_certificates_about_executions_are_accepted(kind: str, method: str) -> None:
    written = 0
    for seed in range(3):
        net = single(network(kind, seed))
        x = torch.rand(net.input_shape, generator=torch.Generator().manual_seed(seed)).double()
        label = int(executed(net, x[None]).argmax())
        found = verify.certify(
            net, x, label, epsilon="0.02", method=method, semantics="float32", certificates=True, timeout=20
        )
        assert found.semantics == "float32"
        if found.verdict is not Verdict.VERIFIED:
            continue
        written += 1
        assert isinstance(found.certificate, Certificate), found.reason
        for arithmetic in ("float64", "exact"):
            report = check(found.certificate.data, canonical(net), arithmetic=arithmetic)
            assert report.accepted, report.reason
            assert report.semantics == "float32"
    assert written or method == "interval"


def test_branch_and_bound_leaves_certificates_about_executions() -> None:
    """Each search: ReLUs split, inputs halved."""
    for kind, epsilon in (("mlp", "0.35"), ("residual", "0.3"), ("branches", "0.4")):
        net = single(network(kind, 3))
        x = torch.full(net.input_shape, 0.5).double()
        scores = executed(net, x[None])[0]
        region = ball(x[None], epsilon)
        samples = region.lower + torch.rand(2000, *net.input_shape).double() * (region.upper - region.lower)
        label = int(scores.argmax())
        C = torch.eye(3).double()[label] - torch.eye(3).double()[(label + 1) % 3]
        lowest = float((executed(net, samples) @ C).min())
        clause = Clause(
            region,
            C[None],
            torch.tensor([0.05 - lowest]).double(),
            torch.tensor([0.05 - lowest]).double(),
            torch.zeros(1).bool(),
        )
        decision = verify.decide(net, Property((clause,)), semantics="float32", certificate=True, timeout=30)
        if decision.verdict is Verdict.VERIFIED:
            assert isinstance(decision.certificate, Certificate), decision.certificate
            assert decision.certificate.report.semantics == "float32"


def test_multipliers_that_prove_a_real_margin_do_not_prove_an_execution() -> None:
    net, x, label = brightened()
    query = Query(net, ball(x[None], EPSILON), classification(torch.tensor([label]), 2))
    record = Recorder(net, places(range(1), [1]))
    METHODS["crown"].certify(query, Options(record=record))
    clauses = rows_as_clauses(query, 0).clauses
    assert isinstance(certified(net, clauses, [record], label=label), Certificate)
    refused = certified(meant(net, "float32"), clauses, [record], label=label)
    assert isinstance(refused, Refused)
    assert "not above 0" in refused.reason or "refuted" in refused.reason


def test_a_certificate_of_inexact_numbers_about_executions_is_rejected() -> None:
    """The prover refuses them; whoever forces the word upon a network gets no certificate."""
    net = network("mlp", 0)
    x = torch.full(net.input_shape, 0.5).double()
    label = int(net(x[None]).argmax())
    query = Query(net, ball(x[None], 0), classification(torch.tensor([label]), 3))
    record = Recorder(net, places(range(2), [1, 1]))
    METHODS["crown"].certify(query, Options(record=record))
    refused = certified(replace(net, semantics="float32"), rows_as_clauses(query, 0).clauses, [record], label=label)
    assert isinstance(refused, Refused)
    assert "not a float32" in refused.reason


def single_mlp() -> tuple[verify.Network, torch.Tensor, int]:
    net = meant(single(network("mlp", 0)), "real")
    x = torch.full(net.input_shape, 0.5).double()
    return net, x, int(net(x[None]).argmax())


REFUSED = {
    "method milp": ({"method": "milp"}, "method 'milp' rests on a solver's claim"),
    "milp pre-activation bounds": ({"method": "crown", "pre_activation": "milp"}, "bounds 'milp' are a solver's claim"),
    "a word": ({"semantics": "float16"}, "unknown semantics 'float16': choose from real, float32"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_claimed_is_refused(what: str) -> None:
    net, x, label = single_mlp()
    options, words = REFUSED[what]
    with pytest.raises(verify.UsageError, match=words):
        verify.certify(net, x, label, epsilon="0.01", **({"semantics": "float32"} | options))
    with pytest.raises(verify.UsageError, match=words):
        verify.lower_bounds(net, x[None], [label], epsilon="0.01", **({"semantics": "float32"} | options))


def test_networks_that_are_executed_otherwise_are_refused() -> None:
    net = network("mlp", 0)
    x = torch.full(net.input_shape, 0.5).double()
    clause = Clause(
        box(x[None], x[None]), torch.ones(1, 3).double(), *torch.zeros(2, 1).double(), torch.zeros(1).bool()
    )
    for call in (
        lambda: verify.certify(net, x, 0, epsilon=0, semantics="float32"),
        lambda: verify.compare(net, x, 0, epsilon=0, semantics="float32"),
        lambda: verify.decide(net, Property((clause,)), semantics="float32"),
    ):
        with pytest.raises(verify.UsageError, match="not a float32"):
            call()


def test_compare_leaves_out_what_only_a_solver_claims() -> None:
    net, x, label = single_mlp()
    found = verify.compare(net, x, label, epsilon="0.01", semantics="float32")
    assert set(found.results) == {"interval", "dual", "crown", "alpha", "lp", "complete"}
    assert {r.semantics for r in found.results.values()} == {"float32"}
    with pytest.raises(verify.UsageError, match="milp"):
        verify.compare(net, x, label, epsilon="0.01", semantics="float32", methods=("crown", "milp"))


def test_a_point_that_only_real_arithmetic_misclassifies_is_no_counterexample() -> None:
    """The margin is ``80 - x``, by way of 2^30, whose float32 neighbours are 64 apart."""
    b = Builder()
    h = b.relu(b.affine(b.input((1, 1)), torch.tensor([[-1.0]]).double(), torch.tensor([2.0**30]).double()))
    h = b.affine(h, torch.tensor([[1.0], [0.0]]).double(), torch.tensor([64.0 - 2.0**30, -16.0]).double())
    net, x = b.finish(h), torch.tensor([32.0]).double()
    query = Query(net, ball(x[None], 80), classification(torch.tensor([0]), 2))
    asked = replace(query, network=meant(net, "float32"))
    for at, real, float32 in ((31.0, False, False), (85.0, True, False), (100.0, True, True)):
        point = torch.tensor([[at]]).double()
        scores = executed(asked.network, point)[0]
        assert bool(scores[0] <= scores[1]) == float32, at
        assert (confirm(query, point)[0] is not None) == real
        assert (confirm(asked, point)[0] is not None) == float32
        assert abs(upper_margins(asked, point).item() - float(scores[0] - scores[1])) < 1e-9
    no_float32 = torch.tensor([[100.1]], dtype=torch.float64)
    assert confirm(query, no_float32)[0] is not None
    assert confirm(asked, no_float32)[0] is None
    assert torch.isinf(upper_margins(asked, no_float32)).all()
