"""Labels of a model's own: what it says, how sure it is, and that robust training profits from them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import verify
from verify.train.batch import bound_to, region_of
from verify.train.linear import LinearTraining, train_linear
from verify.train.losses import online_target_loss, pgd_loss
from verify.train.points import several_steps
from verify.train.pseudo import pseudo_labels, with_unlabelled


def samples(count, generator, d=400):
    """The Gaussian model: y is told by every coordinate, barely by each."""
    y = torch.randint(2, (count,), generator=generator)
    return (2.0 * y - 1).unsqueeze(1) + 0.6 * d**0.25 * torch.randn(count, d, generator=generator), y


def twice(x):
    return torch.stack([x[:, 0], 2 * x[:, 1]], 1)


def test_the_label_is_the_highest_score_and_the_share_its_softmax():
    x = torch.tensor([[1.0, 1.0], [3.0, 0.0], [0.0, 0.25]])
    labels, shares = pseudo_labels(twice, x, batch=2)
    assert labels.tolist() == [1, 0, 1]
    assert shares.tolist() == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-3)), 1 / (1 + math.exp(-0.5))])


def test_the_labelled_come_first_and_only_the_sure_are_added():
    x, y = torch.tensor([[5.0, 5.0]]), torch.tensor([0])
    more = torch.tensor([[1.0, 0.5], [3.0, 0.0], [0.0, 2.0]])  # of the first the model is sure by a half
    inputs, labels = with_unlabelled(x, y, more, twice, least_share=0.9)
    assert inputs.tolist() == [[5.0, 5.0], [3.0, 0.0], [0.0, 2.0]] and labels.tolist() == [0, 0, 1]
    everything, _ = with_unlabelled(x, y, more, twice)
    assert len(everything) == 4


def test_unlabelled_data_lowers_the_worst_case_error_of_robust_training():
    g = torch.Generator().manual_seed(0)
    (x, y), (more, _), (test, truth) = samples(20, g), samples(500, g), samples(200, g)
    plain = train_linear(x, y, LinearTraining(learning_rate=0.1))
    how = LinearTraining(epsilon=0.5, learning_rate=0.1)
    alone = train_linear(x, y, how)
    both = train_linear(*with_unlabelled(x, y, more, lambda part: plain(part.double())), how)
    errors = [
        float((verify.lower_bounds(net, test, truth, epsilon="0.5", method="linear") <= 0).double().mean())
        for net in (alone, both)
    ]
    assert errors[0] > 2 * errors[1]


def trained_on(x, y, more, weight):
    """A linear classifier of few labelled inputs, and of unlabelled ones with ``weight``."""
    module = nn.Linear(x.shape[1], 2)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    live, optimiser = verify.train.trace(module, x.shape[1:]), torch.optim.Adam(module.parameters(), lr=0.003)
    labelled, unlabelled = verify.ball(x, "0.5"), verify.ball(more, "0.5")
    for _ in range(50):
        loss = pgd_loss(live, x, y, labelled, steps=1) + weight * online_target_loss(live, more, unlabelled, steps=1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return verify.from_torch(module, input_shape=x.shape[1:])


def test_online_targets_on_unlabelled_data_lower_the_worst_case_error():
    g = torch.Generator().manual_seed(1)
    (x, y), (more, _), (test, truth) = samples(5, g), samples(500, g), samples(200, g)
    errors = [
        float((verify.lower_bounds(net, test, truth, epsilon="0.5", method="linear") <= 0).double().mean())
        for net in (trained_on(x, y, more, weight) for weight in (0.0, 1.0))
    ]
    assert errors[0] > 2 * errors[1]


def test_the_online_target_is_the_models_own_answer_and_gives_no_gradient():
    g = torch.Generator().manual_seed(0)
    module = nn.Linear(4, 3)
    x = torch.rand(5, 4, generator=g)
    assert float(online_target_loss(module, x, 0.0, steps=1).detach()) == pytest.approx(0, abs=1e-6)
    loss = online_target_loss(module, x, 0.25, steps=1)
    assert float(loss.detach()) > 0
    (found,) = torch.autograd.grad(loss, module.bias)
    with torch.no_grad():  # of KL with a fixed target p, the scores' gradient is q - p
        p = module(x).softmax(1)
        worst = several_steps(bound_to(module, x).network, x, p.argmax(1), region_of(x, 0.25), steps=1)
        wanted = (module(worst).softmax(1) - p).mean(0)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("inputs", "batch", "words"),
    [
        (torch.zeros(0, 2), 500, "0 inputs in batches of 500"),
        (torch.zeros(2, 2), 0, "2 inputs in batches of 0"),
        (torch.full((1, 2), math.nan), 500, "scores hold NaN"),
    ],
)
def test_what_cannot_be_named_is_refused(inputs, batch, words):
    with pytest.raises(verify.UsageError, match=words):
        pseudo_labels(twice, inputs, batch=batch)


def test_unlabelled_inputs_of_another_shape_are_refused():
    with pytest.raises(verify.UsageError, match=r"shape \(3,\) do not fit those of shape \(2,\)"):
        with_unlabelled(torch.zeros(1, 2), torch.tensor([0]), torch.zeros(1, 3), twice)
