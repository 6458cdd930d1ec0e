"""Certificates built by hand, byte by byte: networks, regions, clauses and steps, with none of the library's code."""

from __future__ import annotations

import json
import struct
from copy import deepcopy
from hashlib import sha256
from typing import Any

import numpy as np

ENTER = {"op": "region", "number": 0}
DTYPES = {"f8": "F64", "f4": "F32", "u2": "U16", "u1": "U8", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8"}


def dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class File:
    """A document that may hold arrays, or the names of those that were stored before; ``data()`` gives the bytes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.document = self.named(document)

    def named(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            self.arrays[f"#{len(self.arrays)}"] = value
            return f"#{len(self.arrays) - 1}"
        if isinstance(value, dict):
            return {key: self.named(value[key]) for key in sorted(value)}  # so that a network is canonical
        return [self.named(item) for item in value] if isinstance(value, (list, tuple)) else value

    def data(self) -> bytes:
        shapes = [[DTYPES[array.dtype.str[1:]], list(array.shape)] for array in self.arrays.values()]
        text = dumps({**self.document, "arrays": shapes})
        return container(text, b"".join(array.tobytes() for array in self.arrays.values()))


def container(text: str, arrays: bytes = b"") -> bytes:
    data = b"reluprf2" + struct.pack("<Q", len(text)) + text.encode() + arrays
    return data + sha256(data).digest()


def network(*nodes: dict[str, Any]) -> bytes:
    """The canonical file of nodes, whose arrays are F32 where that is exact."""
    return File({"format": "reluproof network", "nodes": [_exact(node) for node in nodes]}).data()


def _exact(node: dict[str, Any]) -> dict[str, Any]:
    def array(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.dtype != np.float64:
            return value
        with np.errstate(all="ignore"):
            small = value.astype(np.float32)
        return small if (small == value).all() else value

    return {key: array(value) for key, value in node.items()}


def dense(*layers: tuple[Any, Any]) -> list[dict[str, Any]]:
    """Nodes of a fully connected network: (weight, bias) pairs with ReLUs between."""
    nodes: list[dict[str, Any]] = [{"op": "input", "size": int(np.shape(layers[0][0])[1])}]
    for k, (weight, bias) in enumerate(layers):
        if k:
            nodes.append({"op": "relu", "inputs": [len(nodes) - 1]})
        affine = {"op": "affine", "inputs": [len(nodes) - 1], "weight": np.asarray(weight, dtype=np.float64)}
        nodes.append(affine if bias is None else {**affine, "bias": np.asarray(bias, dtype=np.float64)})
    return nodes


def certificate(
    net: bytes,
    region: dict[str, Any] | list[dict[str, Any]],
    steps: list[dict[str, Any]],
    *,
    rows: Any = None,
    C: Any = None,
    d: Any = None,
    label: int | None = None,
    outputs: int = 2,
    margins: Any = None,
    semantics: str = "real",
    file: str | None = None,
    region_of: Any = None,
) -> File:
    """A certificate; for a ``label`` the clauses are those of all other outputs. A single region is entered before the steps."""
    regions = region if isinstance(region, list) else [region]
    steps = steps if isinstance(region, list) else [ENTER, *steps]
    if label is not None:
        targets = [t for t in range(outputs) if t != label]
        C = np.zeros((len(targets), outputs))
        C[:, label] = 1
        C[np.arange(len(targets)), targets] = -1
    C = np.asarray(C, dtype=np.float64)
    rows = np.ones(len(C), dtype=np.int32) if rows is None else np.asarray(rows, dtype=np.int32)
    claim = {
        "network": {"identity": sha256(net).hexdigest()} if file is None else {"identity": "", "file": file},
        "semantics": semantics,
        "regions": regions,
        "region_of": np.zeros(len(rows), dtype=np.int32)
        if region_of is None
        else np.asarray(region_of, dtype=np.int32),
        "rows": rows,
        "C": C,
        "d": np.zeros(len(C)) if d is None else np.asarray(d, dtype=np.float64),
        **({} if label is None else {"label": label}),
        "margins": np.zeros(len(rows), dtype=np.float32) if margins is None else np.asarray(margins, dtype=np.float32),
    }
    made_by = {"program": "the tests"}
    return File({"format": "reluproof certificate", "claim": claim, "steps": deepcopy(steps), "made_by": made_by})


def box(lower: Any, upper: Any) -> dict[str, Any]:
    return {"kind": "box", "lower": np.asarray(lower, dtype=np.float64), "upper": np.asarray(upper, dtype=np.float64)}


def ball(centre: Any, epsilon: str, *, norm: str = "linf", clip: Any = None) -> dict[str, Any]:
    limits = {key: end for key, end in zip(("at_least", "at_most"), clip or (), strict=False) if end is not None}
    return {"kind": norm, "centre": np.asarray(centre, dtype=np.float64), "epsilon": epsilon, **limits}


def i32(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def mix(*rows: Any) -> dict[str, Any]:
    return {"mix": np.array(rows, dtype=np.float64)}
