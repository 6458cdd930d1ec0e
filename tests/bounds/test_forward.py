"""The forward pass of affine forms: every node's exact value is inside, and it is the backward pass with parallel lines."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact import exact_values
from support.networks import query, samples

from verify.bounds.backward import Rows, backward, backward_form
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds
from verify.bounds.forward import Forward, forward_bounds
from verify.load.builder import Builder
from verify.network import Network
from verify.operators import ReLU
from verify.region import Box, box
from verify.selftest.networks import KINDS, network

entry = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e17, -1e17, 1.0 + 2**-52, 1e-30, 5e-324, -5e-324, 2.0**-1022, 0.1, 3.0]),
    st.floats(-2, 2, allow_subnormal=True),
)


def forward(net: Network, region: Box, *, refine: bool) -> Forward:
    varying = (region.lower < region.upper).any(0).flatten().nonzero().squeeze(1)
    return forward_bounds(net, region, varying, node_bounds(net, region).underflow, refine=refine)


def assert_holds(net: Network, region: Box, found: Forward, points: torch.Tensor) -> None:
    """Every node's exact value at the points of the first box is inside, and outputs are above their linear forms."""
    last = len(net.nodes) - 1
    rows = Rows(last, torch.eye(net.outputs).double().unsqueeze(0), torch.zeros(1, net.outputs).double())
    form = backward_form(net, found.bounds, rows, found.lines)
    a, c = form.coefficient[0].flatten(1).tolist(), form.constant[0].tolist()
    for x in points:
        values = exact_values(net, x)
        for i, exact in enumerate(values):
            low, high = (t[0].flatten().tolist() for t in (found.bounds.values[i].lower, found.bounds.values[i].upper))
            assert all(lo <= v <= hi for lo, v, hi in zip(low, exact, high, strict=True)), net.nodes[i].name
        at = [Fraction(v) for v in x.flatten().tolist()]
        for row, constant, value in zip(a, c, values[-1], strict=True):
            below = sum((Fraction(k) * v for k, v in zip(row, at, strict=True)), Fraction(constant))
            assert below <= value


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("kind", sorted(KINDS))
@given(seed=st.integers(0, 10**6), epsilon=st.sampled_from(["0", "0.01", "0.3", "1"]))
@settings(max_examples=8, deadline=None)
def test_every_node_holds_its_exact_value(kind, refine, seed, epsilon):
    q = query(kind, seed, epsilon)
    assert_holds(q.network, q.region, forward(q.network, q.region, refine=refine), samples(q.region, 6, seed))


@pytest.mark.parametrize("refine", [False, True])
@given(numbers=st.lists(entry, min_size=26, max_size=26))
@settings(max_examples=60, deadline=None)
def test_badly_scaled_and_cancelling_networks_hold_their_exact_values(refine, numbers):
    b, values = Builder(), iter(numbers)

    def take(*shape):
        return torch.tensor([next(values) for _ in range(int(torch.tensor(shape).prod()))]).double().reshape(shape)

    x = b.relu(b.affine(b.input((1, 2)), take(3, 2), take(3)))
    x = b.relu(b.affine(x, take(2, 3), take(2)))
    net = b.finish(b.affine(x, take(2, 2), take(2)))
    ends = torch.stack([take(1, 1).expand(1, 2), torch.ones(1, 2).double()])
    region = box(ends.amin(0), ends.amax(0))
    assert_holds(net, region, forward(net, region, refine=refine), samples(region, 4))


@pytest.mark.parametrize("kind", ["mlp", "convolution", "residual"])
@pytest.mark.parametrize("seed", range(5))
def test_it_gives_what_the_backward_pass_gives_with_parallel_lines(kind, seed):
    q = query(kind, seed, "0.4")
    found = forward(q.network, q.region, refine=False)
    for r in q.network.relus:
        start = q.network.nodes[r].inputs[0]
        size = q.network.nodes[start].shape
        eye = torch.eye(found.bounds.pre[r].lower[0].numel()).double().reshape(1, -1, *size)
        rows = Rows(start, eye, eye.new_zeros(1, eye.shape[1]))
        below = backward(q.network, q.region, found.bounds, rows, fixed_lines(found.bounds, "dual"))
        torch.testing.assert_close(below, found.bounds.pre[r].lower.flatten(1), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_refining_tightens_what_is_left_unstable(seed):
    q = query("mlp", seed, "1", count=3)
    plain, refined = (forward(q.network, q.region, refine=r) for r in (False, True))
    second = q.network.relus[1]
    assert bool((refined.bounds.pre[second].lower >= plain.bounds.pre[second].lower).all())
    assert bool((refined.bounds.pre[second].upper <= plain.bounds.pre[second].upper).all())


def test_a_batch_gives_each_box_what_it_gets_alone_up_to_rounding():
    net = network("residual", 3)
    q = query("residual", 3, "0.3", count=4)
    together = forward(net, q.region, refine=True).bounds
    for i in range(4):
        alone = forward(net, q.region.select(torch.tensor([i])), refine=True).bounds
        for a, b in zip(together.values, alone.values, strict=True):
            torch.testing.assert_close(a.lower[i : i + 1], b.lower, atol=1e-12, rtol=1e-9)


def test_a_coordinate_that_is_a_point_costs_no_generator():
    net = network("mlp", 0)
    lower = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).double()
    upper = lower.clone()
    upper[0, 2] = 0.9
    found = forward(net, box(lower, upper), refine=True)
    first = next(i for i, node in enumerate(net.nodes) if isinstance(node.operator, ReLU))
    assert found.reach[first].shape[1] == 1
    assert_holds(net, box(lower, upper), found, samples(box(lower, upper), 5))


def test_crown_bounds_refine_no_further_than_the_node_bounds_of_crown_on_one_layer():
    q = query("mlp", 1, "0.5")
    refined = forward(q.network, q.region, refine=True).bounds
    crown = node_bounds(q.network, q.region, by_slopes("crown"))
    second = q.network.relus[1]
    free = (crown.pre[second].lower < 0) & (crown.pre[second].upper > 0)
    assert bool((refined.pre[second].lower[free] >= crown.pre[second].lower[free] - 1e-9).all())
