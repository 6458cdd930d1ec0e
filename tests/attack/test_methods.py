"""Every attack: what it reports is true, repeatable, on time, and there where it must be."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
import torch
from support.attacks import balanced, inputs

import verify
from verify.attack.question import question
from verify.load.builder import Builder
from verify.selftest.oracle import exact_margins
from verify.specification import Query, classification
from verify.verdict import Verdict
from verify.witness import margins_at

NORMS = ("linf", "l2", "l1")
SEARCHING = [(m.name, norm) for m in verify.ATTACKS.values() if m.relus for norm in m.norms]
ITERATED = [(name, norm) for name, norm in SEARCHING if verify.ATTACKS[name].iterated]
NEAREST = [(name, norm) for name, norm in SEARCHING if verify.ATTACKS[name].nearest]


def _attack(kind, method, norm, *, seed=1, count=8, epsilon="0.4", **options):
    net = balanced(kind, seed)
    x, y = inputs(net, count)
    options = {"diagnose": False, "clip": (0, 1), "steps": 12, **options}
    return net, x, y, verify.attack(net, x, y, epsilon=epsilon, norm=norm, method=method, **options)


@pytest.mark.parametrize(("method", "norm"), SEARCHING)
def test_what_is_reported_is_inside_float32_and_misclassified(method, norm):
    found = 0
    for kind in ("mlp", "convolution"):
        net, x, y, report = _attack(kind, method, norm, epsilon="0.6")
        for i, one in enumerate(report.inputs):
            region = verify.ball(x[i : i + 1].double(), Fraction("0.6"), norm=norm, clip=(0, 1))
            assert bool(region.contains(one.point[None])) and torch.equal(one.point.float().double(), one.point)
            assert one.attacked is (one.verdict is Verdict.FALSIFIED) and one.correct
            if not one.attacked:
                assert (one.distance, one.reason, one.by) == (None, "none found", one.by)
                continue
            found += 1
            witness = one.counterexample
            query = Query(net, region, classification(y[i : i + 1], net.outputs))
            assert torch.equal(witness.x, one.point) and float(margins_at(query, witness.x[None])[1].min()) <= 0
            assert one.margin == witness.margin <= 0 and one.by.startswith(method)
            assert 0 < one.distance <= 0.6 * (1 + 1e-6)
        assert report.attacked_error == sum(one.attacked for one in report.inputs) / len(x)
        assert report.clean_error == 0 and float(report.falsified.double().mean()) == report.attacked_error
    assert found > 0


@pytest.mark.parametrize("method", ["apgd", "fgsm", "fab"])
def test_an_input_that_is_misclassified_as_it_is_counts_at_distance_0(method):
    net = balanced("mlp", 1)
    x, y = inputs(net, 6)
    wrong = (y + 1) % net.outputs
    report = verify.attack(net, x, wrong, epsilon="0.01", clip=(0, 1), method=method, diagnose=False)
    assert report.clean_error == report.attacked_error == 1
    assert all(one.distance == 0 and not one.correct and one.by == "clean" for one in report.inputs)
    assert torch.equal(report.points, x.double())


@pytest.mark.parametrize(("method", "norm"), SEARCHING)
def test_a_seed_gives_the_same_report_again(method, norm):
    reports = [_attack("mlp", method, norm, count=3, start="random", seed=3, restarts=2, steps=8)[-1] for _ in range(2)]
    first, again = ([(o.margin, o.distance, o.queries, o.by) for o in r.inputs] for r in reports)
    assert first == again
    assert torch.equal(reports[0].points, reports[1].points)


@pytest.mark.parametrize("method", ["uniform", "signs", "square", "pgd"])
def test_another_seed_gives_other_points(method):
    net = balanced("mlp", 1)
    x, y = inputs(net, 6)
    one, other = (
        verify.attack(
            net,
            x,
            y,
            epsilon="0.05",
            clip=(0, 1),
            norm="l2",
            method=method,
            start="random",
            steps=2,
            seed=s,
            diagnose=False,
        )
        for s in (0, 1)
    )
    assert not torch.equal(one.points, other.points)


@pytest.mark.parametrize("kind", ["mlp", "residual", "rewritten", "branches"])
def test_apgd_finds_what_the_oracle_says_is_there_and_nothing_else(kind):
    there, found = 0, 0
    for seed in (0, 3):
        net = balanced(kind, seed)
        x, y = inputs(net, 6, seed)
        # Units that are off all around a point leave it without a slope, and only another start gets away from there.
        report = verify.attack(net, x, y, epsilon="0.3", clip=(0, 1), targets="all", restarts=8, diagnose=False)
        for i, one in enumerate(report.inputs):
            region = verify.ball(x[i : i + 1].double(), Fraction("0.3"), clip=(0, 1))
            exact = float(exact_margins(Query(net, region, classification(y[i : i + 1], net.outputs))).min())
            assert not one.attacked or exact <= 1e-9
            there, found = there + (exact < -1e-4), found + one.attacked
    assert found >= there


@pytest.mark.parametrize(("method", "norm"), ITERATED)
def test_nothing_is_found_on_what_is_verified(method, norm):
    net = balanced("mlp", 2)
    x, y = inputs(net, 6, seed=5)
    results = verify.certify_batch(net, x, y, epsilon="0.1", norm=norm, clip=(0, 1))
    verified = [r.verdict is Verdict.VERIFIED for r in results]
    assert any(verified)
    report = verify.attack(
        net, x, y, epsilon="0.1", norm=norm, clip=(0, 1), method=method, steps=12, certified=verified, diagnose=False
    )
    assert not any(one.attacked and sure for one, sure in zip(report.inputs, verified, strict=True))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", ["soft_margin", "margin", "cross_entropy"])
def test_apgd_is_never_behind_fgsm(norm, loss):
    for kind in ("mlp", "convolution", "residual"):
        net = balanced(kind, 4)
        x, y = inputs(net, 10)
        one, many = (
            verify.attack(
                net, x, y, epsilon="0.2", norm=norm, clip=(0, 1), method=m, loss=loss, diagnose=False, steps=10
            )
            for m in ("fgsm", "apgd")
        )
        assert bool((many.falsified | ~one.falsified).all())
        for a, b in zip(one.inputs, many.inputs, strict=True):
            assert b.margin <= a.margin + 1e-5 * (1 + abs(a.margin)) or b.attacked


@pytest.mark.parametrize("method", ["pgd", "apgd", "fgsm", "uniform", "square"])
def test_more_restarts_lose_nothing(method):
    few, many = (
        _attack("convolution", method, "linf", epsilon="0.15", restarts=r, steps=4, count=30)[-1] for r in (1, 3)
    )
    assert bool((many.falsified | ~few.falsified).all())
    assert all(b.attacked or b.margin <= a.margin for a, b in zip(few.inputs, many.inputs, strict=True))


@pytest.mark.parametrize("norm", NORMS)
def test_on_a_linear_network_the_margin_falls_by_epsilon_times_the_dual_norm(norm):
    w = torch.tensor([[1.0, -2.0, 0.5], [-0.5, 1.0, 2.0]]).double()
    b = Builder()
    net = b.finish(b.affine(b.input((1, 3)), w, torch.tensor([10.0, 0.0]).double()))
    x = torch.zeros(1, 3)
    d = w[0] - w[1]
    dual = {"linf": d.abs().sum(), "l2": d.norm(), "l1": d.abs().max()}[norm]
    (one,) = verify.attack(net, x, [0], epsilon="0.25", norm=norm, method="linear", diagnose=False).inputs
    assert one.margin == pytest.approx(10 - 0.25 * float(dual), abs=1e-3 * float(dual))
    for method in ("apgd", "fgsm"):
        (same,) = verify.attack(net, x, [0], epsilon="0.25", norm=norm, method=method, diagnose=False).inputs
        assert same.margin == pytest.approx(one.margin, abs=1e-4)


@pytest.mark.parametrize(("method", "norm"), NEAREST)
def test_the_nearest_example_of_a_linear_network_is_at_the_margin_over_the_dual_norm(method, norm):
    w = torch.tensor([[1.0, -2.0, 0.5], [-0.5, 1.0, 2.0]]).double()
    b = Builder()
    net = b.finish(b.affine(b.input((1, 3)), w, torch.tensor([1.0, 0.0]).double()))
    x, d = torch.full((1, 3), 0.5), w[0] - w[1]
    dual = {"linf": d.abs().sum(), "l2": d.norm(), "l1": d.abs().max()}[norm]
    margin = float(d @ x[0].double()) + 1.0
    label = 0 if margin > 0 else 1
    report = verify.attack(
        net, x, [label], epsilon=None, norm=norm, clip=(-4, 4), method=method, diagnose=False, steps=150
    )
    assert report.distances[0] == pytest.approx(abs(margin) / float(dual), rel=0.03)
    assert report.epsilon is None


def test_targets_are_reached_one_by_one_and_only_the_wanted_one_counts():
    net = balanced("mlp", 1)
    x, y = inputs(net, 20)
    target = (y + 1) % net.outputs
    aimed = verify.attack(net, x, y, epsilon="0.6", clip=(0, 1), targets=target, diagnose=False)
    free = verify.attack(net, x, y, epsilon="0.6", clip=(0, 1), targets="all", diagnose=False)
    assert 0 < aimed.attacked_error <= free.attacked_error
    for one, t in zip(aimed.inputs, target.tolist(), strict=True):
        assert one.counterexample is None or one.counterexample.target == t


@pytest.mark.parametrize(("method", "norm"), [(m, n) for m, n in SEARCHING if n == "l2"])
def test_the_deadline_is_kept(method, norm):
    net = balanced("convolution", 1)
    x, y = inputs(net, 40)
    begun = time.perf_counter()
    report = verify.attack(
        net,
        x,
        y,
        epsilon="0.01",
        norm=norm,
        clip=(0, 1),
        method=method,
        steps=10**6,
        restarts=10**4,
        timeout=0.2,
        seed=1,
    )
    assert time.perf_counter() - begun < 30  # on a busy machine; without a deadline it takes days
    assert any(one.reason == "timeout" for one in report.inputs) or method == "fgsm"
    assert any("time is up" in finding.words for finding in report.diagnosis)


def test_queries_and_seconds_are_counted():
    *_, report = _attack("mlp", "pgd", "linf", epsilon="0.001", steps=7, restarts=2)
    assert all(one.queries == 1 + 2 * 8 for one in report.inputs)
    assert 0 < sum(one.seconds for one in report.inputs) <= report.seconds


def test_batches_change_nothing_but_the_draws():
    net = balanced("convolution", 1)
    x, y = inputs(net, 25)
    whole, parts = (
        verify.attack(net, x, y, epsilon="0.2", clip=(0, 1), diagnose=False, batch=b).falsified for b in (25, 4)
    )
    assert torch.equal(whole, parts)


def test_an_example_made_for_transformations_survives_more_of_them():
    net = balanced("convolution", 4)
    x, y = inputs(net, 30)
    change = verify.Transformations(rotation=10, translation=0.3, noise=0.05, samples=6)
    report = verify.attack(net, x, y, epsilon="0.5", clip=(0, 1), transformations=change, diagnose=False)
    shares = [one.survival for one in report.inputs if one.attacked]
    assert shares and sum(shares) / len(shares) > 0.6
    assert all(one.queries >= 8 for one in report.inputs)


def test_a_rotation_by_nothing_is_the_image_and_a_shift_by_a_pixel_is_a_shift():
    from verify.attack.transformations import Transformations

    x = torch.rand(2, 1, 5, 4, generator=torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(0)
    still = Transformations(rotation=1e-9, samples=1).change(x, g)
    assert torch.allclose(still, x, atol=1e-5)
    assert torch.equal(Transformations().copies(x, g)[3], x)


def test_transfer_has_the_white_box_on_its_diagonal():
    nets = [balanced("mlp", seed) for seed in (1, 2)]
    x, _ = inputs(nets[0], 20)
    y = nets[0](x.double()).argmax(1)
    matrix = verify.transfer_matrix(nets, x, y, epsilon="0.3", clip=(0, 1))
    white = verify.attack(nets[0], x, y, epsilon="0.3", clip=(0, 1), diagnose=False)
    assert matrix.error[0][0] == white.attacked_error and matrix.clean[0] == 0
    assert all(matrix.error[i][j] >= matrix.clean[j] for i in range(2) for j in range(2))
    assert matrix.names == ("network 0", "network 1")


def test_a_network_as_a_module_gives_its_scores_and_gradients():
    net = balanced("convolution", 1)
    module = verify.as_module(net, dtype=torch.float64)
    x = torch.rand(2, *net.input_shape, dtype=torch.float64).requires_grad_()
    assert torch.equal(module(x), net(x)) and not module.training
    module(x).sum().backward()
    assert bool((x.grad != 0).any())


def test_an_unbounded_question_without_clip_reaches_beyond_theinputs():
    net = balanced("mlp", 1)
    x, y = inputs(net, 4)
    asked = question(net, x, y, epsilon=None, norm="l2", clip=None, targets=None)
    assert asked.epsilon is None and float(asked.query.region.epsilon) >= 4
