"""Claims with a planted counterexample: no tree, box or split proves them, however the multipliers are drawn."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.certificates import ball, certificate, network
from support.nodes import evaluate, random_dense

from verify.check import check

SIZES = [3, 7, 6, 3]


def planted(generator: np.random.Generator, rows: int, slack: float) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """A network, a region, and a clause that a point of the region satisfies with ``slack`` 0 (and misses by far with much)."""
    nodes = random_dense(generator, SIZES)
    centre = generator.normal(size=3)
    x = centre + generator.choice([-1, 1], size=3) * 0.25 * generator.random(size=3)
    C = generator.integers(-2, 3, size=(rows, 3)).astype(np.float64)
    exact = C.astype(object) @ evaluate(nodes, np.array([Fraction(v) for v in x.tolist()]))
    d = np.array([np.nextafter(float(-value), -np.inf) for value in exact]) + slack
    return network(*nodes), ball(centre, "1/4"), {"C": C, "d": d, "rows": [rows]}


BEGINS = np.cumsum(SIZES)  # of the ReLUs in frames, and of the rows


def multipliers(generator: np.random.Generator, leaves: int, rows: int, betas: Any = None) -> dict[str, Any]:
    """Weights of the rows for each leaf, and perhaps betas (leaves, neurons), and slopes of the first ReLU."""
    at = np.arange(BEGINS[2], BEGINS[2] + rows, dtype=np.int32)
    value = -generator.exponential(size=(leaves, rows))
    if betas is not None:
        neurons = np.arange(BEGINS[0], BEGINS[2], dtype=np.int32)
        at, value = np.concatenate([neurons, at]), np.concatenate([betas, value], axis=1)
    slopes = {
        "at": np.arange(3, 10, dtype=np.int32),
        "value": generator.integers(0, 65536, size=(leaves, 7)).astype("<u2"),
    }
    return {"lower": slopes, "beta": {"at": at, "value": value}}


def grown(generator: np.random.Generator, places: range, chance: float) -> np.ndarray:
    """Where each part is cut, -1 for a leaf, those of each depth after those before."""
    cut: list[int] = []
    level = 1
    while level and len(cut) < 100:
        chosen = [int(generator.choice(places)) if generator.random() < chance else -1 for _ in range(level)]
        cut, level = cut + chosen, 2 * sum(c >= 0 for c in chosen)
    return np.array([*cut, *[-1] * level], dtype=np.int32)


def random_tree(generator: np.random.Generator, rows: int) -> dict[str, Any]:
    """Splits at random neurons; betas of either sign at any neurons."""
    cut = grown(generator, range(BEGINS[0], BEGINS[2]), 0.7)
    leaves = int((cut < 0).sum())
    betas = generator.normal(size=(leaves, 13)) * (generator.random(size=(leaves, 13)) < 0.3)
    row = np.where(cut < 0, np.cumsum(cut < 0) - 1, -1).astype(np.int32)
    return {"op": "tree", "cut": cut, "row": row, "multipliers": multipliers(generator, leaves, rows, betas)}


def random_boxes(generator: np.random.Generator, rows: int) -> dict[str, Any]:
    """Inputs and neurons are cut, boxes are clipped, intervals derived anew."""
    cut = grown(generator, range(BEGINS[1] if generator.random() < 0.5 else 3), 0.7)
    row, derive = np.arange(len(cut), dtype=np.int32), [0, 1][: int(generator.integers(3))]
    return {
        "op": "tree",
        "cut": cut,
        "row": row,
        "derive": derive,
        "multipliers": multipliers(generator, len(cut), rows),
    }


def random_splits(generator: np.random.Generator, rows: int, depth: int = 3) -> list[dict[str, Any]]:
    """A split, both ends of every neuron derived in each half, and so on."""
    if depth == 0:
        leaf = {"cut": np.array([-1], dtype=np.int32), "row": np.array([0], dtype=np.int32)}
        return [{"op": "tree", **leaf, "multipliers": multipliers(generator, 1, rows)}]
    size = SIZES[2]
    beta = {"at": np.arange(BEGINS[2], BEGINS[2] + rows, dtype=np.int32)}
    beta["value"] = -0.1 * generator.exponential(size=(2 * size, rows))
    neurons = np.arange(size, dtype=np.int32)
    lemma = {"op": "bounds", "relu": 1, "neurons": np.concatenate([neurons, ~neurons]), "multipliers": {"beta": beta}}
    steps = [{"op": "split", "at": int(generator.integers(BEGINS[2]))}]
    for _ in range(2):
        steps += [lemma, *random_splits(generator, rows, depth - 1)]
    return steps


KINDS = {
    "tree": lambda generator, rows: [random_tree(generator, rows)],
    "boxes": lambda generator, rows: [random_boxes(generator, rows)],
    "splits": random_splits,
}


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slack", [0.0, 1e6], ids=["false", "true"])
def test_a_clause_that_a_point_satisfies_is_never_refuted(kind: str, arithmetic: str, slack: float) -> None:
    for seed in range({"float64": 25, "exact": 3}[arithmetic]):
        generator = np.random.default_rng(seed)
        rows = int(generator.integers(1, 4))
        net, region, clause = planted(generator, rows, slack)
        steps = [{"op": "assume", "clause": 0}, *KINDS[kind](generator, rows)]
        report = check(certificate(net, region, steps, **clause).data(), net, arithmetic=arithmetic)
        assert report.accepted == (slack > 0), (seed, report.reason)
        if slack == 0:
            assert "not above 0" in report.reason, report.reason
