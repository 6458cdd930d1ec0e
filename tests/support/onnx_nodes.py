"""Evaluation in float64 of the nodes of verify/check/FORMAT.md, section 2: the second opinion that readers are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np


def evaluate(nodes: list[dict[str, Any]], x: np.ndarray) -> np.ndarray:
    """The value of the last node for one input; raises AssertionError for nodes that are not of the format."""
    values: list[np.ndarray] = []
    for position, node in enumerate(nodes):
        assert set(node) <= KEYS[node["op"]], node
        assert node["op"] == "input" or all(0 <= i < position for i in node["inputs"])
        args = [x.astype(np.float64).ravel()] if node["op"] == "input" else [values[i] for i in node["inputs"]]
        values.append(RULES[node["op"]](node, *args))
    assert values[-1].ndim == 1
    return values[-1]


def relu_sizes(nodes: list[dict[str, Any]]) -> list[int]:
    """The numbers of neurons of the ReLUs, in order."""
    sizes: list[int] = []

    def counted(node: dict[str, Any], v: np.ndarray) -> np.ndarray:
        sizes.append(v.size)
        return np.maximum(v, 0)

    values: list[np.ndarray] = []
    for node in nodes:
        args = [np.zeros(node["size"])] if node["op"] == "input" else [values[i] for i in node["inputs"]]
        values.append((counted if node["op"] == "relu" else RULES[node["op"]])(node, *args))
    return sizes


def _input(node, x):
    assert x.shape == (node["size"],)
    return x


def _affine(node, v):
    weight = node["weight"]
    return _shifted(node, (weight.astype(np.float64) @ v.reshape(weight.shape[1], -1)).ravel(), len(weight))


def _shifted(node, v, rows):
    bias = node.get("bias", np.zeros(1))
    assert "bias" not in node or len(bias) in (rows, len(v))
    return v + np.repeat(bias, len(v) // len(bias))


def _conv(node, v):
    weight, v = node["weight"].astype(np.float64), v.reshape(node["shape"])
    (sy, sx), (py, px), (dy, dx) = node["stride"], node["padding"], node["dilation"]
    o, each, kh, kw = weight.shape
    groups = v.shape[0] // each
    assert each * groups == v.shape[0] and o % groups == 0
    padded = np.pad(v, ((0, 0), (py, py), (px, px)))
    h, w = (padded.shape[1] - dy * (kh - 1) - 1) // sy + 1, (padded.shape[2] - dx * (kw - 1) - 1) // sx + 1
    out = np.zeros((o, h, w))
    for g in range(groups):
        part, filters = padded[g * each : (g + 1) * each], slice(g * o // groups, (g + 1) * o // groups)
        for y in range(kh):
            for x in range(kw):
                seen = part[:, y * dy : y * dy + sy * (h - 1) + 1 : sy, x * dx : x * dx + sx * (w - 1) + 1 : sx]
                out[filters] += np.einsum("chw,oc->ohw", seen, weight[filters, :, y, x])
    return _shifted(node, out.ravel(), o)


def _scale(node, v):
    assert node["weight"].shape == v.shape
    return _shifted(node, v * node["weight"], len(v))


def _select(node, v):
    assert node["index"].dtype == np.int64 and node["index"].min() >= -1
    return np.where(node["index"] < 0, 0.0, v[node["index"]])


def _relu(node, v):
    return np.maximum(v, 0)


def _add(node, v, w):
    assert v.shape == w.shape
    return v + w


RULES = {
    "input": _input, "affine": _affine, "conv": _conv, "scale": _scale, "select": _select, "relu": _relu, "add": _add,
}  # fmt: skip
_LINEAR = {"op", "inputs", "weight", "bias"}
KEYS = {
    "input": {"op", "size"},
    "affine": _LINEAR,
    "conv": _LINEAR | {"shape", "stride", "padding", "dilation"},
    "scale": _LINEAR | {"weight_ulps", "bias_error"},
    "select": {"op", "inputs", "index"},
    "relu": {"op", "inputs"},
    "add": {"op", "inputs"},
}
