"""Folding keeps the function: merged constants are within what they declare, in exact arithmetic, and views go."""

from dataclasses import replace
from fractions import Fraction
from itertools import product as pairs

import numpy as np
import pytest
import torch
from torch import nn

from verify.load.builder import Builder
from verify.load.fold import fold
from verify.load.pytorch import from_torch
from verify.network import Network
from verify.operators import Add, Affine, Conv, Linear, ReLU, Reshape, Scale, Select
from verify.proof.canonical import identity

U = Fraction(1, 2**53)


def rand(*shape, seed=0, spread=3.0):
    """Numbers of both signs over a few orders of magnitude, with full mantissas."""
    g = torch.Generator().manual_seed(seed + 17 * len(shape))
    sign = torch.where(torch.rand(shape, generator=g) < 0.5, -1.0, 1.0).double()
    return sign * torch.exp((torch.rand(shape, generator=g, dtype=torch.float64) * 2 - 1) * spread)


def unfolded(build, shape):
    b = Builder()
    return b.finish(build(b, b.input((1, *shape))), folded=False)


def linears(network: Network):
    return [n.operator for n in network.nodes if isinstance(n.operator, Linear) and not isinstance(n.operator, Reshape)]


def norm(b, x, channels, seed=5):
    statistics = [rand(channels, seed=seed + k) for k in range(3)] + [rand(channels, seed=seed + 3).abs()]
    return b.batch_norm(x, statistics, 1e-5)


# name: (how it is built, input shape); each becomes one linear operator
MERGED = {
    "affine-scale": (lambda b, x: b.scale(b.affine(x, rand(4, 3), rand(4)), rand(4, seed=1), rand(4, seed=2)), (3,)),
    "affine-factor-alone": (lambda b, x: b.scale(b.affine(x, rand(4, 3), rand(4)), rand(4, seed=1)), (3,)),
    "affine-scale-without-bias": (lambda b, x: b.scale(b.affine(x, rand(4, 3)), rand(4, seed=1)), (3,)),
    "affine-power-of-two": (lambda b, x: b.scale(b.affine(x, rand(4, 3), rand(4)), torch.tensor(-0.25)), (3,)),
    "affine-divided": (lambda b, x: b.divide(b.affine(x, rand(4, 3), rand(4)), rand(4, seed=1)), (3,)),
    "affine-normalised": (lambda b, x: norm(b, b.affine(x, rand(4, 3), rand(4)), 4), (3,)),
    "affine-with-rounded-weights": (
        lambda b, x: norm(
            b, b.affine(x, rand(4, 3), rand(4), weight_ulps=4, bias_error=rand(4, seed=3).abs() * 1e-14), 4),
        (3,)),
    "affine-on-last-axis": (lambda b, x: b.divide(b.affine(x, rand(4, 3), rand(4)), rand(4, seed=1)), (2, 3)),
    "conv-normalised": (
        lambda b, x: norm(b, b.conv(x, rand(4, 1, 2, 2), rand(4), padding=(1, 0, 1, 0), groups=2), 4), (2, 3, 3)),
    "conv-negated": (lambda b, x: b.scale(b.conv(x, rand(2, 2, 2, 2)), -1.0), (2, 3, 3)),
    "scales": (lambda b, x: b.divide(b.scale(x, rand(3), rand(3, seed=1)), rand(3, seed=2)), (3,)),
    "scales-of-images": (lambda b, x: norm(b, b.divide(x, torch.tensor(255.0)), 2), (2, 2, 2)),
    "scale-affine": (lambda b, x: b.affine(b.scale(x, rand(3), rand(3, seed=1)), rand(4, 3), rand(4)), (3,)),
    "normalised-affine": (lambda b, x: b.affine(norm(b, x, 3), rand(4, 3), rand(4)), (3,)),
    "normalised-flattened-affine": (
        lambda b, x: b.affine(b.reshape(norm(b, x, 2), (1, 8)), rand(3, 8), rand(3), weight_ulps=2), (2, 2, 2)),
    "normalised-conv": (lambda b, x: b.conv(norm(b, x, 4), rand(4, 2, 2, 2), rand(4), groups=2), (4, 3, 3)),
    "scaled-padded-conv": (
        lambda b, x: b.conv(b.scale(x, rand(2, 1, 1)), rand(3, 2, 3, 3), padding=(1, 1, 1, 1)), (2, 3, 3)),
    "affine-between": (
        lambda b, x: norm(b, b.affine(norm(b, x, 3), rand(4, 3), rand(4)), 4, seed=9), (3,)),
    "bias-only": (lambda b, x: b.scale(b.affine(x, rand(4, 3), rand(4)), 1.0, rand(4, seed=2)), (3,)),
}  # fmt: skip


