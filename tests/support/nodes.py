"""Networks of FORMAT.md's nodes: random and nasty ones, evaluated point by point in plain loops, in fractions or float32."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from support.certificates import dense

Number = Callable[[Any], Any]


def evaluate(nodes: list[dict[str, Any]], x: np.ndarray, number: Number = Fraction) -> np.ndarray:
    """The output for one input, every operation done in numbers of type ``number``, one after another."""

    def numbers(array: Any) -> np.ndarray:
        flat = [number(value) for value in np.asarray(array, dtype=np.float64).ravel().tolist()]
        return np.array([*flat, None], dtype=object)[:-1].reshape(np.shape(array))

    values: list[np.ndarray] = [x.ravel()]
    for node in nodes[1:]:
        inputs = [values[i] for i in node["inputs"]]
        v = inputs[0]
        if node["op"] == "relu":
            value = np.where(v > 0, v, number(0))
        elif node["op"] == "add":
            value = v + inputs[1]
        elif node["op"] == "select":
            v = np.concatenate(inputs)
            flat = [v[i] if i >= 0 else number(0) for i in node["index"].tolist()]
            value = np.array([*flat, None], dtype=object)[:-1]
        elif node["op"] == "scale":
            value = v * numbers(node["weight"])
        elif node["op"] == "affine":
            value = (numbers(node["weight"]) @ v.reshape(node["weight"].shape[1], -1)).ravel()
        else:
            value = convolved(node, numbers(node["weight"]), v.reshape(node["shape"]), number).ravel()
        bias = node.get("bias")
        if bias is not None:
            value = value + np.repeat(numbers(bias), len(value) // len(bias))
        values.append(value)
    return values[-1]


def convolved(node: dict[str, Any], weight: np.ndarray, v: np.ndarray, number: Number) -> np.ndarray:
    outs, ins, high, wide = weight.shape
    (s, t), (p, q), (a, b), groups = node["stride"], node["padding"], node["dilation"], v.shape[0] // ins
    rows = (v.shape[1] + 2 * p - a * (high - 1) - 1) // s + 1
    columns = (v.shape[2] + 2 * q - b * (wide - 1) - 1) // t + 1
    out = np.full((outs, rows, columns), number(0), dtype=object)
    for o, i, j in np.ndindex(out.shape):
        for c, k, m in np.ndindex(ins, high, wide):
            row, column = i * s + k * a - p, j * t + m * b - q
            if 0 <= row < v.shape[1] and 0 <= column < v.shape[2]:
                out[o, i, j] = out[o, i, j] + weight[o, c, k, m] * v[o * groups // outs * ins + c, row, column]
    return out


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

    conv = {"op": "conv", "shape": [2, 2, 2], "stride": [1, 2], "padding": [1, 0], "dilation": [1, 1]}
    grouped = {"op": "conv", "shape": [2, 2, 1], "stride": [1, 1], "padding": [1, 1], "dilation": [2, 1]}  # two groups
    turned = {"op": "select", "index": np.array([3, -1, 0, 3, 7, 5], dtype=np.int64)}
    nodes = [
        {"op": "input", "size": 8},
        {"op": "scale", "inputs": [0], "weight": normal(8), "bias": normal(8)},
        {"op": "select", "inputs": [1], "index": np.arange(8), "bias": normal(8)},
        {**conv, "inputs": [2], "weight": normal(2, 2, 3, 2), "bias": normal(2)},
        {"op": "relu", "inputs": [3]},  # (2, 2, 1)
        {**grouped, "inputs": [4], "weight": normal(4, 1, 2, 3)},  # (4, 2, 1)
        {"op": "relu", "inputs": [5]},
        {"op": "affine", "inputs": [6], "weight": normal(8, 8)},
        {"op": "add", "inputs": [7, 0]},
        {"op": "relu", "inputs": [8]},
        {**turned, "inputs": [9], "bias": normal(6)},
        {"op": "affine", "inputs": [10], "weight": normal(2, 3), "bias": normal(2)},  # (2, 2)
        {"op": "select", "inputs": [11, 10], "index": np.array([0, 1, 4, 5, 6, 2, 3, 7, 8, 9])},
        {"op": "relu", "inputs": [12]},
        {"op": "affine", "inputs": [13], "weight": normal(3, 10), "bias": normal(3)},
        {"op": "add", "inputs": [14, 14]},
    ]
    if inexact:
        nodes[3].update(weight_ulps=2**18, bias_error=np.array([1e-9, 0.0]))
        nodes[7].update(bias_error=np.full(8, 1e-10))
    return nodes


def nasty(generator: np.random.Generator, kind: str) -> list[dict[str, Any]]:
    """Networks on which careless rounding shows."""
    nodes = random_dense(generator, {"deep": [3] + [4] * 50 + [2]}.get(kind, [3, 6, 6, 2]))
    affine = [node for node in nodes if node["op"] == "affine"]
    if kind == "cancelling":
        affine[0]["weight"][1::2] = affine[0]["weight"][::2]
        affine[1]["weight"][:, ::2] *= 1e17
        affine[1]["weight"][:, 1::2] = -affine[1]["weight"][:, ::2] * (1 + 2.0**-52)
        affine[2]["weight"][1] = -affine[2]["weight"][0] * (1 + 2.0**-30)
    elif kind == "subnormal":
        affine[0]["weight"] *= 1e-160
        affine[0]["bias"] *= 1e-310
        affine[1]["weight"] *= 1e-160
        affine[2]["weight"] *= 1e150
    elif kind == "tiny biases":
        for node in affine:
            node["bias"] = np.full_like(node["bias"], 1e-30)
    elif kind == "huge and tiny":
        affine[0]["weight"] *= 10.0 ** generator.integers(-150, 150, size=affine[0]["weight"].shape)
        affine[1]["weight"] *= 10.0 ** generator.integers(-150, 140, size=affine[1]["weight"].shape)
    return nodes
