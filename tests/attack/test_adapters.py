"""Other packages' attacks are asked for points and never believed; stand-ins take the packages' place here."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from support.attacks import balanced, inputs

import verify
from verify.attack import adapters
from verify.errors import MissingDependency, UsageError


class _Model:
    """What Foolbox and the toolbox wrap a module into."""

    def __init__(self, model, *rest, bounds=None, clip_values=None, **options):
        self.model, self.bounds = model, bounds or clip_values


class _Sign:
    """One sign step of ``factor`` radii, in Foolbox's manner; it always claims success."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, model, x, labels, *, epsilons):
        leaf = x.clone().requires_grad_()
        torch.nn.functional.cross_entropy(model.model(leaf), labels).backward()
        points = (x + self.factor * epsilons * leaf.grad.sign()).clamp(*model.bounds)
        return points, points, torch.ones(len(x), dtype=torch.bool)


class _Toolbox:
    def __init__(self, classifier, radius):
        self.classifier, self.radius = classifier, radius

    def generate(self, x, y):
        points, *_ = _Sign(1.0)(self.classifier, torch.from_numpy(x), torch.from_numpy(y), epsilons=self.radius)
        return points.detach().numpy()


@pytest.fixture
def packages(monkeypatch):
    foolbox, toolbox = ModuleType("foolbox"), ModuleType("art.estimators.classification")
    foolbox.PyTorchModel, toolbox.PyTorchClassifier = _Model, _Model
    for name, module in (
        ("foolbox", foolbox),
        ("art", ModuleType("art")),
        ("art.estimators", ModuleType("art.estimators")),
        ("art.estimators.classification", toolbox),
    ):
        monkeypatch.setitem(sys.modules, name, module)


METHODS = [
    lambda: adapters.foolbox(_Sign(1.0)),
    lambda: adapters.art(lambda classifier: _Toolbox(classifier, 0.3), norms=("linf",), name="sign"),
]


@pytest.mark.parametrize("make", METHODS, ids=["foolbox", "art"])
def test_an_adapted_attack_finds_what_our_own_finds(packages, make):
    net = balanced("convolution", 4)
    x, y = inputs(net, 20)
    theirs = verify.attack(net, x, y, epsilon="0.3", clip=(0, 1), method=make(), diagnose=False)
    ours = verify.attack(net, x, y, epsilon="0.3", clip=(0, 1), method="fgsm", loss="cross_entropy", diagnose=False)
    assert torch.equal(theirs.falsified, ours.falsified) and theirs.attacked_error > 0
    assert all(one.queries == 2 for one in theirs.inputs)


def test_a_point_beyond_the_radius_counts_only_where_its_projection_does(packages):
    net = balanced("mlp", 1)
    x, y = inputs(net, 20)
    far = verify.attack(net, x, y, epsilon="0.01", clip=(0, 1), method=adapters.foolbox(_Sign(50.0)), diagnose=False)
    exact = verify.certify_batch(net, x, y, epsilon="0.01", clip=(0, 1))
    assert far.attacked_error < 1
    for one, result in zip(far.inputs, exact, strict=True):
        assert not one.attacked or result.verdict is verify.Verdict.FALSIFIED


def test_points_that_are_no_numbers_are_no_counterexamples(packages):
    net = balanced("mlp", 1)
    x, y = inputs(net, 5)
    report = verify.attack(
        net, x, y, epsilon="0.0001", clip=(0, 1), method=adapters.foolbox(_Sign(np.nan)), diagnose=False
    )
    assert report.attacked_error == 0 and bool(report.points.isfinite().all())


def test_the_range_of_inputs_must_be_known(packages):
    net = balanced("mlp", 1)
    x, y = inputs(net, 2)
    with pytest.raises(UsageError, match="give clip"):
        verify.attack(net, x, y, epsilon="0.1", method=adapters.foolbox(_Sign(1.0)), diagnose=False)


@pytest.mark.parametrize(
    ("make", "package"),
    [(lambda: adapters.foolbox(_Sign(1.0)), "foolbox"), (lambda: adapters.art(id), "adversarial-robustness-toolbox")],
    ids=["foolbox", "art"],
)
def test_a_package_that_is_not_installed_is_named(monkeypatch, make, package):
    for name in ("foolbox", "art", "art.estimators", "art.estimators.classification"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependency, match=f"pip install {package}"):
        make()
