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


def mixed(generator: np.random.Generator, rows: int, clause_rows: int) -> dict[str, Any]:
    return {"mix": generator.exponential(size=(rows, clause_rows))}


def random_tree(generator: np.random.Generator, clause_rows: int) -> dict[str, Any]:
    """Splits at random neurons; betas of the phases on the way to each leaf, and of either sign at other neurons."""
    shape, relu, neuron = [], [], []
    beta: dict[int, list[tuple[int, int, float]]] = {0: [], 1: []}
    leaves = 0

    def grow(depth: int, path: list[tuple[int, int, int]]) -> None:
        nonlocal leaves
        unused = [(r, i) for r in (0, 1) for i in range(SIZES[r + 1]) if (r, i) not in {(r, i) for r, i, _ in path}]
        if depth == 0 or generator.random() < 0.2:
            shape.append(0)
            for r, i, sign in path:
                beta[r].append((leaves, i, sign * generator.exponential()))
            beta[unused[0][0]].append((leaves, unused[0][1], generator.normal()))
            leaves += 1
            return
        r, i = unused[int(generator.integers(len(unused)))]
        shape.append(1)
        relu.append(r)
        neuron.append(i)
        for sign in (1, -1):
            grow(depth - 1, [*path, (r, i, sign)])

    grow(4, [])
    columns = {r: [np.array(column) for column in zip(*entries, strict=True)] for r, entries in beta.items() if entries}
    betas = {
        str(r): {"row": c[0].astype(np.int32), "at": c[1].astype(np.int32), "value": c[2].astype(np.float64)}
        for r, c in columns.items()
    }
    slopes = {
        "0": {"at": np.arange(7, dtype=np.int32), "value": generator.integers(0, 65536, size=(leaves, 7)).astype("<u2")}
    }
    return {
        "op": "tree",
        "shape": np.array(shape, dtype=np.int8),
        "relu": np.array(relu, dtype=np.int16),
        "neuron": np.array(neuron, dtype=np.int32),
        "multipliers": {**mixed(generator, leaves, clause_rows), "beta": betas, "lower": slopes},
    }


def random_boxes(generator: np.random.Generator, clause_rows: int) -> dict[str, Any]:
    """Level by level, each part cut with some probability."""
    cut: list[int] = []
    level = 1
    while level and len(cut) < 200:
        chosen = [int(generator.integers(3)) if generator.random() < 0.8 else -1 for _ in range(level)]
        cut, level = cut + chosen, 2 * sum(c >= 0 for c in chosen)
    cut += [-1] * level
    return {"op": "boxes", "cut": np.array(cut, dtype=np.int16), "multipliers": mixed(generator, len(cut), clause_rows)}


def random_splits(generator: np.random.Generator, clause_rows: int, depth: int = 3) -> list[dict[str, Any]]:
    """A split, both ends of every neuron derived in each half, and so on."""
    if depth == 0:
        return [{"op": "refute", "multipliers": mixed(generator, 1, clause_rows)}]
    relu = int(generator.integers(2))
    size = SIZES[2]
    lemma = {
        "op": "bounds",
        "relu": 1,
        "neurons": np.tile(np.arange(size, dtype=np.int32), 2),
        "sides": np.repeat(np.array([1, -1], dtype=np.int8), size),
        "multipliers": {"mix": 0.1 * generator.exponential(size=(2 * size, clause_rows))},
    }
    steps = [{"op": "split", "relu": relu, "neuron": int(generator.integers(SIZES[relu + 1]))}]
    for _ in range(2):
        steps += [{"op": "interval", "relu": 1}, lemma, *random_splits(generator, clause_rows, depth - 1)]
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
