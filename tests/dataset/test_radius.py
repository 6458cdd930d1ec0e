"""The radius of an input lies between its two ends, whatever the grid."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from support.demo import demo_data, demo_network

import verify
from verify.dataset.radius import _steps_to


def line() -> verify.Network:
    """``f(x) = (x, -x)`` through ReLUs: the label 0 holds while x > 0."""
    layers = [torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2)]
    values = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, -1.0], [-1.0, 1.0]], [0.0, 0.0])]
    for layer, (weight, bias) in zip((layers[0], layers[2]), values, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return verify.from_torch(torch.nn.Sequential(*layers), input_shape=(1,))


# A tie at the very end of a round ball is a point that no attack meets: such a radius would stay unknown in l2 and l1.
@pytest.mark.parametrize(
    ("norm", "x", "step"),
    [
        *[("linf", x, step) for x, step in [("0.5", "0.1"), ("0.5", "0.01"), ("0.25", "0.1"), ("0.3", "1/7")]],
        *[(norm, x, step) for norm in ("l2", "l1") for x, step in [("0.25", "0.1"), ("0.3", "1/7")]],
    ],
)
def test_the_true_radius_lies_between_the_ends(norm, x, step):
    found = verify.certified_radius(line(), [float(x)], 0, most="1", resolution=step, norm=norm)
    true, step = Fraction(float(x)), Fraction(step)
    assert found.certified < true <= found.broken  # a tie does not hold, so the radius itself is broken
    assert found.exact and found.broken - found.certified == step
    assert found.certified % step == 0 and found.broken % step == 0


def test_an_input_that_nothing_breaks_is_verified_to_the_end():
    found = verify.certified_radius(line(), [0.9], 0, most="0.5", resolution="0.1")
    assert (found.certified, found.broken, found.exact) == (Fraction(1, 2), None, True)


def test_a_misclassified_input_has_no_radius():
    found = verify.certified_radius(line(), [-0.2], 0, most="0.5", resolution="0.1")
    assert (found.certified, found.broken, found.predicted) == (None, 0, 1)


def test_radii_that_stay_unknown_are_left_between_the_ends():
    data = demo_data()
    found = verify.certified_radius(
        demo_network(), data.inputs[0], 0, most="0.3", resolution="0.02", clip=(0, 1), method="crown"
    )
    assert found.certified is not None and found.broken is not None and found.open and not found.exact
    at = {"clip": (0, 1), "method": "crown"}
    low = verify.certify(demo_network(), data.inputs[0], 0, epsilon=found.certified, **at)
    high = verify.certify(demo_network(), data.inputs[0], 0, epsilon=found.certified + found.resolution, **at)
    assert low.verdict is verify.Verdict.VERIFIED and high.verdict is not verify.Verdict.VERIFIED


@pytest.mark.parametrize(("norm", "steps"), [("linf", 3), ("l1", 7), ("l2", 5)])
def test_a_point_is_in_the_ball_of_its_steps_and_in_no_smaller_one(norm, steps):
    centre, x = torch.zeros(2, dtype=torch.float64), torch.tensor([4.0, -3.0], dtype=torch.float64)
    exact = {"linf": 4, "l1": 7, "l2": 5}[norm]
    assert _steps_to(centre, x, norm, Fraction(1)) == exact
    assert _steps_to(centre, x, norm, Fraction(exact, steps)) == steps
    assert _steps_to(centre, x, norm, Fraction(exact, steps) * Fraction(999, 1000)) == steps + 1
    assert _steps_to(centre, centre, norm, Fraction(1)) == 0


@pytest.mark.parametrize(
    ("most", "step", "words"),
    [("0.1", "0", "resolution is 0"), ("0.1", "0.2", "less than one step"), ("x", "0.1", "the largest radius")],
)
def test_a_grid_that_makes_no_sense_is_refused(most, step, words):
    with pytest.raises(verify.UsageError, match=words):
        verify.certified_radius(line(), [0.5], 0, most=most, resolution=step)
