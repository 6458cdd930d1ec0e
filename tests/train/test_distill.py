"""Defensive distillation hides gradients and moves no boundary; the diagnosis names it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import verify
from verify.demo import demo_digits_path
from verify.errors import TrainingFailed
from verify.train.distill import Distillation, soft_labels, train_distilled, train_softened

HOW = Distillation(temperature=100, epochs=60, batch=20, rate=1e-2)


def module(seed, size=784, classes=10):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, classes))


@pytest.fixture(scope="module")
def digits():
    return verify.load_data(demo_digits_path())


@pytest.fixture(scope="module")
def distilled(digits):
    student = train_distilled(module(0), module(1), digits.inputs, digits.labels, HOW)
    return verify.from_torch(student, input_shape=(1, 28, 28))


def attacked(net, digits, loss):
    options = {"method": "pgd", "loss": loss, "start": "centre", "steps": 20}
    return verify.attack(net, digits.inputs, digits.labels, epsilon="0.1", clip=(0, 1), **options)


def test_a_distilled_network_looks_robust_to_cross_entropy_and_is_not(digits, distilled):
    blind, seeing = (attacked(distilled, digits, loss) for loss in ("cross_entropy", "margin"))
    assert blind.clean_error <= 0.02 and blind.attacked_error <= blind.clean_error + 0.02
    assert seeing.attacked_error >= 0.3
    assert {f.check for f in blind.violations} >= {"vanishing gradients", "unbounded epsilon"}
    assert "vanishing gradients" in {f.check for f in seeing.violations}


def test_the_same_network_trained_plainly_hides_nothing(digits):
    plain = train_softened(
        module(0), digits.inputs, digits.labels, Distillation(temperature=1, epochs=30, batch=20, rate=1e-2)
    )
    report = attacked(verify.from_torch(plain, input_shape=(1, 28, 28)), digits, "cross_entropy")
    assert report.attacked_error >= 0.3 and not report.violations


def test_gradients_of_cross_entropy_are_there_at_the_temperature_and_gone_at_one(digits, distilled):
    net = verify.as_module(distilled)
    sizes = {}
    for temperature in (1.0, HOW.temperature):
        x = digits.inputs.clone().requires_grad_()
        loss = nn.functional.cross_entropy(net(x) / temperature, digits.labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        sizes[temperature] = gradient.flatten(1).abs().amax(1)
    assert float((sizes[1.0] == 0).double().mean()) > 0.9 and bool((sizes[HOW.temperature] > 0).all())


def test_soft_labels_are_shares_and_a_higher_temperature_is_softer(digits):
    cold, warm = (soft_labels(module(3), digits.inputs, t) for t in (1.0, 20.0))
    torch.testing.assert_close(warm.sum(1), torch.ones(len(digits)))
    assert bool((warm.amax(1) < cold.amax(1)).all()) and bool((warm.argmax(1) == cold.argmax(1)).all())


def test_the_same_seed_gives_the_same_student(digits):
    how = Distillation(epochs=1, batch=50)
    first, again = (train_distilled(module(0), module(1), digits.inputs, digits.labels, how) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("option", ["temperature", "epochs", "batch", "rate"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_options_that_do_not_fit_are_named(option, value):
    with pytest.raises(verify.UsageError, match=f"{option} is {value}: give a positive number"):
        Distillation(**{option: value})


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), "0 inputs and 0 targets"),
        (torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64), "3 inputs and 2 targets"),
        (torch.zeros(2, 4), torch.tensor([0, 3]), "from 0 to 3: give int64 classes 0 to 2"),
        (torch.zeros(2, 4), torch.tensor([0.0, 1.0]), "targets are torch.float32"),
        (torch.zeros(2, 4), torch.zeros(2, 5), "targets name 5 classes, the module gives 3 scores"),
    ],
)
def test_targets_that_do_not_fit_are_named(inputs, targets, words):
    with pytest.raises(verify.UsageError, match=words):
        train_softened(module(0, size=4, classes=3), inputs, targets, HOW)


def test_a_loss_that_is_not_finite_stops_with_its_step():
    with pytest.raises(TrainingFailed, match=r"step 1: the loss is nan; rate is 0\.01: lower it"):
        train_softened(
            module(0, size=4, classes=3), torch.full((2, 4), math.nan), torch.tensor([0, 1]), Distillation(rate=1e-2)
        )
