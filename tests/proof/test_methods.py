"""Every verified query has a certificate that both arithmetics accept, whose margins are below the truth; for every method."""

from __future__ import annotations

import pytest
import torch
from support.demo import demo_data, demo_network
from support.networks import query, samples
from support.proofs import accepted

import verify
from verify.bounds.compute import node_bounds
from verify.certify.api import classification_query
from verify.certify.options import Options
from verify.certify.prove import prove
from verify.proof.recorder import Recorder, places
from verify.selftest.networks import KINDS
from verify.selftest.oracle import exact_margins
from verify.verdict import Evidence, Verdict

METHODS = ("interval", "dual", "crown", "alpha", "lp", "complete")
CASES = [(kind, norm, method) for kind in KINDS for norm in ("linf", "l2", "l1") for method in METHODS]
CASES += [(kind, "linf", "milp") for kind in KINDS]
CASES += [("mlp", norm, "milp") for norm in ("l2", "l1")]


def certify(kind: str, norm: str, method: str, epsilon: str = "0.08", **options):
    q = query(kind, 1, epsilon, norm)
    label = int(q.network(q.region.centre).argmax())
    where = {"epsilon": epsilon, "clip": (0, 1), "norm": norm, "method": method}
    return q, verify.certify(q.network, q.region.centre[0], label, **where, **options)


@pytest.mark.parametrize(("kind", "norm", "method"), CASES)
def test_a_verified_query_has_an_accepted_certificate(kind: str, norm: str, method: str) -> None:
    q, result = certify(kind, norm, method, certificates=True)
    assert result.verdict is Verdict.VERIFIED and result.evidence is Evidence.CERTIFIED, result.reason
    report = accepted(result.certificate, q.network)
    if norm == "linf":
        least = exact_margins(q)
        slack = 1e-9  # the oracle's linear programs, not ours
    else:
        points = samples(q.region, 300)
        least = q.select(torch.zeros(len(points), dtype=torch.long)).margins(points).amin(0).numpy()
        slack = 0.0
    for clause, margin in report.margins.items():
        assert 0 < margin <= least[clause] + slack


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["mlp", "residual", "rewritten"])
def test_the_verdict_and_the_margins_do_not_depend_on_recording(kind: str, method: str) -> None:
    for epsilon in ("0.1", "0.3"):
        _, plain = certify(kind, "linf", method, epsilon)
        _, recorded = certify(kind, "linf", method, epsilon, certificates=True)
        assert plain.verdict is recorded.verdict
        assert [(row.target, row.lower) for row in plain.margins] == [
            (row.target, row.lower) for row in recorded.margins
        ]
        assert plain.certificate is None
        assert (recorded.certificate is not None) == (plain.verdict is Verdict.VERIFIED)


def test_derived_margins_are_close_to_the_methods_own() -> None:
    """What the bits of slopes cost."""
    for method in ("dual", "crown", "alpha", "lp"):
        _, result = certify("mlp", "linf", method, certificates=True)
        derived = result.certificate.report.margins
        for k, row in enumerate(result.margins):
            assert row.lower - 2e-3 <= derived[k] <= row.lower + 2e-3


@pytest.mark.parametrize(("kind", "method"), [("linear", "crown"), ("linear", "complete"), ("residual", "interval")])
def test_without_a_proof_there_is_no_certificate(kind: str, method: str) -> None:
    q = query(kind, 0, "1")
    labels = (q.network(q.region.centre).argmax(1) + (kind == "linear")) % 3
    [result] = verify.certify_batch(
        q.network, q.region.centre, labels, epsilon="1", clip=(0, 1), method=method, certificates=True
    )
    assert result.verdict is not Verdict.VERIFIED and result.certificate is None


def test_a_batch_has_a_certificate_for_each_verified_input_about_that_input() -> None:
    q = query("mlp", 1, "0.1", count=3)
    labels = q.network(q.region.centre).argmax(1)
    where = {"epsilon": "0.1", "clip": (0, 1), "method": "alpha"}
    results = verify.certify_batch(q.network, q.region.centre, labels, **where, certificates=True)
    found = [r.certificate.data for r in results if r.certificate is not None]
    assert len(found) >= 2 and len(set(found)) == len(found)
    assert len(found) == sum(r.verdict is Verdict.VERIFIED for r in results)
    for result in results:
        if result.certificate is not None:
            accepted(result.certificate, q.network)


def test_a_record_that_time_cuts_short_is_no_certificate_and_says_so():
    data = demo_data().select([4])
    query = classification_query(demo_network(), data.inputs, data.labels, epsilon="0.07", clip=(0, 1))
    refused = prove(query, "complete", Options(timeout=1e-9), label=4)
    assert isinstance(refused, verify.Refused) and refused.reason.startswith(
        "timeout of the record: the checker did not"
    )
    assert isinstance(prove(query, "complete", Options(timeout=60), label=4), verify.Certificate)


def test_bounds_of_one_relu_that_are_found_in_pieces_are_one_step() -> None:
    q = query("mlp", 1, "0.08", "linf")
    bounds, record = node_bounds(q.network, q.region), Recorder(q.network, places(range(1), [1]))
    first, second = (q.network.nodes[relu].inputs[0] for relu in q.network.relus[:2])
    for start, neurons in ((first, [0, 1]), (first, [2]), (second, [1])):
        record.neurons(start, torch.tensor(neurons), bounds, {})
    assert [step["neurons"].tolist() for step in record.steps] == [[0, 1, -1, -2, 2, -3], [1, -2]]
