"""Configs, schedules, the start, the errors of a data set and the exported file."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from support.modules import MODULES, SHAPE, batch, module, stripes
from torch import nn

import verify
from verify.train.batch import batch_of
from verify.train.initialise import ibp_initialise, regulariser
from verify.train.schedule import radius_at, ramp_at, rate_at


def test_a_toml_file_says_what_a_config_says(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('method = "sabr"\nepsilon = "8/255"\ndrops = [2, 3]\nclip = []\nrate = 1e-3\n')
    assert verify.read_training(file) == verify.Training(
        method="sabr", epsilon="8/255", drops=(2, 3), clip=None, rate=1e-3
    )
    file.write_text("")
    assert verify.read_training(file) == verify.Training()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("methd = 'ibp'", "unknown key 'methd' (value 'ibp'): choose from architecture, method"),
        ("method = 'magic'", "method is 'magic': give one of standard, noise, fgsm"),
        ("epochs = 0", "epochs is 0: give a whole number of at least 1"),
        ("epochs = 2.5", "epochs is 2.5"),
        ("epochs = true", "epochs is True"),
        ("rate = 'fast'", "rate is 'fast': give a number above 0"),
        ("rate = inf", "rate is inf"),
        ("kappa = 1.5", "kappa is 1.5: give a number at least 0 and at most 1"),
        ("epsilon = 'wide'", "epsilon is 'wide'"),
        ("epsilon = -0.1", "epsilon is -0.1: it must not be negative"),
        ("clip = [0]", "clip is (0,): give two numbers"),
        ("clip = ['a', 1]", "clip is 'a'"),
        ("drops = 3", "drops is 3: give epochs such as [8, 10]"),
        ("norm = 'l7'", "norm is 'l7': give one of linf, l2, l1"),
        ("device = 'tpu'", "device is 'tpu': give one of cpu, cuda"),
        ("method = ", "is no TOML file"),
    ],
)
def test_a_mistake_in_a_file_names_key_value_and_remedy(tmp_path, text, words):
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(verify.ReluproofError) as caught:
        verify.read_training(file)
    assert words in str(caught.value) and str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(verify.LoadError, match=r"none\.toml: cannot be read"):
        verify.read_training(tmp_path / "none.toml")


def test_the_identity_is_that_of_what_decides_the_weights():
    config = verify.Training(epsilon=0.1)
    assert config.identity == verify.Training(epsilon="1/10", watched=3).identity
    others = (replace(config, seed=1), replace(config, epsilon="0.2"), replace(config, drops=(3,)))
    assert len({config.identity, *(other.identity for other in others)}) == 4


def test_radius_and_rate_follow_the_schedule():
    config = verify.Training(epsilon="0.1", stretch=1.5, warm_up=1, ramp=4, rate=1.0, drops=(6, 8), drop=0.5)
    assert [ramp_at(config, e) for e in (0, 0.9, 1, 3, 5, 9)] == [0, 0, 0, 0.5, 1, 1]
    assert radius_at(config, 1.0) == Fraction("0.15") and radius_at(config, 0.0) == 0
    assert [rate_at(config, e) for e in (0, 5, 6, 8)] == [1, 1, 0.5, 0.25]
    assert ramp_at(replace(config, warm_up=0, ramp=0), 0.0) == 1


def test_ibp_initialisation_has_the_papers_variance_and_keeps_intervals_from_growing():
    made = nn.Sequential(
        nn.Flatten(), *(layer for _ in range(4) for layer in (nn.Linear(36, 36), nn.ReLU())), nn.Linear(36, 3)
    )
    x, y = batch(4)

    def width(m):
        asked = batch_of(m, x, y, 0.01)
        return float(regulariser(asked.network, asked.region))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in made:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.5)
    before = width(made)
    ibp_initialise(made, torch.Generator().manual_seed(0))
    assert float(made[1].weight.std()) == pytest.approx(math.sqrt(2 * math.pi) / 36, rel=0.1)
    assert float(made[1].bias.abs().max()) == 0 and width(made) < before


def test_the_regularisers_ask_for_narrow_and_balanced_layers():
    made = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, bias=False), nn.ReLU(), nn.Linear(2, 3))
    x = torch.full((2, *SHAPE), 0.5)
    with torch.no_grad():
        made[1].weight.zero_()
        made[1].weight[:, 0] = torch.tensor([1.0, -1.0])
    asked = batch_of(made, x, torch.tensor([0, 1]), 0.01)
    assert float(regulariser(asked.network, asked.region).detach()) == 0  # as wide as the input, one active, one not
    with torch.no_grad():
        made[1].weight.mul_(4)
    wide = regulariser(batch_of(made, x, torch.tensor([0, 1]), 0.01).network, asked.region)
    assert float(wide.detach()) == pytest.approx(0.5, rel=1e-4)  # a quarter of the ideal: half of what is tolerated


@pytest.mark.parametrize("method", ["interval", "crown-ibp", "dual"])
def test_error_rates_are_in_order_and_those_of_the_certifier(method):
    trained = verify.train(
        module("mlp"), stripes(), verify.Training(epochs=4, batch=16, rate=5e-3, warm_up=0.5, ramp=1, watched=0)
    )
    data = stripes(64, seed=3)
    noisy = (data.inputs + 0.35 * torch.rand(data.inputs.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    errors = verify.error_rates(trained.network, noisy, data.labels, epsilon="0.2", method=method, steps=10)
    assert 0 <= errors.clean <= errors.attacked <= errors.certified < 1 and errors.certified > 0
    options = {"crown-ibp": {"method": "crown", "pre_activation": "interval"}}.get(method, {"method": method})
    bounds = verify.lower_bounds(trained.network, noisy, data.labels, epsilon="0.2", clip=(0, 1), **options)
    assert errors.certified == float((bounds <= 0).any(1).double().mean())
    attacked = verify.attack(trained.network, noisy, data.labels, epsilon="0.2", clip=(0, 1), diagnose=False)
    assert errors.attacked == pytest.approx(attacked.attacked_error, abs=2 / 64)


def test_misuse_of_error_rates_is_named():
    network = verify.from_torch(module("mlp"), input_shape=SHAPE)
    x, y = batch()
    with pytest.raises(verify.UsageError, match="unknown method 'magic': choose from interval"):
        verify.error_rates(network, x, y, epsilon=0.1, method="magic")
    with pytest.raises(verify.UsageError, match="6 inputs and 2 labels"):
        verify.error_rates(network, x, y[:2], epsilon=0.1)
    with pytest.raises(verify.UsageError, match="is out of range"):
        verify.error_rates(network, x, y + 3, epsilon=0.1)


@pytest.mark.parametrize("kind", MODULES)
def test_the_written_file_is_the_module(tmp_path, kind):
    made = module(kind)
    network = verify.write_onnx(made, tmp_path / "net.onnx", SHAPE)
    x, _ = batch()
    torch.testing.assert_close(network(x.double()).float(), made.eval()(x), rtol=1e-4, atol=1e-5)
    (replay, _) = verify.replays(tmp_path / "net.onnx", network)
    assert replay.name == "onnxruntime"
    torch.testing.assert_close(replay(x), network(x.double()), rtol=1e-4, atol=1e-4)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(verify.UsageError, match=r"cannot write .*none"):
        verify.write_onnx(module("mlp"), tmp_path / "none" / "net.onnx", SHAPE)
