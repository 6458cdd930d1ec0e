"""What is derived is true: below every evaluated point, in every semantics; and float64 is never above exact arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.certificates import ball, box, certificate, i32, network
from support.nodes import evaluate, every_op, f32, nasty, random_dense

from verify.check import check
from verify.check.arithmetic import ARITHMETICS
from verify.check.backward import Multipliers, backward
from verify.check.claim import Claim
from verify.check.model import Frame, Model, apply_interval, build_model, root_frame
from verify.check.network import build
from verify.check.proof import Proof, pre_activation
from verify.check.region import Region, minimum

NASTY = ["deep", "cancelling", "subnormal", "tiny biases", "huge and tiny"]


def raw(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict(node) for node in nodes]


def region_of(generator: np.random.Generator, size: int, kind: str) -> tuple[dict[str, Any], list[np.ndarray]]:
    """A region and points of it, exact."""
    centre, radius = generator.normal(size=size), Fraction(1, 5)
    points = []
    for _ in range(12):
        step = np.array([Fraction(v) for v in np.clip(generator.normal(size=size), -1, 1).tolist()])
        if kind == "linf":
            step = np.where(np.array(generator.random(size) < 0.5), np.sign(step.astype(float)).astype(int), step)
        size_of_step = {
            "linf": 1,
            "l1": sum(abs(step)),
            "l2": Fraction(float(np.linalg.norm(step.astype(float))) * 1.001),
        }[kind]
        points.append(np.array([Fraction(c) for c in centre.tolist()]) + step * radius / size_of_step)
    return ball(centre, "1/5", norm=kind), points


def random_multipliers(generator: np.random.Generator, rows: int, sizes: list[int]) -> dict[str, Any]:
    """Slopes, and betas of either sign at any neurons."""
    chosen: dict[str, Any] = {"lower": {}, "upper": {}}
    betas: dict[str, Any] = {}
    for r, size in enumerate(sizes):
        at = np.flatnonzero(generator.random(size) < 0.7).astype(np.int32)
        chosen["lower"][str(r)] = {"at": at, "value": generator.integers(0, 256, size=(rows, len(at))).astype(np.uint8)}
        at = np.flatnonzero(generator.random(size) < 0.3).astype(np.int32)
        chosen["upper"][str(r)] = {"at": at, "value": generator.random(size=(1, len(at)))}
        row, at = (generator.random(size=(rows, size)) < 0.2).nonzero()
        value = 0.3 * generator.normal(size=len(row))
        betas[str(r)] = {"row": row.astype(np.int32), "at": at.astype(np.int32), "value": value}
    return {**chosen, "beta": betas}


def lemmas_and_margin(generator: np.random.Generator, sizes: list[int], random: bool) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for r, size in enumerate(sizes):
        neurons = np.tile(np.arange(size, dtype=np.int32), 2)
        sides = np.repeat(np.array([1, -1], dtype=np.int8), size)
        chosen = random_multipliers(generator, 2 * size, sizes) if random else {}
        steps += [
            {"op": "interval", "relu": r},
            {"op": "bounds", "relu": r, "neurons": neurons, "sides": sides, "multipliers": chosen},
        ]
    chosen = random_multipliers(generator, 1, sizes) if random else {}
    return [*steps, {"op": "margins", "clauses": i32(0), "multipliers": chosen}]


def derived(
    net: list[dict[str, Any]], region: dict[str, Any], steps: list[dict[str, Any]], C: Any, **options: Any
) -> Fraction:
    """The bound that is derived for the one row ``C``, exactly: d is raised until the clause is refuted, and then taken off."""
    data = network(*net)
    arithmetic = options.pop("arithmetic", "float64")
    for d in (2**7, 2**20, 2**60, 2**400):
        report = check(certificate(data, region, steps, C=[C], d=[d], **options).data(), data, arithmetic=arithmetic)
        if report.accepted:
            return Fraction(report.margins[0]) - d
    raise AssertionError(report.reason)


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
@pytest.mark.parametrize("kind", ["linf", "l2", "l1"])
@pytest.mark.parametrize("seed", range(3))
def test_margins_are_below_every_evaluated_point(seed: int, kind: str, arithmetic: str) -> None:
    generator = np.random.default_rng(seed)
    for nodes, sizes in ((random_dense(generator, [4, 6, 5, 3]), [6, 5]), (every_op(generator), [4, 8, 8, 10])):
        region, points = region_of(generator, nodes[0]["size"], kind)
        C = generator.integers(-2, 3, size=3)
        least = min(C.astype(object) @ evaluate(nodes, x) for x in points)
        bounds = [
            derived(nodes, region, lemmas_and_margin(generator, sizes, random), C, arithmetic=arithmetic)
            for random in (False, True)
        ]
        assert max(bounds) <= least
        assert bounds[0] > least - 60  # and says something


@pytest.mark.parametrize("seed", range(4))
def test_float32_margins_are_below_every_execution(seed: int) -> None:
    generator = np.random.default_rng(seed)
    nodes = every_op(generator)
    centre = f32(generator.normal(size=8))
    C = np.array([1, -1, 0])
    steps = [{"op": "margins", "clauses": i32(0), "multipliers": {}}]
    tight = ball(centre, "0")
    bound = derived(nodes, tight, steps, C, semantics="float32")
    real = derived(nodes, tight, steps, C)
    x = np.array([np.float32(v) for v in centre.tolist()] + [None], dtype=object)[:-1]
    executed = evaluate(nodes, x, np.float32)
    assert bound <= Fraction(float(executed[0])) - Fraction(float(executed[1]))
    assert real - Fraction(1, 1000) < bound < real


def test_networks_of_inexact_numbers_are_all_covered() -> None:
    generator = np.random.default_rng(5)
    nodes = every_op(generator, inexact=True)
    region, points = region_of(generator, 8, "linf")
    C = np.array([1, 1, -1])
    bound = derived(nodes, region, lemmas_and_margin(generator, [4, 8, 8, 10], False), C, arithmetic="exact")
    without = [{k: v for k, v in node.items() if k not in ("weight_ulps", "bias_error")} for node in nodes]
    assert bound < derived(without, region, lemmas_and_margin(generator, [4, 8, 8, 10], False), C, arithmetic="exact")
    for x in points:
        meant = raw(without)
        sign = np.where(generator.random(meant[3]["weight"].shape) < 0.5, -1, 1)
        meant[3]["weight"] = meant[3]["weight"] * (1 + sign * 2.0**-36)
        meant[3]["bias"] = meant[3]["bias"] + np.array([1e-9, 0])
        assert bound < C.astype(object) @ evaluate(meant, x)


def test_what_the_stored_numbers_may_miss_is_taken_off_to_the_last_bit() -> None:
    """At a single point nothing else is lost: ``f - U 2^-53 |W| |x| - bias_error``."""
    weight, bias, x = np.array([[3.0, -5.0]]), np.array([0.25]), np.array([0.5, -2.0])
    nodes = [
        {"op": "input", "size": 2},
        {
            "op": "affine",
            "inputs": [0],
            "weight": weight,
            "bias": bias,
            "weight_ulps": 2**13,
            "bias_error": np.array([2.0**-30]),
        },
    ]
    steps = [{"op": "margins", "clauses": i32(0), "multipliers": {}}]
    bound = derived(nodes, ball(x, "0"), steps, [1.0], arithmetic="exact")
    assert bound == Fraction(3, 2) + 10 + Fraction(1, 4) - Fraction(2**13, 2**53) * (Fraction(3, 2) + 10) - Fraction(
        1, 2**30
    )


def test_what_overflows_on_the_way_back_rejects() -> None:
    data = network(*random_dense(np.random.default_rng(0), [2, 3, 2], scale=1e10))
    steps = [{"op": "margins", "clauses": i32(0), "multipliers": {}}]
    file = certificate(data, box([-1e-300] * 2, [1e-300] * 2), steps, C=[[1e300, -1e300]], d=[1e307])
    assert "not a finite number" in check(file.data(), data).reason


def test_float32_refuses_inexact_numbers_and_overflow() -> None:
    generator = np.random.default_rng(6)
    steps = [{"op": "margins", "clauses": i32(0), "multipliers": {}}]
    for nodes, reason in (
        (every_op(generator, inexact=True), "has inexact numbers"),
        (
            [*every_op(generator)[:-1], {"op": "affine", "inputs": [14], "weight": np.full((3, 3), 0.1)}],
            "not a float32",
        ),
        (
            [*every_op(generator)[:-1], {"op": "affine", "inputs": [14], "weight": np.full((3, 3), 2.0**127)}],
            "beyond float32",
        ),
    ):
        data = network(*nodes)
        file = certificate(data, ball(np.zeros(8), "1"), steps, C=[[1, 0, 0]], d=[1e30], semantics="float32")
        assert reason in check(file.data(), data).reason


@pytest.mark.parametrize("kind", NASTY)
def test_overflow_and_nan_reject(kind: str) -> None:
    nodes = nasty(np.random.default_rng(0), kind)
    nodes[1]["weight"] = nodes[1]["weight"] * 1e-10 + 1e300
    nodes[3]["weight"] = nodes[3]["weight"] * 1e-10 + 1e300
    data = network(*nodes)
    file = certificate(
        data, box([-1] * 3, [1] * 3), [{"op": "margins", "clauses": i32(0), "multipliers": {}}], C=[[1, 0]], d=[1e308]
    )
    for arithmetic in ("float64", "exact"):
        assert "beyond float64" in check(file.data(), data, arithmetic=arithmetic).reason


def both(
    nodes: list[dict[str, Any]], lower: np.ndarray, upper: np.ndarray, float32: bool = False
) -> tuple[Model, Model]:
    built = build(raw(nodes))
    ends = lower[:, None], upper[:, None]
    with np.errstate(all="ignore"):
        rounded, exact = (build_model(ARITHMETICS[name], built, ends, float32) for name in ("float64", "exact"))
    return rounded, exact


def contains(outer: Frame, inner: Frame) -> bool:
    return bool((outer.lower <= inner.lower).all() and (outer.upper >= inner.upper).all())


def cases() -> list[tuple[str, int]]:
    return [(kind, seed) for kind in [*NASTY, "plain", "every op"] for seed in range(3)]


def case(kind: str, seed: int) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray, np.random.Generator]:
    generator = np.random.default_rng(seed)
    sizes = [int(n) for n in generator.integers(1, 9, size=5)]
    plain = {"plain": lambda: random_dense(generator, sizes), "every op": lambda: every_op(generator)}
    nodes = plain.get(kind, lambda: nasty(generator, kind))()
    middle = generator.normal(size=nodes[0]["size"])
    width = generator.random(size=nodes[0]["size"]) * (10.0 ** -generator.integers(0, 12))
    return nodes, middle - width, middle + width, generator


@pytest.mark.parametrize(("kind", "seed"), cases())
def test_frames_in_float64_contain_the_exact_ones(kind: str, seed: int) -> None:
    nodes, lower, upper, _ = case(kind, seed)
    rounded, exact = both(nodes, lower, upper)
    with np.errstate(all="ignore"):
        assert contains(root_frame(rounded), root_frame(exact))
        for r in range(len(exact.relus)):
            # in the same frame
            frame = root_frame(rounded)
            lowers, uppers, known = frame.lower.copy(), frame.upper.copy(), rounded.known[rounded.relus[r]]
            lowers[known] -= 1e9
            uppers[known] += 1e9
            wide = Frame(None, lowers, uppers)
            assert contains(apply_interval(rounded, wide, r), apply_interval(exact, wide, r))


def fixed_multipliers(generator: np.random.Generator, model: Model, rows: int) -> Multipliers:
    """Slopes and betas of either sign for every neuron, which both arithmetics then use."""
    widths = [model.layers[j].node.size for j in model.relus]
    lower = {r: (np.arange(n), generator.random(size=(rows, n))) for r, n in enumerate(widths)}
    upper = {r: (np.arange(n), generator.random(size=(1, n))) for r, n in enumerate(widths)}
    beta = {}
    for r, n in enumerate(widths):
        row, at = (i.ravel() for i in np.indices((rows, n)))
        beta[r] = row, at, generator.normal(size=rows * n)
    return Multipliers(False, lower, upper, beta)


@pytest.mark.parametrize(("kind", "seed"), cases())
@pytest.mark.parametrize("float32", [False, True], ids=["real", "float32"])
def test_backward_in_float64_is_never_above_exact(kind: str, seed: int, float32: bool) -> None:
    """With the same frame and the same multipliers, so that nothing but rounding is between them."""
    nodes, lower, upper, generator = case(kind, seed)
    if float32 and kind in NASTY[1:]:
        nodes, lower, upper, generator = case("plain", seed + 100)
    rounded, exact = both(nodes, lower, upper, float32)
    frame, rows = root_frame(rounded), 6
    flat = ((lower + upper) / 2)[:, None]
    kinds = {"box": (flat, 0), "l2": (flat, Fraction(1, 3)), "l1": (flat + 0.01, Fraction(1, 7))}
    for name, (centre, epsilon) in kinds.items():
        region = Region(name, (lower[:, None], upper[:, None]), centre, epsilon, "")
        start = generator.normal(size=(rows, nodes_out(rounded)))
        if kind == "cancelling":
            start[:, 1:] = start[:, :1]  # and so does the product with the last weight
        found = []
        multipliers = fixed_multipliers(generator, rounded, rows)
        for model in (rounded, exact):
            lift = model.arithmetic.lift
            with np.errstate(all="ignore"):
                a, c = backward(model, frame, {len(nodes) - 1: lift(start.T)}, lift(np.zeros(rows)), multipliers)
                found.append(minimum(model, region, frame, a, c))
        assert (found[0] <= found[1]).all()
        if kind in ("plain", "every op") and name == "box" and not float32:
            assert (found[0] > found[1] - 1e-10).all()


def cancelling_residual(generator: np.random.Generator) -> list[dict[str, Any]]:
    """A value minus nearly itself, taken apart and summed: coefficients meet, cancel and leave their roundings behind."""
    nearly = -np.eye(5) * (1 + 2.0**-40 * int(generator.integers(-3, 4)))
    nodes = random_dense(generator, [3, 5, 5])[:3]
    large = f32(generator.normal(size=(5, 5)) * 10.0 ** generator.integers(-8, 9))
    return [
        *nodes,
        {"op": "affine", "inputs": [2], "weight": nearly},
        {"op": "add", "inputs": [3, 2]},
        {"op": "relu", "inputs": [4]},
        {"op": "affine", "inputs": [5], "weight": large},
        {"op": "add", "inputs": [6, 1]},
        {"op": "relu", "inputs": [7]},
        {"op": "select", "inputs": [8, 5], "index": np.array([0, 3, 3, -1, 9])},
        {"op": "affine", "inputs": [9], "weight": f32(generator.normal(size=(2, 5)))},
    ]


@pytest.mark.parametrize("seed", range(12))
def test_bounds_of_neurons_under_an_assumption_in_float64_are_never_above_exact(seed: int) -> None:
    """A neuron's own coefficient meets those of the clause that is assumed, which come from behind it."""
    generator = np.random.default_rng(seed)
    nodes = cancelling_residual(generator) if seed % 3 else every_op(generator)
    middle = generator.normal(size=nodes[0]["size"])
    width = generator.random(size=len(middle)) * 10.0 ** -generator.integers(0, 12)
    models = both(nodes, middle - width, middle + width)
    outputs, region = models[0].layers[-1].node.size, Region("box", (middle, middle), middle, Fraction(0), "")
    clause = generator.normal(size=(2, outputs)), generator.normal(size=2)
    claim = Claim(False, [{}], [0], np.array([0, 2]), *clause, None, np.zeros(1, dtype=np.float32))
    for relu, node in enumerate(models[0].relus):
        count = models[0].layers[node].node.size
        chosen = fixed_multipliers(generator, models[0], 2 * count)
        scales = {r: 10.0 ** generator.integers(-12, 9, size=len(value)) for r, (_, _, value) in chosen.beta.items()}
        beta = {r: (row, at, value * scales[r]) for r, (row, at, value) in chosen.beta.items()}
        chosen = replace(chosen, beta=beta, mix=generator.exponential(size=(2 * count, 2)))
        asked, found = (np.tile(np.arange(count), 2), np.repeat([1, -1], count)), []
        for model in models:
            proof = Proof(model.arithmetic, [layer.node for layer in model.layers], claim)
            proof.model, proof.region = model, region
            with np.errstate(all="ignore"):
                frame = replace(root_frame(models[0]), clause=0)
                found.append(pre_activation(proof, frame, relu, *asked, chosen))
        assert (found[0] <= found[1]).all()


