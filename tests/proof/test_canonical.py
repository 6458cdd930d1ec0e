"""The canonical file: one network one identity, whatever it was read from; the checker's reader gets the same numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.nodes import evaluate

import verify
from verify.check.container import read_container
from verify.check.report import read_network
from verify.demo import demo_network_path
from verify.load.builder import Builder
from verify.network import Network
from verify.operators import Affine, Conv, Linear, Reshape, Scale
from verify.proof.canonical import canonical, identity, save_network
from verify.selftest.networks import KINDS, network, weights


def documents(net: Network) -> list[dict[str, Any]]:
    return read_container(canonical(net), "reluproof network")["nodes"]


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_network_bit_for_bit(kind: str) -> None:
    net = network(kind, 2)
    operators = [n.operator for n in net.nodes if isinstance(n.operator, (Affine, Conv, Scale))]
    stored = [node for node in documents(net) if "weight" in node and len(node["inputs"]) == 1]  # no sums
    for op, node in zip(operators, stored, strict=True):
        weight = op.weight.expand(op.input_shape) if isinstance(op, Scale) else op.weight
        assert node["weight"].astype(np.float64).tobytes() == weight.contiguous().numpy().tobytes()


def rows_of_matrices() -> Network:
    """Blocks, a concatenation that is not along the first axis, and a reshape with a bias: the file has other nodes for these."""
    b, g = Builder(), torch.Generator().manual_seed(5)
    x = b.input((1, 3, 4))
    y = b.concat([b.affine(x, weights(g, 2, 4), weights(g, 2)), x], 2)
    net = b.finish(b.affine(b.reshape(b.relu(y), (1, -1)), weights(g, 3, 18)))
    at = next(k for k, node in enumerate(net.nodes) if isinstance(node.operator, Reshape))
    biased = replace(net.nodes[at].operator, bias=weights(g, *net.nodes[at].shape), bias_error=torch.ones(1).double())
    return replace(net, nodes=(*net.nodes[:at], replace(net.nodes[at], operator=biased), *net.nodes[at + 1 :]))


NETWORKS = [*(network(kind, seed) for kind in KINDS for seed in (0, 1)), rows_of_matrices()]


@pytest.mark.parametrize("net", NETWORKS)
def test_the_checker_reads_the_same_network(net: Network) -> None:
    nodes, how, found = read_network(canonical(net))
    assert (how, found) == ("identity", identity(net))
    assert found == sha256(canonical(net)).hexdigest()
    x = torch.rand(1, *net.input_shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    exact = evaluate(documents(net), _fractions(x[0].numpy()))
    assert [float(v) for v in exact] == pytest.approx(net(x)[0].tolist(), abs=1e-12)
    values = [_fractions(x[0].numpy()).reshape(-1, 1)]  # the same through the maps that the checker made
    for node in nodes[1:]:
        v = np.concatenate([values[i] for i in node.inputs])
        weight = None if node.weight is None else _fractions(node.weight)
        value = np.maximum(v, 0) if node.op == "relu" else node.forwards(weight, v)
        values.append(value if node.bias is None else value + _fractions(node.bias)[:, None])
    assert (values[-1][:, 0] == exact).all()


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
        assert read_network(canonical(net))[2] == identity(net), number


def test_onnx_and_canonical_file_are_one_network(tmp_path: Path) -> None:
    net = verify.load(demo_network_path("mlp"))
    save_network(net, tmp_path / "network.reluproof")
    assert (tmp_path / "network.reluproof").read_bytes() == canonical(net)
    with pytest.raises(verify.UsageError, match="cannot write"):
        save_network(net, tmp_path / "no" / "folder")
