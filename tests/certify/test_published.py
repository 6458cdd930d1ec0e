"""The tutorial's table (Kolter & Madry 2018), from the committed weights: interval and LP to 1e-5, MILP to 1e-4."""

from __future__ import annotations

import pytest
import torch

import verify

TARGETS = (0, 1, 2, 3, 4, 5, 6, 8, 9)
BY_INTERVAL = {"pre_activation": "interval"}

# (epsilon, method, options, tolerance, margins by target); the integer programs came from Gurobi with its tolerances.
TABLE = {
    "integer program, 0.05": ("0.05", "milp", {}, 1e-4,
        (5.810042, 10.836173, 2.039339, 0.018873, 13.528364, 5.146073, 20.454391, 3.542875, 4.274027)),
    "integer program, 0.1": ("0.1", "milp", {}, 1e-4,
        (-2.545013, 3.043377, -4.966118, -7.309837, 4.741011, -4.870591, 7.980441, -6.953625, -3.314371)),
    "LP, 0.02": ("0.02", "lp", BY_INTERVAL, 1e-5,
        (8.679120, 12.233313, 4.120828, 1.857739, 16.236514, 7.964242, 23.459304, 6.103150, 5.581248)),
    "interval, 0.02": ("0.02", "interval", {}, 1e-5,
        (-7.426559, -2.029249, -8.31501, -15.399408, 2.381360, -10.803006, 5.575859, -13.850781, -11.277755)),
}  # fmt: skip


@pytest.fixture(scope="module")
def question(reference_data):
    digits = verify.load_data(reference_data / "mnist")
    network = verify.load(reference_data / "tutorial" / "model_small.pt", arch="mlp")
    return network, digits.inputs[0], int(digits.labels[0])


@pytest.mark.parametrize("line", list(TABLE))
def test_the_published_margins_are_reproduced(question, line):
    epsilon, method, options, tolerance, published = TABLE[line]
    result = verify.certify(*question, epsilon=epsilon, clip=(0, 1), method=method, **options)
    ours = {row.target: row.lower for row in result.margins}
    assert [ours[t] for t in TARGETS] == pytest.approx(published, abs=tolerance)


def test_the_published_lp_margin_at_a_tenth(question):
    result = verify.certify(*question, epsilon="0.1", clip=(0, 1), method="lp", **BY_INTERVAL)
    assert next(row.lower for row in result.margins if row.target == 2) == pytest.approx(-26.119775, abs=1e-5)


def test_the_duals_error_on_the_first_images_is_the_raw_methods(reference_data):
    """Of the first 200 images; benchmarks/salman_table.py does all 10,000."""
    digits = verify.load_data(reference_data / "mnist")
    network = verify.load(reference_data / "salman" / "salman_LPD_MLP_B_0.1.npz", arch="mlp")
    ask = {"epsilon": "0.1", "clip": (0, 1), "method": "dual"}
    raw = verify.lower_bounds(network, digits.inputs[:200], digits.labels[:200], intersect=False, **ask)
    tight = verify.lower_bounds(network, digits.inputs[:200], digits.labels[:200], **ask)
    assert bool((tight >= raw - 1e-9).all())
    assert float((raw.amin(1) <= 0).double().mean()) == pytest.approx(0.215)
    assert torch.isfinite(raw).all()