def nodes_out(model: Model) -> int:
    return model.layers[-1].node.size


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_minima_over_balls_are_tight(norm: str) -> None:
    """Without a clip, ``a . c - epsilon |a|`` in the dual norm; with one, never below the box's minimum, and below every point."""
    generator = np.random.default_rng(0)
    nodes = random_dense(generator, [5, 2])
    c, a = generator.random(size=5), generator.normal(size=(4, 5))
    dual = np.linalg.norm(a, axis=1) if norm == "l2" else np.abs(a).max(axis=1)
    wide, clipped = (c - 0.5, c + 0.5), (np.maximum(c - 0.5, 0.02), np.minimum(c + 0.5, 0.9))
    for lower, upper in (wide, clipped):
        for model in both(nodes, lower, upper):
            lift = model.arithmetic.lift
            region = Region(norm, (lower[:, None], upper[:, None]), c[:, None], Fraction(1, 2), "")
            found = minimum(model, region, root_frame(model), lift(a.T), lift(np.zeros(4)))
            in_box = np.minimum(a * lower, a * upper).sum(axis=1)
            if lower is wide[0]:
                assert np.allclose(found, a @ c - 0.5 * dual, rtol=0, atol=1e-9)
                assert (found <= a @ c - 0.5 * dual + 1e-12).all()
            else:
                assert (found >= np.maximum(in_box, a @ c - 0.5 * dual) - 1e-9).all()
                step = generator.normal(size=(4000, 5)) ** 3
                step *= 0.5 / np.linalg.norm(step, ord={"l2": 2, "l1": 1}[norm], axis=1, keepdims=True)
                x = c + step * generator.random(size=(4000, 1)) ** 2
                x = x[((x >= lower) & (x <= upper)).all(axis=1)]
                assert len(x) > 10
                assert (found <= (a @ x.T).min(axis=1)).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_beta_that_cancels_a_rounded_slope_takes_no_error_term_with_it(seed: int) -> None:
    """What is left of the coefficient is 0, and so is its own error term, but the product that it cancelled was rounded."""
    generator = np.random.default_rng(seed)
    a, slope = 1 + generator.random(), 1 - int(generator.integers(1, 6)) * 2.0**-53
    ends = box([-(2.0 ** -int(generator.integers(0, 60)))], [1.0])
    nodes = [{"op": "input", "size": 1}, {"op": "relu", "inputs": [0]}]
    nodes += [{"op": "affine", "inputs": [1], "weight": np.array([[-a]])}]
    chosen = {"upper": {"0": {"at": i32(0), "value": np.array([[slope]])}}}
    chosen["beta"] = {"0": {"row": i32(0), "at": i32(0), "value": np.array([-a * slope])}}
    steps = [{"op": "margins", "clauses": i32(0), "multipliers": chosen}]
    found = [derived(nodes, ends, steps, [1.0], arithmetic=name) for name in ("float64", "exact")]
    assert found[0] <= found[1] <= -Fraction(a)
