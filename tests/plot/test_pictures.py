"""Pictures: a surface shows what networks say where it says so; a gallery shows what an attack did; files by suffix."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.attacks import balanced, inputs

import verify

SIGNATURE = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml"}


def _linear():
    layer = torch.nn.Linear(5, 2)
    torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(0))
    return verify.from_torch(layer, input_shape=(5,), source="linear"), layer.weight.detach(), layer


def _surface(**options):
    net = balanced("mlp", 1)
    x, y = inputs(net, 1)
    return verify.surface([net], x[0], int(y[0]), **{"epsilon": "0.2", "points": 5, **options}), net, x, y


def _attacked(count=3, shape=(1, 2, 2)):
    net = balanced("mlp", 1)
    assert net.input_shape == (4,)
    x, y = inputs(net, count)
    return verify.attack(net, x, y, epsilon="0.4", clip=(0, 1), diagnose=False), x.reshape(count, *shape)


def test_on_a_linear_network_the_margin_falls_by_the_dual_norm():
    net, weight, layer = _linear()
    x, label = torch.full((5,), 0.5), 1
    found = verify.surface([net], x, label, epsilon=0.1, points=7)
    (scores,) = layer(x.unsqueeze(0)).detach()
    middle = found.values[0, 3]
    slope = float((weight[1] - weight[0]).abs().sum())
    np.testing.assert_allclose(middle, float(scores[1] - scores[0]) - slope * found.along, atol=1e-5)
    assert found.along[0] == pytest.approx(-0.15) and found.along[-1] == pytest.approx(0.15)


def test_the_middle_is_the_input_and_the_loss_is_cross_entropy():
    for quantity in ("margin", "loss"):
        found, net, x, y = _surface(quantity=quantity)
        scores = net(x.double())
        others = scores[0].clone()
        others[y] = -torch.inf
        there = {"margin": scores[0, y] - others.max(), "loss": F.cross_entropy(scores, y)}[quantity]
        assert found.values[0, 2, 2] == pytest.approx(float(there), abs=1e-5)


def test_points_outside_the_valid_box_are_moved_into_it():
    net, weight, layer = _linear()
    found = verify.surface([net], torch.full((5,), 0.5), 1, epsilon=1, reach=10.0, clip=(0, 1), points=3)
    corner = 0.5 - 0.5 * (weight[1] - weight[0]).sign()  # the end of the middle row, far outside before
    scores = layer(corner).detach()
    assert found.values[0, 1, 2] == pytest.approx(float(scores[1] - scores[0]), abs=1e-5)


def test_another_seed_is_another_plane_and_the_same_seed_the_same():
    first, again, other = (_surface(seed=seed)[0].values for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("suffix", SIGNATURE)
@pytest.mark.parametrize("quantity", ["margin", "loss"])
def test_a_surface_of_several_networks_is_the_same_file_every_time(tmp_path, suffix, quantity):
    net, x = balanced("mlp", 1), torch.rand(4, generator=torch.Generator().manual_seed(0))
    found = verify.surface([net, balanced("mlp", 2)], x, 1, epsilon=0.2, points=5, quantity=quantity)
    for name in ("a", "b"):
        verify.plot_surface(found, tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first.startswith(SIGNATURE[suffix]) and first == second
    if suffix == ".svg":
        assert b"network 0" in first and b"network 1" in first and b"units of the input" in first


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2)])
def test_a_gallery_says_both_predictions(tmp_path, shape):
    report, images = _attacked(shape=shape)
    verify.plot_gallery(report, images, tmp_path / "gallery.svg")
    text = (tmp_path / "gallery.svg").read_text()
    for one in report.inputs:
        assert f"class {one.label}, called {one.predicted}" in text
        assert one.counterexample is None or f"called {one.counterexample.predicted}" in text
    assert "magnified" in text and "result" in text and report.attacked_error > 0


def test_coloured_images_are_shown_too(tmp_path):
    layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    net = verify.from_torch(layer, input_shape=(3, 2, 2))
    x, y = inputs(net, 2)
    report = verify.attack(net, x, y, epsilon="0.1", clip=(0, 1), diagnose=False)
    verify.plot_gallery(report, x, tmp_path / "gallery.png")
    assert (tmp_path / "gallery.png").read_bytes().startswith(SIGNATURE[".png"])


def test_no_window_and_no_global_state_is_touched():
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantity": "height"}, "unknown quantity 'height': choose from margin, loss"),
        ({"points": 2}, "points is 2"),
        ({"reach": -1.0}, "reach -1.0"),
        ({"epsilon": 0}, "epsilon 0"),
        ({"epsilon": "wide"}, "epsilon is 'wide'"),
        ({"epsilon": 0.1, "clip": (5, 6)}, "outside clip"),
    ],
)
def test_a_surface_that_cannot_be_made_is_refused(options, words):
    with pytest.raises(verify.UsageError, match=words):
        _surface(**options)


def test_a_surface_needs_networks_an_input_and_a_label_that_fit():
    net = balanced("mlp", 1)
    for networks, x, label, words in (
        ([], torch.zeros(4), 0, "there are no networks"),
        ([net], torch.full((4,), torch.nan), 0, "NaN or infinite"),
        ([net], torch.zeros(5), 0, "the network takes an input of shape"),
        ([net], torch.zeros(4), 9, "label 9 is out of range"),
    ):
        with pytest.raises(verify.UsageError, match=words):
            verify.surface(networks, x, label, epsilon=0.1)


@pytest.mark.parametrize("name", ["picture.pdf", "picture", "no/such/folder/picture.png"])
def test_a_file_that_cannot_be_written_is_named(tmp_path, name):
    with pytest.raises(verify.UsageError, match=r"cannot (draw|write) into|cannot write"):
        verify.plot_surface(_surface()[0], tmp_path / name)


def test_a_gallery_refuses_what_is_no_image_or_another_count(tmp_path):
    report, images = _attacked()
    for given, words in (
        (images.flatten(1), "are no images"),
        (torch.zeros(3, 2, 1, 2), "are no images"),
        (images[:2], "the report is about 3 inputs, 2 are given"),
        (torch.zeros(17, 2, 2), "17 images do not fit"),
    ):
        with pytest.raises(verify.UsageError, match=words):
            verify.plot_gallery(report, given, tmp_path / "gallery.png")


def test_without_matplotlib_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(verify.MissingDependency, match=r'pip install "reluproof\[plot\]"'):
        verify.plot_surface(_surface()[0], tmp_path / "picture.png")
