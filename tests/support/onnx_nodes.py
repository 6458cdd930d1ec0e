"""Evaluation in float64 of the nodes of verify/check/FORMAT.md, section 2: the second opinion that readers are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np


def evaluate(nodes: list[dict[str, Any]], x: np.ndarray) -> np.ndarray:
    """The value of the last node for one input; raises AssertionError for nodes that are not of the format."""
    return _values(nodes, x)[-1]


def relu_sizes(nodes: list[dict[str, Any]]) -> list[int]:
    """The numbers of neurons of the ReLUs, in order."""
    values = _values(nodes, np.zeros(nodes[0]["size"]))
    return [v.size for v, node in zip(values, nodes, strict=True) if node["op"] == "relu"]


def _values(nodes: list[dict[str, Any]], x: np.ndarray) -> list[np.ndarray]:
    values: list[np.ndarray] = []
    for position, node in enumerate(nodes):
        assert set(node) <= KEYS[node["op"]], node
        if node["op"] == "input":
            values.append(x.astype(np.float64).ravel())
            assert values[0].shape == (node["size"],)
        else:
            assert all(0 <= i < position for i in node["inputs"])
            v = np.concatenate([values[i] for i in node["inputs"]])
            values.append(np.maximum(v, 0) if node["op"] == "relu" else _linear(node, v))
    return values


def _linear(node: dict[str, Any], v: np.ndarray) -> np.ndarray:
    """Group by group, as a matrix of what every window reads."""
    taps, bases, weight = node["taps"], node["bases"], node.get("weight")
    gather = node.get("gather", np.arange(len(v), dtype=np.int32))
    assert taps.dtype == bases.dtype == gather.dtype == np.int32 and taps.min() >= 0 and bases.min() >= 0
    assert -1 <= gather.min() <= gather.max() < len(v)
    padded = np.append(v, 0.0)[gather]
    seen = [padded[np.add.outer(row, bases)] for row in taps]
    parts = (
        seen if weight is None else [w.astype(np.float64) @ windows for w, windows in zip(weight, seen, strict=True)]
    )
    value = np.concatenate([part.ravel() for part in parts])
    bias = node.get("bias", np.zeros(1))
    assert value.size % len(bias) == 0
    return value + np.repeat(bias, value.size // len(bias))


KEYS = {
    "input": {"op", "size"},
    "relu": {"op", "inputs"},
    "linear": {"op", "inputs", "gather", "taps", "bases", "weight", "bias", "weight_ulps", "bias_error"},
}
