"""Where intervals are exact nothing is tightened: one linear step over a box."""

from __future__ import annotations

import pytest
import torch

from verify.bounds.compute import by_slopes, exact_by_intervals, node_bounds
from verify.bounds.scope import Scope
from verify.load.builder import Builder
from verify.region import ball


def network():
    g, b = torch.Generator().manual_seed(0), Builder()
    x = b.scale(b.input((1, 6)), torch.full((6,), 3.0).double(), torch.full((6,), -0.5).double())
    for size in (8, 7, 3):
        x = b.affine(x, torch.randn(size, x.shape[1], generator=g).double(), torch.randn(size, generator=g).double())
        x = b.relu(x) if size > 3 else x
    return b.finish(x)


def seen(net, region):
    """The nodes that a tightener is asked about."""
    asked, crown = [], by_slopes("crown")

    def tighten(scope: Scope):
        asked.append(scope.start)
        return crown(scope)

    return node_bounds(net, region, tighten), asked


@pytest.mark.parametrize(("norm", "first"), [("linf", False), ("l2", True), ("l1", True)])
def test_the_first_layer_is_tightened_over_balls_that_are_no_boxes_alone(norm, first):
    net = network()
    starts = [net.nodes[r].inputs[0] for r in net.relus]
    centre = torch.rand(2, 6, generator=torch.Generator().manual_seed(1)).double()
    _, asked = seen(net, ball(centre, "0.3", norm=norm))
    assert asked == (starts if first else starts[1:])


def test_what_is_not_tightened_could_not_be(monkeypatch):
    net, centre = network(), torch.rand(2, 6, generator=torch.Generator().manual_seed(1)).double()
    region = ball(centre, "0.3")
    found, _ = seen(net, region)
    monkeypatch.setattr("verify.bounds.compute.exact_by_intervals", lambda *_: False)
    whole, asked = seen(net, region)
    assert net.nodes[net.relus[0]].inputs[0] in asked
    for r in net.relus:
        torch.testing.assert_close(found.pre[r].lower, whole.pre[r].lower, rtol=1e-12, atol=1e-12)


def test_layers_behind_the_first_are_not_exact_by_intervals():
    net = network()
    region = ball(torch.zeros(1, 6).double(), "0.3")
    exact = [exact_by_intervals(net, region, net.nodes[r].inputs[0]) for r in net.relus]
    assert exact == [True, False]