def exact(op: Linear):
    """The stored map in rationals: a matrix, row by row, and an offset."""
    bias = op.full_bias().reshape(-1) if op.bias is not None else torch.zeros(int(np.prod(op.output_shape)))
    matrix = op.matrix().toarray()
    return [[Fraction(float(v)) for v in row] for row in matrix], [Fraction(float(v)) for v in bias]


def composed(network: Network, choose):
    """The exact affine map of a chain of linear operators, each replaced by ``choose``."""
    matrix, offset = None, None
    for op in (n.operator for n in network.nodes[1:]):
        w, b = exact(choose(op))
        if matrix is None:
            matrix, offset = w, b
            continue
        offset = [sum((x * y for x, y in zip(row, offset, strict=True)), c) for row, c in zip(w, b, strict=True)]
        columns = list(zip(*matrix, strict=True))
        matrix = [[sum(x * y for x, y in zip(row, col, strict=True) if x) for col in columns] for row in w]
    return matrix, offset


def extreme(generator):
    """Another operator that the declared errors of one allow: weights and biases moved as far as they say."""

    def choose(op: Linear):
        changes = {}
        if op.weight_ulps > 1:
            weight = op.weight.clone()
            way = torch.where(torch.rand(weight.shape, generator=generator) < 0.5, -1.0, 1.0) * torch.inf
            for _ in range(op.weight_ulps // 2):  # one step is at most two units of roundoff
                weight = torch.nextafter(weight, way.double())
            changes["weight"] = weight
        if op.bias_error is not None:
            error = op.bias_error.reshape(-1) if isinstance(op, Conv) else op.bias_error
            bias = torch.zeros_like(error) if op.bias is None else op.bias
            way = torch.where(torch.rand(error.shape, generator=generator) < 0.5, -1.0, 1.0).double()
            moved = bias + way * error
            beyond = (moved - bias).abs() > error  # rounded to a number that is too far
            changes["bias"] = torch.where(beyond, torch.nextafter(moved, bias), moved)
        return replace(op, **changes)

    return choose


@pytest.mark.parametrize("name", MERGED)
def test_a_merged_operator_is_within_what_it_declares(name):
    build, shape = MERGED[name]
    source = unfolded(build, shape)
    network = fold(source)
    assert len(linears(network)) == 1 and len(linears(source)) >= 1
    merged = linears(network)[0]
    matrix, offset = exact(merged)
    error = torch.zeros(merged.output_shape) if merged.bias_error is None else merged.bias_error
    allowed = [Fraction(float(e)) for e in error.expand(merged.output_shape).reshape(-1)]
    generator = torch.Generator().manual_seed(1)
    for choose in (lambda op: op, *(extreme(generator) for _ in range(4))):
        true_matrix, true_offset = composed(source, choose)
        for row, true_row in zip(matrix, true_matrix, strict=True):
            for stored, true in zip(row, true_row, strict=True):
                assert abs(true - stored) <= merged.weight_ulps * U * abs(stored)
        for stored, true, e in zip(offset, true_offset, allowed, strict=True):
            assert abs(true - stored) <= e


def test_a_power_of_two_rounds_nothing():
    network = fold(unfolded(*MERGED["affine-power-of-two"]))
    op = linears(network)[0]
    assert (op.weight_ulps, op.bias_error) == (0, None)


def test_declared_errors_are_small():
    for build, shape in MERGED.values():
        op = linears(fold(unfolded(build, shape)))[0]
        assert op.weight_ulps <= 20
        if op.bias_error is not None:
            assert float(op.bias_error.max()) < 1e-10


# --- structure -------------------------------------------------------------------------------------------------------


def kinds(network):
    return [type(n.operator) for n in network.nodes[1:]]


def test_views_between_convolutions_go():
    def build(b, x):
        y = b.conv(x, rand(2, 1, 3, 3), rand(2), padding=(1, 1, 1, 1))
        y = b.scale(b.reshape(y, (1, 2, 1, 4, 4)), rand(2, 1, 1, 1))
        y = b.reshape(b.relu(b.reshape(y, (1, 32))), (1, 2, 4, 4))
        return b.conv(y, rand(2, 2, 2, 2))

    assert kinds(fold(unfolded(build, (1, 4, 4)))) == [Conv, ReLU, Conv, Reshape]


def test_views_meet_behind_a_sum():
    def build(b, x):
        y, z = b.conv(x, rand(2, 1, 1, 1)), b.conv(x, rand(2, 1, 1, 1, seed=4))
        total = b.relu(b.add(b.reshape(y, (1, 32)), b.reshape(z, (1, 32))))
        return b.conv(b.reshape(total, (1, 2, 4, 4)), rand(1, 2, 1, 1))

    assert kinds(fold(unfolded(build, (1, 4, 4)))) == [Conv, Conv, Add, ReLU, Conv, Reshape]


def test_selections_are_composed_with_their_zeros():
    def build(b, x):
        padded = b.select(x, torch.tensor([[-1, 0, 1, 2, -1, -1]]))
        return b.select(padded, torch.tensor([[5, 3, 0, -1, 1]]))

    network = fold(unfolded(build, (3,)))
    assert kinds(network) == [Select]
    x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    assert network(x).tolist() == [[0, 3, 0, 0, 1]]


def test_a_movement_and_its_inverse_go():
    def build(b, x):
        moved = b.select(x, b.positions(x).transpose(2, 3))
        return b.affine(b.reshape(b.select(moved, b.positions(moved).transpose(2, 3)), (1, 6)), rand(2, 6))

    assert kinds(fold(unfolded(build, (1, 2, 3)))) == [Reshape, Affine]


def test_the_identity_keeps_an_output_node():
    network = fold(unfolded(lambda b, x: x, (3,)))
    assert network.input_shape == (3,) and network.outputs == 3 and len(network.nodes) == 2


KEPT = {
    "padded-convolution-after-an-offset": (
        lambda b, x: b.conv(b.scale(x, 2.0, 1.0), rand(1, 1, 3, 3), padding=(1, 1, 1, 1)), (1, 4, 4), Scale),
    "factor-that-differs-within-a-channel": (lambda b, x: b.scale(b.conv(x, rand(1, 1, 1, 1)), rand(2, 2)), (1, 2, 2),
                                             Scale),
    "underflow": (lambda b, x: b.scale(b.affine(x, rand(2, 2) * 1e-200), rand(2) * 1e-150), (2,), Scale),
    "overflow": (lambda b, x: b.scale(b.affine(x, rand(2, 2) * 1e200), rand(2) * 1e200), (2,), Scale),
    "a-node-that-others-read": (lambda b, x: shared(b, b.affine(x, rand(2, 2))), (2,), Scale),
}  # fmt: skip


def shared(b, y):
    return b.add(b.scale(y, 3.0), b.relu(y))


@pytest.mark.parametrize("name", KEPT)
def test_what_cannot_be_merged_soundly_stays(name):
    build, shape, kind = KEPT[name]
    source = unfolded(build, shape)
    assert kind in kinds(fold(source))


# --- whole networks --------------------------------------------------------------------------------------------------


def module(seed):
    torch.manual_seed(seed)
    body = nn.Sequential(
        nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.LeakyReLU(0.1),
        nn.AvgPool2d(2), nn.MaxPool2d(2, stride=1), nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 5), nn.ReLU6(),
        nn.BatchNorm1d(5), nn.Linear(5, 3), nn.BatchNorm1d(3))  # fmt: skip
    for m in body:
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.running_mean.uniform_(-1, 1)
            m.running_var.uniform_(0.2, 3)
            nn.init.uniform_(m.weight, -2, 2)
            nn.init.uniform_(m.bias, -1, 1)
    return body.double().eval()


