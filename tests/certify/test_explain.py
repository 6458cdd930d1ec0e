"""An explanation accounts for the whole of what a bound loses, and names what loses it."""

from __future__ import annotations

import pytest
import torch
from support.demo import demo_data, demo_network

import verify
from verify.certify.api import classification_query
from verify.selftest.networks import network
from verify.selftest.oracle import exact_margins

KINDS = ("mlp", "residual", "convolution", "branches", "dead_and_stable", "linear")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_true_margin_is_at_most_the_bound_and_all_losses(kind, seed):
    net = network(kind, seed)
    x = torch.rand(net.input_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    label = int(net(x.unsqueeze(0)).argmax())
    found = verify.explain(net, x, label, epsilon="0.3", timeout=5)
    query = classification_query(net, x.unsqueeze(0), torch.tensor([label]), epsilon="0.3")
    row = query.specification.targets[0].tolist().index(found.target)
    true, blur = float(exact_margins(query)[row]), 1e-7 * (1 + found.loss)  # the oracle's linear programs are not exact
    assert found.lower - blur <= true <= found.upper + blur
    assert true <= found.lower + found.loss + blur


def test_the_layers_hold_every_neuron_and_the_named_ones_are_the_worst():
    data = demo_data()
    found = verify.explain(demo_network(), data.inputs[33], 3, epsilon="0.2", clip=(0, 1), timeout=1, most=7, more=0)
    assert found.later is None
    assert [layer.active + layer.inactive + layer.unstable for layer in found.layers] == [64, 32]
    losses = [neuron.loss for neuron in found.neurons]
    assert (
        len(losses) == 7
        and losses == sorted(losses, reverse=True)
        and all(n.lower < 0 < n.upper for n in found.neurons)
    )
    assert sum(losses) < found.loss


def test_where_nothing_is_unstable_nothing_is_lost():
    found = verify.explain(demo_network(), demo_data().inputs[0], 0, epsilon="0")
    assert found.loss == 0 and found.neurons == ()
    assert found.results["interval"].verdict is verify.Verdict.VERIFIED


def test_more_time_is_tried_where_time_was_up():
    asked = {"epsilon": "0.12", "clip": (0, 1), "timeout": 1e-6}
    found = verify.explain(demo_network(), demo_data().inputs[3], 3, **asked, more=60)
    assert found.results["complete"].reason == "timeout"
    assert found.later is not None and found.later.verdict is verify.Verdict.VERIFIED


def test_an_unknown_option_is_named():
    with pytest.raises(verify.UsageError, match="unknown option 'tiemout'"):
        verify.explain(demo_network(), demo_data().inputs[0], 0, epsilon="0.1", tiemout=1)
