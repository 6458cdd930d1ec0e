"""Bounds over windows are those over whole images, and hold of every point; what does not fit is left as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.networks import samples

from verify.bounds import windows
from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, node_bounds
from verify.bounds.optimise import by_ascent
from verify.bounds.progressive import progressive
from verify.bounds.scope import Scope
from verify.bounds.windows import chain_to
from verify.executed import meant
from verify.load.builder import Builder
from verify.network import Network
from verify.operators import Conv
from verify.region import Box, ball, box

# input, then out channels, kernel, stride, padding, dilation and groups of each convolution
STACKS = {
    "plain": ((1, 12, 12), [(3, 3, 1, 1, 1, 1), (4, 3, 1, 1, 1, 1), (3, 3, 1, 0, 1, 1)]),
    "strided": ((2, 19, 16), [(4, 3, 1, 1, 1, 1), (4, 4, 2, 1, 1, 1), (5, 3, 2, 1, 1, 1)]),
    "wide padding": ((1, 9, 14), [(3, 2, 1, 2, 1, 1), (3, 3, 2, 3, 1, 1)]),
    "a stride that leaves pixels out": ((1, 17, 15), [(3, 2, 3, 0, 1, 1), (3, 2, 2, 1, 1, 1)]),
    "dilated and grouped": ((2, 20, 20), [(4, 3, 1, 2, 2, 2), (4, 2, 2, 1, 3, 2), (2, 1, 1, 0, 1, 1)]),
}
TIGHTENERS = {
    "dual": lambda: by_slopes("dual"),
    "crown": lambda: by_slopes("crown"),
    "progressive": lambda: progressive(by_slopes("dual"), by_slopes("crown"), by_ascent(Ascent(steps=5))),
}


def stack(name: str) -> Network:
    shape, layers = STACKS[name]
    g, b = torch.Generator().manual_seed(len(name)), Builder()
    x = b.input((1, *shape))
    for out, kernel, stride, pad, dilation, groups in layers:
        weight = torch.randn(out, x.shape[1] // groups, kernel, kernel, generator=g).double()
        offset = torch.randn(out, generator=g).double() / 2
        x = b.relu(
            b.conv(
                x, weight, offset, stride=(stride, stride), padding=(pad,) * 4, dilation=(dilation,) * 2, groups=groups
            )
        )
    return b.finish(b.reshape(x, (1, -1)))


def region_of(net: Network, count: int = 2) -> Box:
    centre = torch.rand(count, *net.input_shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return ball(centre, "0.05", clip=(0, 1))


def scope_of(net: Network, region: Box, relu: int) -> Scope:
    bounds = node_bounds(net, region)
    start = net.nodes[net.relus[relu]].inputs[0]
    size = bounds.values[start].lower[0].numel()
    return Scope(net, region, bounds, start, torch.arange(size), torch.ones(region.count, size).bool())


@pytest.mark.parametrize("tightener", TIGHTENERS)
@pytest.mark.parametrize("name", STACKS)
def test_bounds_over_windows_are_those_over_whole_images_and_hold(name, tightener, monkeypatch):
    net = stack(name)
    region = region_of(net)
    assert any(chain_to(scope_of(net, region, k)) is not None for k in range(len(net.relus)))
    found = node_bounds(net, region, TIGHTENERS[tightener]())
    monkeypatch.setattr(windows, "WORTH", 0.0)
    whole = node_bounds(net, region, TIGHTENERS[tightener]())
    for r in net.relus:
        for one, other in ((found.pre[r].lower, whole.pre[r].lower), (found.pre[r].upper, whole.pre[r].upper)):
            # The searches of alpha-CROWN round differently; fixed slopes give the same bounds but for what rounding costs.
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 if tightener != "progressive" else 1e-2)
    for i in range(region.count):
        values = list(net.values(samples(region.select(torch.tensor([i])), 100)))
        for r, pre in found.pre.items():
            v = values[net.nodes[r].inputs[0]]
            assert bool(((pre.lower[i] <= v) & (v <= pre.upper[i])).all())


@pytest.mark.parametrize("tightener", ["dual", "crown"])
def test_bounds_over_windows_are_tighter_than_intervals(tightener):
    net = stack("plain")
    region = region_of(net)
    plain, found = node_bounds(net, region), node_bounds(net, region, TIGHTENERS[tightener]())
    last = net.relus[-1]
    assert float((found.pre[last].upper - found.pre[last].lower).sum()) < 0.9 * float(
        (plain.pre[last].upper - plain.pre[last].lower).sum()
    )


def test_neurons_beyond_the_image_must_be_such_as_never_fire(monkeypatch):
    """If they could, what convolutions make of padding alone would count: the test above would notice."""
    net = stack("plain")
    region = region_of(net)
    good = node_bounds(net, region, by_slopes("dual"))
    monkeypatch.setattr(windows, "NEVER", 1.0)
    scope = replace(scope_of(net, region, 2), bounds=good)
    bad, _ = by_slopes("dual")(scope)
    assert float((bad.lower - good.pre[net.relus[2]].lower.flatten(1)).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("why", "relu", "change"),
    [
        ("the first convolution's intervals are exact as they are", 0, lambda net, region: (net, region)),
        (
            "a ball that is no box couples its pixels",
            1,
            lambda net, region: (net, ball(region.centre, "0.05", norm="l2")),
        ),
        (
            "weights that were rounded",
            1,
            lambda net, region: (replace(net, nodes=tuple(_rounded(n) for n in net.nodes)), region),
        ),
    ],
)
def test_what_windows_do_not_fit_is_bounded_as_a_whole(why, relu, change):
    net = stack("plain")
    changed, region = change(net, region_of(net))
    assert chain_to(scope_of(changed, region, relu)) is None, why


def _rounded(node):
    op = node.operator
    return replace(node, operator=replace(op, weight_ulps=1)) if isinstance(op, Conv) else node


def test_a_box_and_one_input_of_many_are_windowed_alike():
    net = stack("strided")
    region = region_of(net, count=3)
    every = node_bounds(net, box(region.lower, region.upper), by_slopes("crown"))
    one = node_bounds(net, region.select(torch.tensor([2])), by_slopes("crown"))
    for r in net.relus:
        torch.testing.assert_close(every.pre[r].lower[2], one.pre[r].lower[0], rtol=1e-12, atol=1e-12)


def test_the_claim_about_executions_pays_as_much_over_windows(monkeypatch):
    net = meant(stack("strided"), "float32")
    region = region_of(net, count=1)
    found = node_bounds(net, region, by_slopes("crown"))
    real = node_bounds(stack("strided"), region, by_slopes("crown"))
    monkeypatch.setattr(windows, "WORTH", 0.0)
    whole = node_bounds(net, region, by_slopes("crown"))
    last = net.relus[-1]
    torch.testing.assert_close(found.pre[last].lower, whole.pre[last].lower, rtol=1e-9, atol=1e-9)
    assert bool((found.pre[last].lower < real.pre[last].lower).all())
