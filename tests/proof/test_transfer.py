"""Old multipliers on a new network: kept where they still prove the claim, refused with the reason where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.certificates import File
from support.networks import query
from support.proofs import accepted, opened
from support.questions import exact_clause

import verify
from verify.branch import cascade
from verify.network import Network
from verify.operators import Linear
from verify.proof.canonical import canonical
from verify.property import Property
from verify.selftest.networks import network


def scaled(net: Network, factor) -> Network:
    """The network with every weight and bias times ``factor(shape)``."""

    def node(n):
        op = n.operator
        if not isinstance(op, Linear) or getattr(op, "weight", None) is None:
            return n
        weight = op.weight * factor(op.weight.shape)
        bias = None if op.bias is None else op.bias * factor(op.bias.shape)
        return replace(n, operator=replace(op, weight=weight, bias=bias))

    return replace(net, nodes=tuple(node(n) for n in net.nodes))


def labelled(kind: str):
    q = query(kind, 1, "0.05")
    label = int(q.network(q.region.centre).argmax())
    where = {"epsilon": "0.05", "clip": (0, 1), "method": "alpha"}
    return verify.certify(q.network, q.region.centre[0], label, **where, certificates=True).certificate, q.network


def branched(engine: str):
    with pytest.MonkeyPatch.context() as patch:
        if engine == "tree":
            patch.setattr(cascade, "worth_splitting_inputs", lambda net, clause: False)
        q = query("mlp", 2, "0.8")
        decision = verify.decide(q.network, Property((exact_clause(q, 1e-3, 2),)), certificate=True)
    return decision.certificate, q.network


def claim(data: bytes):
    """The claim, with the numbers of its arrays."""
    file = opened(data)

    def filled(value):
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items() if key != "network"}
        if isinstance(value, list):
            return [filled(item) for item in value]
        return file.arrays[value].tolist() if value in file.arrays else value

    return filled(file.document["claim"])


OLD = {
    "mlp": lambda: labelled("mlp"),
    "convolution": lambda: labelled("convolution"),
    "residual": lambda: labelled("residual"),
    "tree": lambda: branched("tree"),
    "boxes": lambda: branched("boxes"),
}


@pytest.mark.parametrize("name", OLD)
def test_to_the_same_network_and_to_one_that_is_nearly_the_same(name: str) -> None:
    old, net = OLD[name]()
    again = verify.transfer(old.data, net)
    assert claim(again.data) == claim(old.data)
    assert again.report == old.report

    g = torch.Generator().manual_seed(0)
    near = scaled(net, lambda shape: 1 + 1e-6 * (2 * torch.rand(shape, generator=g, dtype=torch.float64) - 1))
    assert verify.identity(near) != verify.identity(net)
    moved = verify.transfer(old.data, near)
    accepted(moved, near)
    for clause, margin in moved.report.margins.items():
        assert margin == pytest.approx(old.report.margins[clause], abs=1e-3)


def lowered(net: Network, data: bytes) -> Network:
    """The network with all rows of the claim a little lower than what holds of the old one."""
    file = opened(data)
    C = file.arrays[file.document["claim"]["parts"][0]["C"]]
    last = net.nodes[-1]
    by = torch.from_numpy(-np.linalg.pinv(C) @ np.full(len(C), 2e-3))
    bias = last.operator.bias + by.reshape(last.operator.bias.shape)
    return replace(net, nodes=(*net.nodes[:-1], replace(last, operator=replace(last.operator, bias=bias))))


@pytest.mark.parametrize("name", OLD)
def test_a_network_of_which_the_claim_is_false_is_refused(name: str) -> None:
    old, net = OLD[name]()
    other = lowered(net, old.data) if name in ("tree", "boxes") else scaled(net, lambda shape: -1)
    found = verify.transfer(old.data, other)
    assert isinstance(found, verify.Refused)
    assert "not refuted" in found.reason or "derived bound" in found.reason


@pytest.mark.parametrize("other", ["residual", "convolution", "dead_and_stable"])
def test_a_network_of_another_shape_is_refused(other: str) -> None:
    old, _ = labelled("mlp")
    found = verify.transfer(old.data, network(other, 0))
    assert isinstance(found, verify.Refused)
    assert "has the shape" in found.reason, found.reason


def damaged() -> dict[str, bytes]:
    old, _ = labelled("mlp")
    made = {"nothing": b"", "text": b"certificate", "cut": old.data[:50]}
    made["a network"] = canonical(network("mlp", 0))
    for name, change in {
        "no claim": lambda d: d.pop("claim"),
        "no steps": lambda d: d.pop("steps"),
        "a claim of text": lambda d: d.update(claim="all is well"),
        "an empty claim": lambda d: d.update(claim={}),
        "no parts": lambda d: d["claim"].pop("parts"),
        "parts of text": lambda d: d["claim"].update(parts=["all is well"]),
        "a step of text": lambda d: d.update(steps=["trust me"]),
        "an array that is not there": lambda d: d["claim"]["parts"][0].update(C="#999"),
        "a number for an array": lambda d: d["claim"]["parts"][0].update(rows=1),
    }.items():
        file = opened(old.data)
        change(file.document)
        made[name] = file.data()
    nested = File({"format": "reluproof certificate"})
    nested.document["claim"] = {"margins": [[[]]]}
    nested.document["steps"] = []
    made["lists"] = nested.data()
    return made


@pytest.mark.parametrize("name", sorted(damaged()))
def test_what_is_no_certificate_is_said_so(name: str) -> None:
    try:
        found = verify.transfer(damaged()[name], network("mlp", 1))
    except verify.LoadError as error:
        assert "not a certificate" in str(error)
    else:
        assert isinstance(found, verify.Refused) and found.reason
