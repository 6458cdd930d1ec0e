"""What is derived is true: below every evaluated point, in every semantics; and float64 is never above exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.certificates import add, affine, ball, box, certificate, i32, network, select
from support.nodes import evaluate, every_op, f32, nasty, random_dense

from verify.check import check
from verify.check.arithmetic import ARITHMETICS
from verify.check.backward import Multipliers, backward
from verify.check.model import apply_interval
from verify.check.network import build
from verify.check.region import Region, minimum
from verify.check.steps import Proof, begun

EVERY = [8, 4, 8, 8, 10]  # the input and the ReLUs of `every_op`
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


def random_multipliers(generator: np.random.Generator, rows: int, places: int) -> dict[str, Any]:
    """Slopes, and betas of either sign at any neurons, of which there are so many after the input."""
    lower, upper, held = (
        np.flatnonzero(generator.random(places) < share).astype(np.int32) for share in (0.7, 0.3, 0.2)
    )
    betas = 0.3 * generator.normal(size=(rows, len(held))) * (generator.random(size=(rows, len(held))) < 0.5)
    return {
        "lower": {"at": lower, "value": generator.integers(0, 256, size=(rows, len(lower))).astype(np.uint8)},
        "upper": {"at": upper, "value": generator.random(size=(1, len(upper)))},
        "beta": {"at": held, "value": betas},
    }


def lemmas_and_margin(generator: np.random.Generator, sizes: list[int], random: bool) -> list[dict[str, Any]]:
    """Both ends of every neuron of every ReLU, and the one row; ``sizes`` are those of the input and the ReLUs."""
    steps: list[dict[str, Any]] = []
    for r, size in enumerate([*sizes[1:], 1]):
        neurons = np.arange(size, dtype=np.int32)
        neurons = neurons if r == len(sizes) - 1 else np.concatenate([neurons, ~neurons])
        chosen = random_multipliers(generator, len(neurons), sum(sizes)) if random else {}
        steps.append({"op": "bounds", "relu": r, "neurons": neurons, "multipliers": chosen})
    return steps


def margin(relus: int) -> list[dict[str, Any]]:
    """The one row, with no multipliers, for a network with so many ReLUs."""
    return [{"op": "bounds", "relu": relus, "neurons": i32(0), "multipliers": {}}]


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
    for nodes, sizes in ((random_dense(generator, [4, 6, 5, 3]), [4, 6, 5]), (every_op(generator), EVERY)):
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
    steps = margin(4)
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
    bound = derived(nodes, region, lemmas_and_margin(generator, EVERY, False), C, arithmetic="exact")
    without = [{k: v for k, v in node.items() if k not in ("weight_ulps", "bias_error")} for node in nodes]
    assert bound < derived(without, region, lemmas_and_margin(generator, EVERY, False), C, arithmetic="exact")
    for x in points:
        meant = raw(without)
        sign = np.where(generator.random(meant[4]["weight"].shape) < 0.5, -1, 1)
        meant[4]["weight"] = meant[4]["weight"] * (1 + sign * 2.0**-36)
        meant[4]["bias"] = meant[4]["bias"] + np.array([1e-9, 0])
        assert bound < C.astype(object) @ evaluate(meant, x)


def test_what_the_stored_numbers_may_miss_is_taken_off_to_the_last_bit() -> None:
    """At a single point nothing else is lost: ``f - U 2^-53 |W| |x| - bias_error``."""
    weight, bias, x = np.array([[3.0, -5.0]]), np.array([0.25]), np.array([0.5, -2.0])
    inexact = {"weight_ulps": 2**13, "bias_error": np.array([2.0**-30])}
    nodes = [{"op": "input", "size": 2}, affine([0], weight, bias, **inexact)]
    steps = margin(0)
    bound = derived(nodes, ball(x, "0"), steps, [1.0], arithmetic="exact")
    assert bound == Fraction(3, 2) + 10 + Fraction(1, 4) - Fraction(2**13, 2**53) * (Fraction(3, 2) + 10) - Fraction(
        1, 2**30
    )


def test_what_overflows_on_the_way_back_rejects() -> None:
    data = network(*random_dense(np.random.default_rng(0), [2, 3, 2]))
    steps = margin(1)
    steps[0]["multipliers"] = {"beta": {"at": i32(2), "value": np.array([[1e308]])}}
    file = certificate(data, box([-1e10] * 2, [1e10] * 2), steps, C=[[1, -1]])
    assert "not a finite number" in check(file.data(), data).reason


def test_float32_refuses_inexact_numbers_and_overflow() -> None:
    generator = np.random.default_rng(6)
    steps = margin(4)
    for nodes, reason in (
        (every_op(generator, inexact=True), "has inexact numbers"),
        (
            [*every_op(generator)[:-1], affine([17], np.full((3, 3), 0.1))],
            "not a float32",
        ),
        (
            [*every_op(generator)[:-1], affine([17], np.full((3, 3), 2.0**127))],
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
    file = certificate(data, box([-1] * 3, [1] * 3), margin(2), C=[[1, 0]], d=[1e308])
    for arithmetic in ("float64", "exact"):
        assert "beyond float64" in check(file.data(), data, arithmetic=arithmetic).reason


def both(
    nodes: list[dict[str, Any]], lower: np.ndarray, upper: np.ndarray, float32: bool = False, C: Any = None
) -> tuple[Proof, Proof]:
    """The beginning of a proof about the rows ``C`` of a network over a box, in either arithmetic."""
    built = build(raw(nodes))
    C = np.eye(built[-1].size) if C is None else C
    part = {"region": box(lower, upper), "rows": np.array([len(C)]), "C": C, "d": np.zeros(len(C))}
    with np.errstate(all="ignore"):
        rounded, exact = (begun(ARITHMETICS[name], built, part, float32) for name in ("float64", "exact"))
    return rounded, exact


def contains(outer: np.ndarray, inner: np.ndarray) -> bool:
    """Of ends: those of values, and of minus them."""
    return bool((outer <= inner).all())


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
        assert contains(rounded.frames[0], exact.frames[0])
        for r in exact.model.relus:
            # in the same frame
            wide = rounded.frames[0].copy()
            wide[:, rounded.model.known[r]] -= 1e9
            assert contains(apply_interval(rounded.model, wide, r), apply_interval(exact.model, wide, r))


def fixed_multipliers(generator: np.random.Generator, proof: Proof, rows: int) -> Multipliers:
    """Slopes and betas of either sign for every neuron, and for the rows, which both arithmetics then use."""
    places = np.arange(proof.frames[0].shape[1])
    lower, upper = generator.random(size=(rows, len(places))), generator.random(size=(1, len(places)))
    betas = generator.normal(size=(rows, len(places))) * 10.0 ** generator.integers(-12, 3, size=(rows, len(places)))
    return Multipliers({"lower": (places, lower), "upper": (places, upper), "beta": (places, betas)})


@pytest.mark.parametrize(("kind", "seed"), cases())
@pytest.mark.parametrize("float32", [False, True], ids=["real", "float32"])
def test_backward_in_float64_is_never_above_exact(kind: str, seed: int, float32: bool) -> None:
    """With the same frame and the same multipliers, so that nothing but rounding is between them."""
    nodes, lower, upper, generator = case(kind, seed)
    if float32 and kind in NASTY[1:]:
        nodes, lower, upper, generator = case("plain", seed + 100)
    outputs = nodes_out(nodes)
    C = generator.normal(size=(6, outputs))
    if kind == "cancelling":
        C[:, 1:] = C[:, :1]  # and so does the product with the last weight
    rounded, exact = both(nodes, lower, upper, float32, C)
    flat = ((lower + upper) / 2)[:, None, None]
    multipliers, last = fixed_multipliers(generator, rounded, 6), rounded.model.relus[-1]
    for name, centre, epsilon in (("", flat, 0.0), ("l2", flat, 1 / 3), ("l1", flat + 0.01, 1 / 7)):
        region = Region(name, rounded.region.box, centre, epsilon, "")
        found = []
        for proof in (rounded, exact):
            with np.errstate(all="ignore"):
                start = {last: (np.arange(6), np.eye(6)[:, None])}
                a, c = backward(proof.model, rounded.frames[0], start, 6, multipliers)
                found.append(minimum(proof.model, region, rounded.frames[0], a, c))
        assert (found[0] <= found[1]).all()
        if kind in ("plain", "every op") and name == "" and not float32:
            assert (found[0] > found[1] - 1e-12 * np.maximum(np.abs(found[1]), 1e3)).all()


def nodes_out(nodes: list[dict[str, Any]]) -> int:
    return build(raw(nodes))[-1].size


def cancelling_residual(generator: np.random.Generator) -> list[dict[str, Any]]:
    """A value minus nearly itself, taken apart and summed: coefficients meet, cancel and leave their roundings behind."""
    nearly = -np.eye(5) * (1 + 2.0**-40 * int(generator.integers(-3, 4)))
    nodes = random_dense(generator, [3, 5, 5])[:3]
    large = f32(generator.normal(size=(5, 5)) * 10.0 ** generator.integers(-8, 9))
    return [
        *nodes,
        affine([2], nearly),
        add(3, 2, 5),
        {"op": "relu", "inputs": [4]},
        affine([5], large),
        add(6, 1, 5),
        {"op": "relu", "inputs": [7]},
        select([8, 5], [0, 3, 2, -1, 9]),
        affine([9], f32(generator.normal(size=(2, 5)))),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_bounds_of_neurons_under_an_assumption_in_float64_are_never_above_exact(seed: int) -> None:
    """A neuron's own coefficient meets those of the clause that is assumed, which come from behind it."""
    generator = np.random.default_rng(seed)
    nodes = cancelling_residual(generator) if seed % 3 else every_op(generator)
    middle = generator.normal(size=nodes[0]["size"])
    width = generator.random(size=len(middle)) * 10.0 ** -generator.integers(0, 12)
    proofs = both(nodes, middle - width, middle + width, C=generator.normal(size=(2, nodes_out(nodes))))
    frame = proofs[0].frames[0]
    for relu in proofs[0].model.relus:
        count = proofs[0].model.layers[relu].node.size
        neurons = np.concatenate([np.arange(count), ~np.arange(count)])
        chosen, found = fixed_multipliers(generator, proofs[0], 2 * count), []
        for proof in proofs:
            with np.errstate(all="ignore"):
                found.append(proof.lower_bounds(frame, relu, neurons, chosen))
        assert (found[0] <= found[1]).all()


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_minima_over_balls_are_tight(norm: str) -> None:
    """Without a clip, ``a . c - epsilon |a|`` in the dual norm; with one, never below the box's minimum, and below every point."""
    generator = np.random.default_rng(0)
    nodes = random_dense(generator, [5, 2])
    c, a = generator.random(size=5), generator.normal(size=(4, 5))
    dual = np.linalg.norm(a, axis=1) if norm == "l2" else np.abs(a).max(axis=1)
    wide, clipped = (c - 0.5, c + 0.5), (np.maximum(c - 0.5, 0.02), np.minimum(c + 0.5, 0.9))
    for lower, upper in (wide, clipped):
        for proof in both(nodes, lower, upper):
            lift = proof.model.arithmetic.lift
            region = Region(norm, proof.region.box, c[:, None, None], 0.5, "")
            constant = lift(np.zeros((1, 4)))
            found = minimum(proof.model, region, proof.frames[0], lift(a.T[:, None]), constant)[0]
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
    nodes += [affine([1], [[-a]])]
    chosen = {"upper": {"at": i32(1), "value": np.array([[slope]])}}
    chosen["beta"] = {"at": i32(1), "value": np.array([[-a * slope]])}
    steps = [{"op": "bounds", "relu": 1, "neurons": i32(0), "multipliers": chosen}]
    found = [derived(nodes, ends, steps, [1.0], arithmetic=name) for name in ("float64", "exact")]
    assert found[0] <= found[1] <= -Fraction(a)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_derived_of_a_part_does_not_depend_on_the_parts_beside_it(seed: int) -> None:
    """Clipped boxes are halved in their middle: a writer who looked at other parts together must find the same ones."""
    generator = np.random.default_rng(seed)
    sizes, count = [3, 12, 10, 1], 16
    part = {"region": box(-np.ones(3), np.ones(3)), "rows": np.array([1]), "C": np.ones((1, 1)), "d": np.zeros(1)}
    proof = begun(ARITHMETICS["float64"], build(raw(random_dense(generator, sizes))), part, False)
    proof._assume(0)
    places = proof.frames[0].shape[1]
    frame = proof.frames[-1].repeat(count, axis=2)
    ends = np.sort(generator.uniform(-1, 1, size=(2, 3, count, 1)), axis=0)
    frame[:, :3] = ends * [[[[1]]], [[[-1]]]]
    slopes = generator.random(size=(count, places - 4))
    tables = {
        "lower": (np.arange(3, places - 1), slopes),
        "beta": (np.array([places - 1]), -np.ones((count, 1))),
    }

    def derived(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = Multipliers({kind: (at, value[some]) for kind, (at, value) in tables.items()})
        _, bounds, left = proof._refuted(frame[:, :, some].copy(), np.arange(len(some)), chosen, {0, 1})
        return bounds, left[:, :3]

    together = derived(np.arange(count))
    alone = [derived(np.array([k])) for k in range(count)]
    assert np.allclose(together[0], np.concatenate([bounds for bounds, _ in alone]), rtol=0, atol=1e-12)
    assert np.allclose(together[1], np.concatenate([left for _, left in alone], axis=2), rtol=0, atol=1e-10)
