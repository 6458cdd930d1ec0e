"""A strided convolution with its kernel cut up is the same linear map."""

from __future__ import annotations

import pytest
import torch

from verify.bounds.strided import Strided, for_search, strided
from verify.load.builder import Builder
from verify.operators import Conv

SHAPES = [  # input, kernel, stride, padding
    ((3, 32, 32), (4, 4), 2, (1, 1)),
    ((3, 9, 7), (3, 3), 2, (0, 1)),
    ((2, 8, 8), (5, 3), 3, (2, 0)),
    ((1, 10, 11), (2, 2), 4, (0, 0)),
    ((4, 6, 6), (3, 3), 2, (1, 1)),
    ((2, 7, 7), (1, 1), 2, (0, 0)),
]


@pytest.mark.parametrize(("shape", "kernel", "stride", "padding"), SHAPES)
def test_the_transpose_is_that_of_the_convolution(shape, kernel, stride, padding):
    g = torch.Generator().manual_seed(1)
    weight = torch.randn(5, shape[0], *kernel, generator=g, dtype=torch.float64)
    op = Conv(input_shape=shape, weight=weight, stride=(stride, stride), padding=padding)
    a = torch.randn(3, *op.output_shape, generator=g, dtype=torch.float64)
    assert torch.allclose(strided(op).transpose(a), op.transpose(a), rtol=1e-12, atol=1e-12)
    x = torch.randn(3, *shape, generator=g, dtype=torch.float64)
    assert torch.equal(strided(op).apply(x), op.apply(x))


@pytest.mark.parametrize(
    ("channels", "stride", "quicker"), [(3, (2, 2), True), (16, (2, 2), False), (3, (1, 1), False), (3, (2, 1), False)]
)
def test_a_search_cuts_up_what_gets_quicker(channels, stride, quicker):
    b = Builder()
    weight, bias = torch.ones(2, channels, 4, 4, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    x = b.conv(b.input((1, channels, 8, 8)), weight, bias, stride=stride, padding=(1, 1, 1, 1))
    network = b.finish(b.reshape(x, (1, -1)))
    found = [isinstance(node.operator, Strided) for node in for_search(network).nodes]
    assert any(found) is quicker
    points = torch.rand(2, channels, 8, 8)
    assert torch.allclose(for_search(network)(points), network.to(dtype=torch.float32)(points))
