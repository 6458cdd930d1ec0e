"""Every linear operator is what its matrix says, and its transpose is the adjoint."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from verify.errors import LoadError, UsageError
from verify.network import Network, Node
from verify.operators import Affine, Conv, Input, Reshape, Scale, Select
from verify.proof.canonical import identity

G = torch.Generator().manual_seed(0)


def randn(*shape):
    return torch.randn(*shape, generator=G, dtype=torch.float64)


OPERATORS = {
    "affine": Affine(input_shape=(5,), weight=randn(3, 5), bias=randn(3)),
    "affine on the last axis": Affine(input_shape=(2, 5), weight=randn(3, 5), bias=randn(3)),
    "conv": Conv(input_shape=(2, 5, 6), weight=randn(3, 2, 3, 3), bias=randn(3), padding=(1, 1)),
    "conv, stride that leaves pixels out": Conv(input_shape=(2, 6, 7), weight=randn(4, 2, 3, 2), stride=(2, 3)),
    "conv, dilated": Conv(
        input_shape=(1, 7, 7), weight=randn(2, 1, 3, 3), dilation=(2, 2), padding=(1, 2), bias=randn(2)
    ),
    "conv, groups": Conv(input_shape=(4, 5, 5), weight=randn(6, 2, 3, 3), groups=2, stride=(2, 2), padding=(1, 1)),
    "scale": Scale(input_shape=(2, 3, 3), weight=randn(2, 1, 1), bias=randn(2, 1, 1)),
    "reshape": Reshape(input_shape=(2, 3), shape=(3, 2)),
    "select with repeats and zeros": Select(input_shape=(2, 3), index=torch.tensor([[5, -1], [0, 0], [2, 5]])),
    "transpose": Select(input_shape=(2, 3), index=torch.arange(6).reshape(2, 3).T.contiguous()),
}


@pytest.fixture(params=list(OPERATORS), ids=list(OPERATORS))
def op(request):
    return OPERATORS[request.param]


def test_linear_is_the_matrix(op):
    x = randn(4, *op.input_shape)
    dense = torch.from_numpy(op.matrix().toarray())
    assert torch.allclose(op.linear(x).flatten(1), x.flatten(1) @ dense.T, atol=1e-12)
    assert dense.shape == (math.prod(op.output_shape), math.prod(op.input_shape))


def test_transpose_is_the_adjoint(op):
    x, a = randn(4, *op.input_shape), randn(4, *op.output_shape)
    assert torch.allclose((op.linear(x) * a).flatten(1).sum(1), (x * op.transpose(a)).flatten(1).sum(1), atol=1e-10)


def test_absolute_takes_the_absolute_matrix(op):
    x = randn(4, *op.input_shape)
    dense = torch.from_numpy(abs(op.matrix()).toarray())
    assert torch.allclose(op.absolute(x).flatten(1), x.flatten(1) @ dense.T, atol=1e-12)


def test_rows_are_rows_of_the_matrix(op):
    index = torch.tensor([0, math.prod(op.output_shape) - 1])
    assert torch.equal(op.rows(index).flatten(1), torch.from_numpy(op.matrix().toarray())[index])


def test_terms_bound_every_sum(op):
    dense = op.matrix().toarray() != 0
    longest = max(dense.sum(0).max(), dense.sum(1).max())
    assert op.terms >= longest or (op.terms == 0 and longest <= 1)


def test_convolution_is_torchs_with_every_attribute():
    op = OPERATORS["conv, dilated"]
    x = randn(2, *op.input_shape)
    assert torch.allclose(op.apply(x), F.conv2d(x, op.weight, op.bias, 1, (1, 2), (2, 2)))


def test_misfitting_shapes_are_refused():
    with pytest.raises(UsageError, match="does not fit"):
        Affine(input_shape=(4,), weight=randn(3, 5))
    with pytest.raises(UsageError, match="does not fit"):
        Conv(input_shape=(3, 4, 4), weight=randn(3, 2, 3, 3))


def _network(weight):
    nodes = (Node("x", Input(output_shape=(2,))), Node("fc", Affine(input_shape=(2,), weight=weight), (0,)))
    return Network(nodes)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_network_with_bad_weights_is_refused(bad):
    with pytest.raises(LoadError, match="'fc' has weights that are NaN or infinite"):
        _network(torch.tensor([[1.0, bad]], dtype=torch.float64))


def test_the_digest_is_the_networks_identity():
    one = _network(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    same = _network(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    other = _network(torch.tensor([[1.0, 2.0 + 2**-51]], dtype=torch.float64))
    assert identity(one) == identity(same) != identity(other)


def test_a_wrong_input_shape_is_named():
    with pytest.raises(UsageError, match=r"takes inputs of shape \(2,\), got \(3,\)"):
        _network(torch.ones(1, 2, dtype=torch.float64))(torch.zeros(1, 3, dtype=torch.float64))
