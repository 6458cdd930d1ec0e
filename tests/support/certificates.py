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
    """A document and its arrays, which it may hold in place of their names; ``data()`` gives the bytes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.document = self.named(document)

    def named(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            self.arrays[str(len(self.arrays))] = value
            return str(len(self.arrays) - 1)
        if isinstance(value, dict):
            # sorted by the order of the nodes' arrays, so that a network is canonical
            order = ["weight", "bias", "bias_error", "index"]
            keys = sorted(value, key=lambda key: order.index(key) if key in order else -1)
            return {key: self.named(value[key]) for key in keys}
        return [self.named(item) for item in value] if isinstance(value, (list, tuple)) else value

    def content(self) -> str:
        digest = sha256(dumps({k: v for k, v in self.document.items() if k != "content"}).encode())
        for name in sorted(self.arrays):
            array = self.arrays[name]
            digest.update(
                f"\n{name} {DTYPES[array.dtype.str[1:]]} {dumps(list(array.shape))}\n".encode() + array.tobytes()
            )
        return digest.hexdigest()

    def data(self, *, hashed: bool = True) -> bytes:
        if hashed and "content" in self.document:
            self.document["content"] = self.content()
        header: dict[str, Any] = {"__metadata__": {"reluproof": dumps(self.document)}}
        position = 0
        for name, array in self.arrays.items():
            end = position + array.nbytes
            header[name] = {
                "dtype": DTYPES[array.dtype.str[1:]],
                "shape": list(array.shape),
                "data_offsets": [position, end],
            }
            position = end
        return container(dumps(header), b"".join(array.tobytes() for array in self.arrays.values()))


def container(header: str, arrays: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + arrays


def network(*nodes: dict[str, Any]) -> bytes:
    """The canonical file of nodes, whose arrays are F32 where that is exact."""
    return File({"format": "reluproof network", "version": 1, "nodes": [_exact(node) for node in nodes]}).data()


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
    nodes: list[dict[str, Any]] = [{"op": "input", "shape": [int(np.shape(layers[0][0])[1])]}]
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
    targets = None
    if label is not None:
        targets = [t for t in range(outputs) if t != label]
        C = np.zeros((len(targets), outputs))
        C[:, label] = 1
        C[np.arange(len(targets)), targets] = -1
    C = np.asarray(C, dtype=np.float64)
    rows = np.ones(len(C), dtype=np.int32) if rows is None else np.asarray(rows, dtype=np.int32)
    claim = {
        "network": {"identity": sha256(net).hexdigest(), "file": file},
        "semantics": semantics,
        "regions": regions,
        "region_of": np.zeros(len(rows), dtype=np.int32) if region_of is None else np.asarray(region_of, dtype=np.int32),
        "rows": rows,
        "C": C,
        "d": np.zeros(len(C)) if d is None else np.asarray(d, dtype=np.float64),
        "label": label,
        "targets": targets,
        "margins": np.zeros(len(rows), dtype=np.float32) if margins is None else np.asarray(margins, dtype=np.float32),
    }
    made_by = {"program": "the tests"}
    head = {"format": "reluproof certificate", "version": 1, "content": ""}
    return File({**head, "claim": claim, "steps": deepcopy(steps), "made_by": made_by})


def box(lower: Any, upper: Any) -> dict[str, Any]:
    return {"kind": "box", "lower": np.asarray(lower, dtype=np.float64), "upper": np.asarray(upper, dtype=np.float64)}


def ball(centre: Any, epsilon: str, *, norm: str = "linf", clip: Any = None) -> dict[str, Any]:
    centre = np.asarray(centre, dtype=np.float64)
    return {"kind": "ball", "norm": norm, "centre": centre, "epsilon": epsilon, "clip": clip}


def i32(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def mix(*rows: Any) -> dict[str, Any]:
    return {"mix": np.array(rows, dtype=np.float64)}