@pytest.mark.parametrize("seed", range(4))
def test_folding_changes_no_score(seed, monkeypatch):
    body = module(seed)
    folded = from_torch(body, input_shape=(2, 4, 4))
    monkeypatch.setattr("verify.load.builder.fold", lambda network: network)
    source = from_torch(body, input_shape=(2, 4, 4))
    assert len(folded.nodes) < len(source.nodes)
    x = torch.randn(20, 2, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = body(x)
    assert torch.allclose(folded(x), expected, rtol=1e-11, atol=1e-11)
    assert torch.allclose(source(x), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("seed", range(4))
def test_folding_again_changes_nothing(seed):
    network = from_torch(module(seed), input_shape=(2, 4, 4))
    assert identity(fold(network)) == identity(network)


def test_batch_norm_leaves_no_node_behind():
    body = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    network = from_torch(body.eval(), input_shape=(1, 4, 4))
    assert kinds(network) == [Conv, ReLU, Reshape, Affine]


def test_every_pair_of_small_layers_keeps_its_function():
    layers = {
        "scale": lambda b, x: b.scale(x, rand(1, 2, 1, 1), rand(1, 2, 1, 1, seed=1)),
        "conv": lambda b, x: b.conv(x, rand(2, 2, 1, 1), rand(2)),
        "relu": lambda b, x: b.relu(x),
        "flip": lambda b, x: b.select(x, b.positions(x).flip(2)),
        "rows": lambda b, x: b.reshape(b.relu(b.reshape(x, (1, 8))), (1, 2, 2, 2)),
        "twice": lambda b, x: b.add(x, b.scale(x, 0.3)),
    }
    x = torch.randn(5, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for names in pairs(layers, repeat=3):

        def build(b, value, names=names):
            for name in names:
                value = layers[name](b, value)
            return value

        source = unfolded(build, (2, 2, 2))
        network = fold(source)
        assert len(network.nodes) <= len(source.nodes), names
        assert torch.allclose(network(x), source(x), rtol=1e-12, atol=1e-12), names
