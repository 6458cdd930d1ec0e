"""The losses: bounds of what they bound, the numbers of verify.bounds, and gradients that are derivatives."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support.modules import MODULES, SHAPE, batch, module

import verify
from verify.specification import classification
from verify.train import losses
from verify.train.batch import batch_of
from verify.train.evaluate import MARGINS
from verify.train.live import trace
from verify.train.margins import crown_ibp_margins, interval_margins
from verify.train.points import one_step, random_points, several_steps

KINDS = list(MODULES)
CERTIFIERS = {
    "interval": {"method": "interval"},
    "crown-ibp": {"method": "crown", "pre_activation": "interval"},
    "dual": {"method": "dual"},
}
BOUNDED = {
    "ibp": lambda *a, **k: losses.ibp_loss(*a, kappa=0, **k),
    "crown-ibp": lambda *a, **k: losses.crown_ibp_loss(*a, kappa=0, **k),
    "half": lambda *a, **k: losses.crown_ibp_loss(*a, kappa=0, beta=0.5, **k),
    "fused": lambda *a, **k: losses.crown_ibp_loss(*a, kappa=0, fused=True, **k),
    "dual": lambda *a, **k: losses.dual_loss(*a, kappa=0, **k),
}
POINTED = {
    "noise": losses.noise_loss,
    "fgsm": losses.fgsm_loss,
    "pgd": losses.pgd_loss,
    "sabr": losses.sabr_loss,
    "mtl-ibp": losses.mtl_ibp_loss,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", MARGINS)
def test_margins_are_those_of_the_certifier_on_the_exported_network(kind, method):
    made = module(kind, dtype=torch.float64).eval()
    x, y = batch(dtype=torch.float64)
    asked = batch_of(trace(made, SHAPE), x, y, 0.05)
    with torch.no_grad():
        ours = MARGINS[method](asked.network, asked.region, asked.specification)
    network = verify.from_torch(made, input_shape=SHAPE)
    theirs = verify.lower_bounds(network, x, y, epsilon=0.05, clip=(0, 1), **CERTIFIERS[method])
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert bool((ours <= network(x).gather(1, y[:, None]) - network(x).amin(1, keepdim=True)).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", [interval_margins, crown_ibp_margins])
def test_leaving_rounding_out_changes_roundings_only(kind, function):
    asked = batch_of(module(kind, dtype=torch.float64).eval(), *batch(dtype=torch.float64), 0.1)
    paid, unpaid = (function(asked.network, asked.region, asked.specification, rounding=r) for r in (True, False))
    assert bool((paid <= unpaid).all())
    torch.testing.assert_close(paid, unpaid, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", BOUNDED)
@pytest.mark.parametrize("training", [False, True])
def test_a_bound_of_the_loss_is_above_the_loss_anywhere_in_the_region(kind, loss, training):
    made = module(kind, dtype=torch.float64).train(training)
    x, y = batch(dtype=torch.float64)
    bound = trace(made, SHAPE).bind(x)  # one function, whatever BatchNorm would make of other points
    asked = batch_of(bound, x, y, 0.1)
    above = float(BOUNDED[loss](bound, x, y, 0.1).detach())
    g = torch.Generator().manual_seed(1)
    points = [random_points(asked.region, g) for _ in range(5)]
    points += [one_step(asked.network, x, y, asked.region), several_steps(asked.network, x, y, asked.region, steps=5)]
    for point in points:
        assert float(asked.at(point).detach()) <= above + 1e-12
    none = float(BOUNDED[loss](bound, x, y, 0).detach())
    assert none == pytest.approx(float(asked.clean().detach()), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", BOUNDED)
@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_derivatives(kind, loss, training):
    made = module(kind, dtype=torch.float64).train(training)
    x, y = batch(dtype=torch.float64)
    live = trace(made, SHAPE)
    g = torch.Generator().manual_seed(2)
    ways = [torch.randn(p.shape, generator=g, dtype=p.dtype) for p in made.parameters()]
    BOUNDED[loss](live, x, y, 0.07).backward()
    slope = sum(float((p.grad * way).sum()) for p, way in zip(made.parameters(), ways, strict=True))

    def moved(step):
        with torch.no_grad():
            for p, way in zip(made.parameters(), ways, strict=True):
                p.add_(way, alpha=step)
            value = float(BOUNDED[loss](live, x, y, 0.07))
            for p, way in zip(made.parameters(), ways, strict=True):
                p.add_(way, alpha=-step)
        return value

    step = 1e-6
    assert slope == pytest.approx((moved(step) - moved(-step)) / (2 * step), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("loss", POINTED)
def test_losses_at_points_are_between_clean_and_interval_bounds(loss):
    live = trace(module("convolution").eval(), SHAPE)
    x, y = batch(40)
    clean, ibp = (
        float(loss.detach()) for loss in (losses.standard_loss(live, x, y), losses.ibp_loss(live, x, y, 0.1, kappa=0))
    )
    options = {} if loss == "fgsm" else {"generator": torch.Generator().manual_seed(0)}
    value = float(POINTED[loss](live, x, y, 0.1, **options).detach())
    assert clean * (0.99 if loss == "noise" else 1) < value < ibp


def test_blends_have_their_ends():
    live = trace(module("residual").eval(), SHAPE)
    x, y = batch(20)
    clean, ibp = losses.standard_loss(live, x, y), losses.ibp_loss(live, x, y, 0.1, kappa=0)
    same = [
        (losses.ibp_loss(live, x, y, 0.1, kappa=1), clean),
        (losses.fgsm_loss(live, x, y, 0.1, alpha=1), clean),
        (losses.crown_ibp_loss(live, x, y, 0.1, kappa=0, beta=0), ibp),
        (losses.mtl_ibp_loss(live, x, y, 0.1, alpha=1), ibp),
        (losses.mtl_ibp_loss(live, x, y, 0.1, alpha=0), losses.pgd_loss(live, x, y, 0.1)),
        (losses.sabr_loss(live, x, y, 0.1, share=1.0), ibp),
    ]
    for found, wanted in same:
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_points_stay_in_the_region_and_raise_the_loss(norm):
    made = module("convolution").eval()
    x, y = batch(30)
    region = verify.ball(x, 0.3, norm=norm, clip=(0, 1)).to(dtype=torch.float32)
    asked = batch_of(made, x, y, region)
    several = several_steps(asked.network, x, y, region, steps=10, generator=torch.Generator().manual_seed(0))
    for point in (one_step(asked.network, x, y, region), several):
        assert bool(asked.at(point) > asked.clean())
        assert torch.allclose(region.project(point), point, atol=1e-6)


def test_a_loss_takes_a_module_a_traced_one_a_bound_one_and_a_network():
    made = module("residual").eval()
    x, y = batch()
    live, network = trace(made, SHAPE), verify.from_torch(made, input_shape=SHAPE)
    models = (made, live, live.bind(x), network)
    values = [float(losses.ibp_loss(m, x, y, 0.1).detach()) for m in models]
    assert values == pytest.approx([values[0]] * 4, rel=1e-5)
    box = verify.ball(x, 0.1, clip=(0, 1))
    assert float(losses.ibp_loss(made, x, y, box).detach()) == values[0]


def test_the_loss_is_all_that_a_loop_of_ones_own_needs():
    made = module("normalised").train()
    x, y = batch(32)
    optimiser = torch.optim.SGD(made.parameters(), lr=0.1)
    values = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = losses.ibp_loss(made, x, y, "1/50", kappa=0.5)
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.8 * values[0]


def test_neurons_without_any_width_have_gradients():
    made = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    with torch.no_grad():
        made[1].weight[0], made[1].bias[0] = 0.0, 0.0  # lower = upper = 0: on neither side
    x, y = batch()
    for loss in BOUNDED.values():
        made.zero_grad()
        loss(made, x, y, 0.1).backward()
        assert all(math.isfinite(float(p.grad.sum())) for p in made.parameters())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x, y: losses.ibp_loss(m, x, y + 3, 0.1), "is out of range: the network has 3 outputs"),
        (lambda m, x, y: losses.ibp_loss(m, x, y[:2], 0.1), "6 inputs need as many whole labels"),
        (lambda m, x, y: losses.ibp_loss(m, x, y.float(), 0.1), "got torch.float32"),
        (lambda m, x, y: losses.ibp_loss(m, x.to(torch.uint8), y, 0.1), "the inputs are torch.uint8"),
        (lambda m, x, y: losses.ibp_loss(m, x, y, -0.1), "epsilon is -0.1: it must not be negative"),
        (lambda m, x, y: losses.ibp_loss(m, x, y, 3), "give epsilon in the data's units"),
        (lambda m, x, y: losses.ibp_loss(m, x + 1, y, 0.1), "outside clip [0, 1]"),
        (lambda m, x, y: losses.sabr_loss(m, x, y, 0.1, share=0), "share is 0"),
        (lambda m, x, y: losses.sabr_loss(m, x, y, verify.ball(x, 0.1, norm="l2")), "the region is a L2Ball"),
        (lambda m, x, y: losses.crown_ibp_loss(m, x, y, 0.1, fused=True, beta=0.5), "beta is 0.5"),
    ],
)
def test_misuse_is_named(call, words):
    with pytest.raises(verify.UsageError) as caught:
        call(module("mlp"), *batch())
    assert words in str(caught.value)


def test_certifiers_never_leave_rounding_out():
    """Only training may say ``rounding``; everybody else gets bounds that prove something."""
    room = Path(verify.__path__[0])
    said = {
        file.relative_to(room).parts[0]
        for file in room.rglob("*.py")
        if "rounding=False" in file.read_text(encoding="utf-8") and "bounds" not in file.parts
    }
    assert said == {"train"}


def test_the_specification_of_a_loss_is_the_certifiers():
    x, y = batch()
    asked = batch_of(module("mlp"), x, y, 0.1)
    assert torch.equal(asked.specification.C.double(), classification(y, 3).C)
