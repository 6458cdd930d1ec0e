"""The robust linear classifier: its loss is the worst case, its errors are exact, and training lowers them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

import verify
from verify.train.linear import DUAL_ORDER, LINEAR_LOSSES, hinge, logistic, worst_margins

NORMS = list(DUAL_ORDER)


def _problem(classes=3, count=12, size=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, size, generator=g, dtype=torch.float64)
    bias = torch.randn(classes, generator=g, dtype=torch.float64)
    x = torch.rand(count, size, generator=g, dtype=torch.float64)
    return weight, bias, x, torch.randint(classes, (count,), generator=g)


def _network(weight, bias):
    layer = torch.nn.Linear(*reversed(weight.shape), dtype=torch.float64)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return verify.from_torch(layer, input_shape=(weight.shape[1],))


def _others(margins, labels):
    """Without the label's own column, in the order of a specification's rows."""
    kept = torch.ones_like(margins, dtype=torch.bool).scatter(1, labels.unsqueeze(1), False)
    return margins[kept].reshape(len(margins), -1)


def _blobs(count=200, seed=0):
    """Two classes: one coordinate that tells them apart widely, many that do so barely and together perfectly."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (count,), generator=g)
    sign = (2.0 * y - 1).unsqueeze(1)
    wide = sign + 0.3 * torch.randn(count, 1, generator=g)
    narrow = 0.1 * sign + 0.1 * torch.randn(count, 100, generator=g)
    return torch.cat([wide, narrow], 1).double(), y


def _worst_error(net, x, y, epsilon, norm="linf"):
    lower = verify.lower_bounds(net, x, y, epsilon=epsilon, norm=norm, method="linear")
    return float((lower <= 0).any(1).double().mean())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [2, 4])
def test_worst_margins_are_what_the_exact_certifier_proves(norm, classes):
    weight, bias, x, y = _problem(classes)
    closed = _others(worst_margins(weight, bias, x, y, epsilon=0.25, norm=norm), y)
    proved = verify.lower_bounds(_network(weight, bias), x, y, epsilon="0.25", norm=norm, method="linear")
    assert bool((proved <= closed).all())
    torch.testing.assert_close(proved, closed, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", NORMS)
def test_the_exact_attack_attains_the_smallest_worst_margin(norm):
    weight, bias, x, y = _problem()
    x = x.float().double()  # a counterexample is a float32 number, and so is then its centre
    closed = _others(worst_margins(weight, bias, x, y, epsilon=0.25, norm=norm), y).amin(1)
    found = verify.attack(_network(weight, bias), x, y, epsilon="0.25", norm=norm, method="linear", diagnose=False)
    plain = _network(weight, bias)(x)
    right = plain.argmax(1) == y  # an input that is misclassified as it is needs no attack
    reached = torch.tensor([one.margin for one in found.inputs], dtype=torch.float64)
    torch.testing.assert_close(reached[right], closed[right], rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_the_loss_at_two_classes_is_the_plain_loss_at_the_worst_input_and_so_is_its_gradient(norm):
    weight, bias, x, y = _problem(classes=2)
    weight.requires_grad_()
    exact = logistic(worst_margins(weight, bias, x, y, epsilon=0.25, norm=norm), y).sum()
    a = (weight[1] - weight[0]).detach() * (2 * y - 1).unsqueeze(1)  # the margin's gradient in x
    worst = {
        "linf": -a.sign(),
        "l2": -a / a.norm(dim=1, keepdim=True),
        "l1": -a.sign() * F.one_hot(a.abs().argmax(1), a.shape[1]),
    }[norm]
    there = F.cross_entropy((x + 0.25 * worst) @ weight.T + bias, y, reduction="sum")
    torch.testing.assert_close(exact, there)
    (mine,), (danskin,) = torch.autograd.grad(exact, weight), torch.autograd.grad(there, weight)
    torch.testing.assert_close(mine, danskin)


def test_without_a_ball_the_logistic_loss_is_cross_entropy():
    weight, bias, x, y = _problem()
    margins = worst_margins(weight, bias, x, y, epsilon=0.0)
    torch.testing.assert_close(logistic(margins, y), F.cross_entropy(x @ weight.T + bias, y, reduction="none"))


def test_the_hinge_asks_for_a_smallest_margin_of_one():
    margins = torch.tensor([[0.0, 3.0, 2.0], [0.25, 0.0, 4.0], [-1.0, 5.0, 0.0]])
    assert hinge(margins, torch.tensor([0, 1, 2])).tolist() == [0.0, 0.75, 2.0]


@pytest.mark.parametrize("loss", LINEAR_LOSSES)
def test_robust_training_lowers_the_exact_worst_case_error(loss):
    x, y = _blobs()
    plain, robust = (
        verify.train.train_linear(x, y, verify.train.LinearTraining(epsilon=epsilon, loss=loss, batch=20))
        for epsilon in (0.0, 0.3)
    )
    assert _worst_error(plain, x, y, "0") == 0.0 and _worst_error(plain, x, y, "0.3") > 0.9
    assert _worst_error(robust, x, y, "0.3") < 0.1


def test_three_classes_of_images_are_learnt_in_their_own_shape():
    g = torch.Generator().manual_seed(3)
    y = torch.randint(3, (60,), generator=g)
    x = 0.1 * torch.randn(60, 1, 3, 3, generator=g)
    x[torch.arange(60), 0, y, 0] += 1
    net = verify.train.train_linear(x, y, verify.train.LinearTraining(epsilon=0.1, learning_rate=0.1))
    assert net.input_shape == (1, 3, 3) and net.outputs == 3
    assert _worst_error(net, x, y, "0.1") == 0.0


def test_the_same_seed_gives_the_same_network_and_another_another():
    x, y = _blobs(50)
    nets = [
        verify.train.train_linear(x, y, verify.train.LinearTraining(batch=10, epochs=2, seed=seed))
        for seed in (1, 1, 2)
    ]
    first, again, other = (verify.identity(net) for net in nets)
    assert first == again != other


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "l7"}, "unknown norm 'l7': choose from linf"),
        ({"loss": "square"}, "unknown loss 'square': choose from hinge"),
        ({"epsilon": -0.1}, "epsilon is -0.1"),
        ({"epsilon": math.nan}, "epsilon is nan"),
        ({"epochs": 0}, "epochs is 0: give a positive number"),
        ({"batch": -1}, "batch is -1"),
        ({"learning_rate": math.inf}, "learning_rate is inf"),
    ],
)
def test_options_that_do_not_fit_are_named(options, words):
    with pytest.raises(verify.UsageError, match=words):
        verify.train.LinearTraining(**options)


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64), "3 inputs and labels of shape"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), "0 inputs"),
        (torch.zeros(2, 2), torch.tensor([0.0, 1.0]), "labels are torch.float32"),
        (torch.zeros(2, 2), torch.tensor([0, -1]), "the smallest -1"),
        (torch.zeros(2, 2), torch.tensor([0, 0]), "all labels are 0"),
        (torch.tensor([[0.0], [math.nan]]), torch.tensor([0, 1]), "hold NaN"),
        (torch.zeros(2, 2, dtype=torch.uint8), torch.tensor([0, 1]), "inputs are torch.uint8"),
    ],
)
def test_data_that_does_not_fit_is_named(inputs, labels, words):
    with pytest.raises(verify.UsageError, match=words):
        verify.train.train_linear(inputs, labels)
