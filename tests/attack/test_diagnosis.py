"""The diagnosis: networks that hide their gradients are named, honest ones are not."""

from __future__ import annotations

import pytest
import torch
from support.attacks import balanced, last_changed

import verify
from verify.demo import demo_digits_path, demo_network_path
from verify.load.builder import Builder
from verify.network import Network
from verify.selftest.networks import weights


def _digits(count=30):
    data = verify.load_data(demo_digits_path())
    return data.inputs[:count], data.labels[:count]


def _scaled(net: Network, factor: float) -> Network:
    """The same classifier with scores so large that its softmax is 0 or 1 to the last digit."""
    return last_changed(net, lambda weight, bias: (weight * factor, bias * factor))


def _quantised(seed: int = 0) -> Network:
    """Inputs rounded to 0 or 1 by a steep ramp before anything else: flat almost everywhere, and wrong all the same."""
    g = torch.Generator().manual_seed(seed)
    b, steep = Builder(), 1e4
    x = b.input((1, 8))
    eye = torch.eye(8).double()
    up = b.relu(b.affine(x, steep * eye, torch.full((8,), -0.5 * steep).double()))
    over = b.relu(b.affine(x, steep * eye, torch.full((8,), -0.5 * steep - 1).double()))
    step = b.subtract(up, over)
    h = b.relu(b.affine(step, weights(g, 6, 8), weights(g, 6)))
    return b.finish(b.affine(h, weights(g, 3, 6), weights(g, 3)))


def _named(report):
    return {finding.check for finding in report.violations}


@pytest.mark.parametrize("name", ["mlp", "cnn"])
@pytest.mark.parametrize("method", ["apgd", "fgsm", "pgd"])
def test_an_honest_network_passes_every_check(name, method):
    x, y = _digits(16)
    net = verify.load(demo_network_path(name))
    report = verify.attack(net, x, y, epsilon="0.1", clip=(0, 1), method=method, steps=15)
    assert _named(report) == set()
    made = {finding.check for finding in report.diagnosis if finding.passed}
    assert made >= {"vanishing gradients", "shattered gradients", "unbounded epsilon", "random search", "one step"}


def test_saturated_scores_are_named():
    x, y = _digits()
    net = _scaled(verify.load(demo_network_path("mlp")), 1e4)
    blind = verify.attack(net, x, y, epsilon="0.1", clip=(0, 1), method="pgd", loss="cross_entropy", steps=10)
    assert {"vanishing gradients", "unbounded epsilon"} <= _named(blind)
    # The margin's slope does not saturate: the default attack is not fooled, and the report still names the network.
    seeing = verify.attack(net, x, y, epsilon="0.1", clip=(0, 1), steps=10)
    assert _named(seeing) == {"vanishing gradients"}


def test_quantised_inputs_are_named():
    net = _quantised()
    g = torch.Generator().manual_seed(1)
    x = torch.rand(40, 8, generator=g)
    y = net(x.double()).argmax(1)
    report = verify.attack(net, x, y, epsilon="0.45", clip=(0, 1), method="pgd", start="centre", steps=10)
    assert {"vanishing gradients", "shattered gradients", "random search"} <= _named(report)


def test_transferred_examples_that_do_better_are_named():
    x, y = _digits()
    honest = verify.load(demo_network_path("mlp"))
    net = _scaled(honest, 1e4)
    report = verify.attack(
        net, x, y, epsilon="0.2", clip=(0, 1), method="pgd", loss="cross_entropy", steps=10, surrogates=[honest]
    )
    assert "transfer" not in _named(
        verify.attack(honest, x, y, epsilon="0.2", clip=(0, 1), steps=10, surrogates=[honest])
    )
    # The surrogate is attacked in the same way, with a loss that does not saturate there.
    assert "transfer" in _named(report)


def test_a_certificate_that_a_counterexample_contradicts_is_named():
    net = balanced("mlp", 1)
    x = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    y = net(x.double()).argmax(1)
    report = verify.attack(net, x, y, epsilon="0.6", clip=(0, 1), certified=[True] * 20)
    (finding,) = [f for f in report.violations if f.check == "certification"]
    assert "certified and have a counterexample" in finding.words
    fine = verify.attack(net, x, y, epsilon="0.6", clip=(0, 1), certified=(~report.falsified).tolist())
    assert "certification" not in _named(fine)


def test_without_a_correct_input_no_check_is_made():
    net = balanced("mlp", 1)
    x = torch.rand(4, 4)
    wrong = (net(x.double()).argmax(1) + 1) % 3
    report = verify.attack(net, x, wrong, epsilon="0.1", clip=(0, 1))
    assert all(finding.passed is None for finding in report.diagnosis)
