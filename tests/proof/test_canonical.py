"""The canonical file: one network one identity, whatever it was read from; the checker's reader gets the same numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from support.nodes import evaluate

import verify
from verify.check.container import MAX_BYTES, read_container
from verify.check.network import from_container
from verify.demo import demo_network_path
from verify.load.builder import Builder
from verify.network import Network
from verify.operators import Linear
from verify.proof.canonical import canonical, identity, save_network
from verify.selftest.networks import KINDS, network


def read(net: Network):
    return from_container(read_container(canonical(net), max_bytes=MAX_BYTES, form="reluproof network"))


def dicts(nodes) -> list[dict]:
    """The checker's nodes, as the tests' own evaluation takes them."""
    keys = ("weight", "bias", "index", "axis", "stride", "padding", "dilation", "groups")
    found = []
    for n in nodes:
        given = {key: getattr(n, key) for key in keys if getattr(n, key) is not None}
        found.append({"op": n.op, "inputs": list(n.inputs), "shape": list(n.shape), **given})
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_checker_reads_the_same_network(kind: str, seed: int) -> None:
    net = network(kind, seed)
    nodes, found = read(net)
    assert found == identity(net) == sha256(canonical(net)).hexdigest()
    for node, ours in zip(nodes, net.nodes, strict=True):
        op = ours.operator
        for key in ("weight", "bias"):
            array, tensor = getattr(node, key), getattr(op, key, None)
            assert (array is None) == (tensor is None)
            if array is not None:
                channels = key == "bias" and node.op == "conv"
                same = tensor.reshape(-1, 1, 1) if channels else tensor
                same = same if key == "weight" and node.op != "scale" else torch.broadcast_to(same, ours.shape)
                assert np.array_equal(array, same.numpy().reshape(array.shape))
    x = torch.rand(1, *net.input_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    exact = [float(v) for v in evaluate(dicts(nodes), _fractions(x[0].numpy()))]
    assert exact == pytest.approx(net(x)[0].tolist(), abs=1e-12)


def _fractions(x: np.ndarray) -> np.ndarray:
    flat = np.empty(x.size, dtype=object)
    flat[:] = [Fraction(v) for v in x.ravel().tolist()]
    return flat.reshape(x.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_network_has_the_same_identity_and_one_bit_makes_another(kind: str) -> None:
    net = network(kind, 3)
    assert canonical(net) == canonical(network(kind, 3))
    assert identity(replace(net, source="elsewhere", sha256="0" * 64)) == identity(net)
    seen = {identity(net)}
    for k, node in enumerate(net.nodes):
        op = node.operator
        for key in ("weight", "bias"):
            tensor = getattr(op, key, None)
            if not isinstance(op, Linear) or tensor is None:
                continue
            other = tensor.clone().contiguous()
            bits = other.view(-1)[-1:].numpy().view(np.int64)
            bits ^= 1
            nodes = (*net.nodes[:k], replace(node, operator=replace(op, **{key: other})), *net.nodes[k + 1 :])
            seen.add(identity(replace(net, nodes=nodes)))
    assert len(seen) > 1


def test_zeros_of_both_signs_are_told_apart_alike() -> None:
    """Writer and reader agree on the identity, with whatever numbers."""
    for number in (0.0, -0.0, 5e-324, 2.0**-149, 2.0**-150, 3.4e38, 3.5e38, 0.1):
        b = Builder()
        x = b.input((1, 2))
        net = b.finish(
            b.affine(x, torch.tensor([[number, 1.0]], dtype=torch.float64), torch.tensor([number], dtype=torch.float64))
        )
        assert read(net)[1] == identity(net), number


def test_onnx_and_canonical_file_are_one_network(tmp_path: Path) -> None:
    net = verify.load(demo_network_path("mlp"))
    save_network(net, tmp_path / "network.reluproof")
    assert (tmp_path / "network.reluproof").read_bytes() == canonical(net)
    with pytest.raises(verify.UsageError, match="cannot write"):
        save_network(net, tmp_path / "no" / "folder")
