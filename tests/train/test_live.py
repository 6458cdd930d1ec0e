"""A traced module is the module: its scores, its gradients, its bookkeeping; what it cannot be is refused by name."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from support.modules import MODULES, SHAPE, batch, module
from torch import nn

import verify
from verify.train.live import trace

KINDS = list(MODULES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_scores_and_gradients_are_the_modules_own(kind, training):
    made, other = (module(kind, dtype=torch.float64).train(training) for _ in range(2))
    x, y = batch(dtype=torch.float64)
    found = trace(made, SHAPE).bind(x).scores
    wanted = other(x)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    for scores in (found, wanted):
        F.cross_entropy(scores, y).backward()
    for ours, theirs in zip(made.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-12)
    # Running statistics are updated once, as calling the module would.
    for ours, theirs in zip(made.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_tracing_changes_nothing(kind):
    made = module(kind).train()
    before = copy.deepcopy(made.state_dict())
    state = torch.random.get_rng_state()
    trace(made, SHAPE)
    assert all(part.training for part in made.modules())
    assert all(torch.equal(before[k], v) for k, v in made.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_binding_reads_the_weights_of_the_moment():
    made = module("mlp")
    live = trace(made, SHAPE)
    x, _ = batch()
    before = live.bind(x).scores
    with torch.no_grad():
        made[1].weight.mul_(2)
    assert not torch.equal(before, live.bind(x).scores)
    assert torch.equal(live.bind(x).scores, made(x))


def test_a_layer_alone_is_a_module_too():
    made, x = nn.Linear(4, 3), torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(trace(made, (4,)).bind(x).scores, made(x))


class _Branches(nn.Module):
    def forward(self, x):
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


class _TwoInputs(nn.Module):
    def forward(self, x, y):
        return x.flatten(1) + y.flatten(1)


class _Sigmoid(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x.flatten(1))


class _Product(nn.Module):
    def forward(self, x):
        return x.flatten(1) * 2


class _Shifted(nn.Module):
    def forward(self, x):
        return x.flatten(1) + 1.0


def _flat(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


@pytest.mark.parametrize(
    ("made", "error", "words"),
    [
        (_flat(nn.Linear(36, 4), nn.Tanh()), verify.UnsupportedOperator, "'2': operator Tanh is not supported"),
        (
            nn.Sequential(nn.MaxPool2d(2), nn.Flatten()),
            verify.UnsupportedOperator,
            "strided Conv2d in place of pooling",
        ),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding="same"), nn.Flatten()), verify.UnsupportedOperator, "padding='same'"),
        (
            nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), nn.Flatten()),
            verify.UnsupportedOperator,
            "reflect",
        ),
        (
            nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten()),
            verify.UnsupportedOperator,
            "track_running_stats=False",
        ),
        (nn.Sequential(nn.Flatten(0)), verify.UsageError, "a vector of scores is needed"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), verify.UsageError, "a vector of scores is needed"),
        (_flat(nn.Linear(7, 2)), verify.UsageError, "does not accept inputs of shape (2, 1, 6, 6)"),
        (_Sigmoid(), verify.UnsupportedOperator, "sigmoid"),
        (_Product(), verify.UnsupportedOperator, "mul"),
        (_Shifted(), verify.UnsupportedOperator, "1.0 that is no value of the network"),
        (_TwoInputs(), verify.UsageError, "does not accept inputs"),
        (_Branches(), verify.LoadError, "control flow must not depend on the data"),
        (lambda x: x, verify.UsageError, "trace takes an nn.Module, got function"),
    ],
)
def test_what_cannot_be_bounded_is_refused_by_name(made, error, words):
    with pytest.raises(error) as caught:
        trace(made, SHAPE)
    assert words in str(caught.value)


def test_dropout_is_refused_while_it_drops_and_only_then():
    made = _flat(nn.Dropout(0.5), nn.Linear(36, 2))
    live = trace(made.eval(), SHAPE)
    x, _ = batch()
    assert torch.equal(live.bind(x).scores, made(x))
    made.train()
    with pytest.raises(verify.UnsupportedOperator, match=r"p=0.5 in training mode"):
        live.bind(x)


def test_another_input_shape_is_refused():
    with pytest.raises(verify.UsageError, match=r"traced for inputs of shape \(1, 6, 6\), got \(1, 5, 5\)"):
        trace(module("mlp"), SHAPE).bind(torch.zeros(2, 1, 5, 5))


def test_a_hook_that_changes_values_is_noticed():
    made = module("mlp")
    made[1].register_forward_hook(lambda layer, args, value: value + 1)
    with pytest.raises(verify.LoadMismatch):
        trace(made, SHAPE)
