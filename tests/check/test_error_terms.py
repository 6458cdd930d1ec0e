"""Every error term is needed: without it, some bound is above the truth. A term is taken out of the checker's text, and noticed."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.certificates import affine, box, scale
from support.nodes import random_dense

from verify.check import backward, model, region, steps
from verify.check.arithmetic import ARITHMETICS
from verify.check.backward import Multipliers
from verify.check.network import build
from verify.check.region import Region
from verify.check.steps import Proof

TINY = 2.0**-540  # whose square underflows
INPUT = {"op": "input", "size": 1}


def begun(nodes: list[dict[str, Any]], lower: Any, upper: Any, C: Any, float32: bool = False) -> list[Proof]:
    """The beginning of a proof about the rows ``C`` of a network over a box, in float64 and exact."""
    C = np.asarray(C, dtype=np.float64)
    part = {"region": box(lower, upper), "rows": np.array([len(C)]), "C": C, "d": np.zeros(len(C))}
    built = build([dict(node) for node in nodes])
    return [steps.begun(ARITHMETICS[name], built, part, float32) for name in ("float64", "exact")]


def intervals_cross(nodes: list[dict[str, Any]], lower: Any, upper: Any, C: Any) -> bool:
    """Whether an end of the root frame is inside of that of exact arithmetic."""
    rounded, exact = begun(nodes, lower, upper, C)
    return not bool((rounded.frames[0] <= exact.frames[0]).all())


def bounds_cross(nodes: list[dict[str, Any]], lower: Any, upper: Any, C: Any) -> bool:
    """Whether a bound of a row by rule `backward` is above that of exact arithmetic in the same frame."""
    proofs, rows = begun(nodes, lower, upper, C), np.arange(len(C))
    frame, relu = proofs[1].frames[0], proofs[0].model.relus[-1]
    rounded, exact = (proof.lower_bounds(frame, relu, rows, Multipliers({})) for proof in proofs)
    return not bool((rounded <= exact).all())


def minima_cross(kind: str, a: Any, centre: Any, epsilon: float) -> bool:
    """Whether the minimum of a form over a ball is above that of exact arithmetic."""
    a, centre = np.asarray(a, dtype=np.float64)[:, None, None], np.asarray(centre, dtype=np.float64)
    found = []
    for proof in begun([{"op": "input", "size": len(a)}], centre - 1, centre + 1, np.ones((1, len(a)))):
        lift, ball = proof.model.arithmetic.lift, Region(kind, proof.region.box, centre[:, None, None], epsilon, "")
        found.append(region.minimum(proof.model, ball, proof.frames[0], lift(a), lift(np.zeros((1, 1)))))
    return not bool((found[0] <= found[1]).all())


def some(question: Callable[[np.random.Generator], bool]) -> Callable[[], bool]:
    """Whether the answer is yes for one of many."""
    return lambda: any(question(np.random.default_rng(seed)) for seed in range(60))


def random_intervals(generator: np.random.Generator) -> bool:
    middle = generator.normal(size=3)
    return intervals_cross(random_dense(generator, [3, 5, 4, 2]), middle - 1e-12, middle + 1e-12, np.eye(2))


def cancelling(generator: np.random.Generator) -> bool:
    """A row that is nearly 0, as the sum of two that are not: what its own size pays for is next to nothing."""
    first, c = generator.normal(size=5), generator.normal(size=2)
    nodes = [{"op": "input", "size": 5}, affine([0], [first, -first * c[0] / c[1]])]
    x = generator.normal(size=5)
    return bounds_cross(nodes, x, x, [c])


def cancelling_betas(generator: np.random.Generator) -> bool:
    """Of two ReLUs with one argument: the coefficients nearly cancel, but what they are multiplied with is rounded."""
    x, beta = [generator.normal()], 1e10 * generator.random()
    proofs = begun([INPUT, {"op": "relu", "inputs": [0]}, {"op": "relu", "inputs": [0]}], x, x, [[1.0]])
    given = Multipliers({"beta": (np.array([1, 2]), np.array([[beta, -beta * (1 + 2.0**-30)]]))})
    rounded, exact = (proof.lower_bounds(proofs[1].frames[0], 1, np.array([0]), given) for proof in proofs)
    return bool(rounded[0, 0] > exact[0, 0])


def swallowed() -> bool:
    """Of the constants of many ReLUs the first is 1/2, and each of the others too small to change the sum so far.

    (For the sum of a bias the like cannot be shown: the order in which a library of linear algebra adds is its own.)
    """
    count, w = 2**14, np.full(2**14, 2.0**-53)
    w[0] = 1.0
    groups = {"taps": np.arange(count, dtype=np.int32).reshape(128, 128), "bases": np.zeros(1, dtype=np.int32)}
    nodes = [{"op": "input", "size": count}, scale([0], w), {"op": "relu", "inputs": [1]}]
    nodes += [{"op": "linear", "inputs": [2], **groups, "weight": np.ones((128, 1, 128))}]
    return bounds_cross(nodes, -np.ones(count), np.ones(count), -np.ones((2, 128)))


def small_beside_an_error() -> bool:
    """The error of a bias swallows what the weight adds to it, which is all that anything else is in proportion to."""
    nodes = [INPUT, affine([0], [[1e-20]], bias_error=np.ones(1)), {"op": "relu", "inputs": [1]}]
    return intervals_cross(nodes, [-1.0], [1.0], [[1.0]])


def random_minima(kind: str) -> Callable[[np.random.Generator], bool]:
    return lambda generator: minima_cross(kind, generator.normal(size=6), generator.normal(size=6), 0.5)


def roots(generator: np.random.Generator) -> bool:
    """Whether exact arithmetic takes a root that is too small: the minimum of a . x over the unit ball is - |a|."""
    a = generator.integers(1, 100, size=3).astype(np.float64)
    [_, exact] = begun([{"op": "input", "size": 3}], -np.ones(3), np.ones(3), np.ones((1, 3)))
    ball, lift = Region("l2", exact.region.box, np.zeros((3, 1, 1)), 1.0, ""), exact.model.arithmetic.lift
    wide = np.full_like(exact.frames[0], -1e9)  # no box helps
    found = region.minimum(exact.model, ball, wide, lift(a[:, None, None]), lift(np.zeros((1, 1))))
    return Fraction(float(found[0, 0])) ** 2 < sum(Fraction(x) ** 2 for x in a.tolist())


def clips(generator: np.random.Generator) -> bool:
    """Whether exact arithmetic cuts off a point of the box with a . x <= t, of which its lower corner is one."""
    a, low = generator.random(2) + 0.5, generator.random(2)
    t = float(a @ low) + generator.random()
    [_, exact] = begun([{"op": "input", "size": 2}], low, [9.0, 9.0], [a])
    frame = exact.frames[0].copy()
    frame[1, -1] = -t
    betas = Multipliers({"beta": (np.array([2]), np.array([[-1.0]]))})
    _, _, left = exact._refuted(frame, np.array([0]), betas, None)
    a, low = ([Fraction(number) for number in array.tolist()] for array in (a, low))
    room = Fraction(t) - sum(x * y for x, y in zip(a, low, strict=True))
    uppers = [Fraction(-float(end)) for end in left[1, :2, 0, 0]]
    assert max(uppers) < 9
    return any(upper < y + room / x for upper, y, x in zip(uppers, low, a, strict=True))


def underflow(weight: float, x: float, factor: float) -> Callable[[], bool]:
    """Of a product of the coefficient and the weight, or of the weight and x."""
    nodes = [INPUT, affine([0], [[weight]])]
    return lambda: intervals_cross(nodes, [0.0], [x], [[1.0]]) or bounds_cross(nodes, [-x], [x], [[factor]])


# The function, a term in its text and what is left without it, and a question that is answered with yes then alone.
TERMS: dict[str, tuple[Any, str, str, Callable[[], bool]]] = {
    "rounding of values": (
        model._layer,
        '(sums if node.op == "linear" else dots) * total',
        "0 * total",
        some(random_intervals),
    ),
    "rounding of values, in intervals": (
        model._propagated,
        "middle - low)) + layer.error",
        "middle - low))",
        some(random_intervals),
    ),
    "rounding of coefficients": (
        backward.backward,
        "constant - dot(layer.error[at], np.abs(a))",
        "constant",
        some(cancelling),
    ),
    "rounding of multipliers": (
        backward.backward,
        "constant - dot(model.layers[j].error[at], np.abs(a))",
        "constant",
        some(cancelling_betas),
    ),
    "sums over a node": (
        model._layer,
        '(sums if node.op == "linear" else dots) * total',
        "sums * total",
        swallowed,
    ),
    "sums of errors": (model._layer, "error + dots * error", "error", small_beside_an_error),
    "underflow of values": (
        model._layer,
        "arithmetic.tiny * (node.fan + 8)",
        "0.0",
        underflow(TINY, TINY, 1.0),
    ),
    "underflow of coefficients": (
        model.build_model,
        "arithmetic.tiny * most",
        "0 * most",
        underflow(TINY, 2.0**500, TINY),
    ),
    "rounding over an l2 ball": (region.minimum, "lift(model.gamma) * mass", "0 * mass", some(random_minima("l2"))),
    "rounding over an l1 ball": (region.minimum, "lift(model.gamma) * mass", "0 * mass", some(random_minima("l1"))),
    "underflow of squares": (
        region.minimum,
        " + lift(len(p) * arithmetic.tiny)",
        "",
        some(lambda generator: minima_cross("l2", generator.normal(size=2) * 2.0**-533, [0.0, 0.0], 0.5)),
    ),
    "the root in exact arithmetic": (
        region.minimum,
        "np.nextafter(np.sqrt(-arithmetic.lower(-squares)), np.inf)",
        "np.sqrt(-arithmetic.lower(-squares))",
        some(roots),
    ),
    "what is clipped, in exact arithmetic": (
        Proof._refuted,
        "np.nextafter(model.arithmetic.lower(-room) - part[::-1, box], -np.inf)",
        "model.arithmetic.lower(-room) - part[::-1, box]",
        some(clips),
    ),
}


def without(patch: pytest.MonkeyPatch, function: Any, term: str, rest: str) -> None:
    """Every module of the checker gets the function without the term."""
    text = textwrap.dedent(inspect.getsource(function))
    assert text.count(term) == 1, term
    made: dict[str, Any] = {}
    exec(compile(text.replace(term, rest), "changed", "exec"), function.__globals__, made)
    name = function.__name__
    owners = [m for n, m in list(sys.modules.items()) if n.startswith("verify.check.")] + [Proof]
    for owner in owners:
        if getattr(owner, name, None) is function:
            patch.setattr(owner, name, made[name])


@pytest.mark.parametrize("name", TERMS)
def test_without_a_term_a_bound_is_above_the_truth_and_with_it_is_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, term, rest, wrong = TERMS[name]
    with np.errstate(all="ignore"):
        assert not wrong()
        without(monkeypatch, function, term, rest)
        assert wrong()
