"""Networks of FORMAT.md's nodes: random and nasty ones, evaluated point by point in plain loops, in fractions or float32."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from support.certificates import add, affine, conv, dense, i32, scale, select

Number = Callable[[Any], Any]


def evaluate(nodes: list[dict[str, Any]], x: np.ndarray, number: Number = Fraction) -> np.ndarray:
    """The output for one input, every operation done in numbers of type ``number``, one after another."""

    def numbers(array: Any) -> np.ndarray:
        flat = [number(value) for value in np.asarray(array, dtype=np.float64).ravel().tolist()]
        return np.array([*flat, None], dtype=object)[:-1].reshape(np.shape(array))

    values: list[np.ndarray] = [x.ravel()]
    for node in nodes[1:]:
        v = np.concatenate([values[i] for i in node["inputs"]])
        if "gather" in node:
            v = np.array([*(v[i] if i >= 0 else number(0) for i in node["gather"].tolist()), None], dtype=object)[:-1]
        value = np.where(v > 0, v, number(0)) if node["op"] == "relu" else _linear(node, v, numbers, number)
        values.append(value)
    return values[-1]


def _linear(node: dict[str, Any], v: np.ndarray, numbers: Any, number: Number) -> np.ndarray:
    """One sum after another: entry (g, o, p) of ``weight[g, o, t] * v[taps[g, t] + bases[p]]`` over t."""
    taps, bases = node["taps"], node["bases"]
    weight = numbers(node["weight"]) if "weight" in node else None
    rows = taps.shape[1] if weight is None else weight.shape[1]
    value = np.full((len(taps), rows, len(bases)), number(0), dtype=object)
    for g, o, p in np.ndindex(value.shape):
        reads = [(t, int(tap) + int(bases[p])) for t, tap in enumerate(taps[g])]
        if weight is None:
            value[g, o, p] = v[reads[o][1]]
        else:
            for t, at in reads:
                value[g, o, p] = value[g, o, p] + weight[g, o, t] * v[at]
    value, bias = value.ravel(), node.get("bias")
    return value if bias is None else value + np.repeat(numbers(bias), len(value) // len(bias))


def random_dense(generator: np.random.Generator, sizes: list[int], *, scale: float = 1.0) -> list[dict[str, Any]]:
    pairs = pairwise(sizes)
    return dense(*[(f32(generator.normal(size=(n, m)) * scale), f32(generator.normal(size=n) * 0.3)) for m, n in pairs])


def f32(array: np.ndarray) -> np.ndarray:
    """Rounded to float32, and float64 again."""
    return array.astype(np.float32).astype(np.float64)


def every_op(generator: np.random.Generator, *, inexact: bool = False) -> list[dict[str, Any]]:
    """A small network with every op: two convolutions (strides, padding, dilation, groups), a residual, a concatenation, ..."""

    def normal(*shape: int) -> np.ndarray:
        return f32(generator.normal(size=shape) * 0.6)

    padded = np.full((2, 4, 2), -1)
    padded[:, 1:3] = np.arange(8).reshape(2, 2, 2)
    wider = np.full((2, 4, 3), -1)
    wider[:, 1:3, 1:2] = np.arange(4).reshape(2, 2, 1)
    nodes = [
        {"op": "input", "size": 8},
        scale([0], normal(8), bias=normal(8)),
        select([1], np.arange(8), bias=normal(8)),
        select([2], [3, 2, 1, 0, 4, 5, 6, 7]),
        {
            **conv(3, normal(2, 2, 3, 2), (2, 4, 2), stride=(1, 2), dilation=(1, 1), bias=normal(2)),
            "gather": i32(*padded.ravel()),
        },
        {"op": "relu", "inputs": [4]},  # (2, 2, 1)
        select([5], wider.ravel()),
        conv(6, normal(4, 1, 2, 3), (2, 4, 3), stride=(1, 1), dilation=(2, 1)),  # two groups
        {"op": "relu", "inputs": [7]},  # (4, 2, 1)
        affine([8], normal(8, 8)),
        add(9, 0, 8),
        {"op": "relu", "inputs": [10]},
        select([11], [3, -1, 0, 2, 7, 5]),
        select([12], [0, 1, 2, 0, 4, 5], bias=normal(6)),
        affine([13], normal(2, 3), normal(2), columns=2),  # (2, 2)
        select([14, 13], [0, 1, 4, 5, 6, 2, 3, 7, 8, 9]),
        {"op": "relu", "inputs": [15]},
        affine([16], normal(3, 10), normal(3)),
        add(17, 17, 3),
    ]
    if inexact:
        nodes[4].update(weight_ulps=2**18, bias_error=np.array([1e-9, 0.0]))
        nodes[9].update(bias_error=np.full(8, 1e-10))
    return nodes


def nasty(generator: np.random.Generator, kind: str) -> list[dict[str, Any]]:
    """Networks on which careless rounding shows."""
    nodes = random_dense(generator, {"deep": [3] + [4] * 50 + [2]}.get(kind, [3, 6, 6, 2]))
    linear = [node for node in nodes if node["op"] == "linear"]
    if kind == "cancelling":
        linear[0]["weight"][0, 1::2] = linear[0]["weight"][0, ::2]
        linear[1]["weight"][0, :, ::2] *= 1e17
        linear[1]["weight"][0, :, 1::2] = -linear[1]["weight"][0, :, ::2] * (1 + 2.0**-52)
        linear[2]["weight"][0, 1] = -linear[2]["weight"][0, 0] * (1 + 2.0**-30)
    elif kind == "subnormal":
        linear[0]["weight"] *= 1e-160
        linear[0]["bias"] *= 1e-310
        linear[1]["weight"] *= 1e-160
        linear[2]["weight"] *= 1e150
    elif kind == "tiny biases":
        for node in linear:
            node["bias"] = np.full_like(node["bias"], 1e-30)
    elif kind == "huge and tiny":
        linear[0]["weight"] *= 10.0 ** generator.integers(-150, 150, size=linear[0]["weight"].shape)
        linear[1]["weight"] *= 10.0 ** generator.integers(-150, 140, size=linear[1]["weight"].shape)
    return nodes
