"""The committed trained networks: they load, and interval bounds leave open what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import verify

FOLDER = Path(__file__).parents[2] / "benchmarks" / "trained"
IMAGES = 200
OPEN = {
    "ibp_0.1": 6,
    "sabr_0.1": 11,
    "ibp_0.3": 18,
}  # inputs that interval bounds leave open, of the first 200 test images


@pytest.mark.parametrize("name", OPEN)
def test_interval_bounds_leave_open_what_is_said(reference_data, name):
    config = verify.read_training(FOLDER / f"{name}.toml")
    network = verify.load(FOLDER / f"{name}.onnx")
    digits = verify.load_data(reference_data / "mnist").select(range(IMAGES))
    where = {"epsilon": config.epsilon, "clip": config.clip}
    errors = verify.error_rates(network, digits.inputs, digits.labels, steps=5, **where)
    assert round(errors.certified * IMAGES) == OPEN[name]
    bounds = verify.lower_bounds(network, digits.inputs, digits.labels, method="interval", **where)
    assert int((bounds <= 0).any(1).sum()) == OPEN[name]


def test_method_complete_decides_what_interval_bounds_leave_open(reference_data):
    index = [18, 33, 115, 121, 149, 158, 184]  # of the eleven; the other four take longer
    digits = verify.load_data(reference_data / "mnist").select(index)
    network = verify.load(FOLDER / "sabr_0.1.onnx")
    where = {"epsilon": "0.1", "clip": (0, 1)}
    bounds = verify.lower_bounds(network, digits.inputs, digits.labels, method="interval", **where)
    assert bool((bounds <= 0).any(1).all())
    found = verify.certify_batch(network, digits.inputs, digits.labels, **where)
    assert [i for i, one in zip(index, found, strict=True) if one.verdict is verify.Verdict.FALSIFIED] == [18, 115]
    assert [one.verdict for one in found].count(verify.Verdict.VERIFIED) == 5


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.onnx")))
def test_every_network_has_its_config_and_its_run(name):
    config = verify.read_training(FOLDER / f"{name}.toml")
    said = json.loads((FOLDER / f"{name}.json").read_text())
    network = verify.load(FOLDER / f"{name}.onnx")
    assert said["network"]["sha256"] == network.sha256 and said["config"]["seed"] == config.seed
    assert said["config"]["method"] == config.method and len(said["epochs"]) == config.epochs
