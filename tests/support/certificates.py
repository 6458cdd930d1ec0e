"""Certificates built by hand, byte by byte: networks, regions, clauses and steps, with none of the library's code."""

from __future__ import annotations

import json
import re
import struct
from copy import deepcopy
from hashlib import sha256
from typing import Any

import numpy as np

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
            for name, known in self.arrays.items():  # equal arrays are stored once
                if (known.dtype, known.shape, known.tobytes()) == (value.dtype, value.shape, value.tobytes()):
                    return name
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
    data = b"reluprf3" + struct.pack("<Q", len(text)) + text.encode() + arrays
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


def i32(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def select(inputs: list[int], index: Any, **more: Any) -> dict[str, Any]:
    """A linear node without weight; entries may be read again and again."""
    gather = np.asarray(index, dtype=np.int32).ravel()
    each, read = np.arange(len(gather), dtype=np.int32), gather[gather >= 0]
    taps, bases = (each[:, None], each[:1]) if len(np.unique(read)) < len(read) else (each[None, :1], each)
    return {"op": "linear", "inputs": inputs, "gather": gather, "taps": taps, "bases": bases, **more}


def affine(inputs: list[int], weight: Any, bias: Any = None, *, columns: int = 1, **more: Any) -> dict[str, Any]:
    """A linear node that is a matrix, applied to the first axis of its inputs as so many columns."""
    weight = np.asarray(weight, dtype=np.float64)
    taps = columns * np.arange(weight.shape[1], dtype=np.int32)[None]
    given = {} if bias is None else {"bias": np.asarray(bias, dtype=np.float64)}
    bases = np.arange(columns, dtype=np.int32)
    return {"op": "linear", "inputs": inputs, "taps": taps, "bases": bases, "weight": weight[None], **given, **more}


def scale(inputs: list[int], weight: Any, **more: Any) -> dict[str, Any]:
    """A linear node that multiplies entry by entry."""
    weight = np.asarray(weight, dtype=np.float64).reshape(-1, 1, 1)
    taps = np.arange(len(weight), dtype=np.int32)[:, None]
    return {"op": "linear", "inputs": inputs, "taps": taps, "bases": i32(0), "weight": weight, **more}


def add(first: int, second: int, size: int) -> dict[str, Any]:
    """A linear node that is a sum of two values."""
    return affine([first, second], [[1.0, 1.0]], columns=size)


def conv(source: int, weight: Any, shape: Any, *, stride: Any, dilation: Any, **more: Any) -> dict[str, Any]:
    """A linear node that is a convolution of a value (c, H, W) without padding, in as many groups as fit."""
    outs, each, high, wide = np.shape(weight)
    (c, H, W), (s, t), (d, e), groups = shape, stride, dilation, shape[0] // each
    at = np.arange(c * H * W, dtype=np.int32).reshape(c, H, W)
    taps = at[:, : d * (high - 1) + 1 : d, : e * (wide - 1) + 1 : e].reshape(groups, -1)
    bases = at[0, : H - d * (high - 1) : s, : W - e * (wide - 1) : t].ravel()
    given = np.asarray(weight, dtype=np.float64).reshape(groups, outs // groups, -1)
    return {"op": "linear", "inputs": [source], "taps": taps, "bases": bases, "weight": given, **more}


def dense(*layers: tuple[Any, Any]) -> list[dict[str, Any]]:
    """Nodes of a fully connected network: (weight, bias) pairs with ReLUs between."""
    nodes: list[dict[str, Any]] = [{"op": "input", "size": int(np.shape(layers[0][0])[1])}]
    for k, (weight, bias) in enumerate(layers):
        if k:
            nodes.append({"op": "relu", "inputs": [len(nodes) - 1]})
        nodes.append(affine([len(nodes) - 1], weight, bias))
    return nodes


def certificate(
    net: bytes,
    region: dict[str, Any] | list[dict[str, Any]],
    steps: list[Any],
    *,
    rows: Any = None,
    C: Any = None,
    d: Any = None,
    label: int | None = None,
    outputs: int = 2,
    margins: Any = None,
    semantics: str = "real",
    file: str | None = None,
) -> File:
    """A certificate; for a ``label`` the clauses are those of all other outputs.

    With a list of regions, steps, rows, C, d and margins are lists of those of each.
    """
    if label is not None:
        targets = [t for t in range(outputs) if t != label]
        C = np.zeros((len(targets), outputs))
        C[:, label] = 1
        C[np.arange(len(targets)), targets] = -1
    several = isinstance(region, list)
    given = [v if several and v is not None else [v] * (len(region) if several else 1) for v in (rows, C, d, margins)]
    parts = [_part(*one) for one in zip(region if several else [region], *given, strict=True)]
    claim = {
        "network": {"identity": sha256(net).hexdigest()} if file is None else {"identity": "", "file": file},
        "semantics": semantics,
        "parts": parts,
        **({} if label is None else {"label": label}),
    }
    document = {"claim": claim, "steps": deepcopy(steps if several else [steps]), "made_by": {"program": "the tests"}}
    return File({"format": "reluproof certificate", **document})


def _part(region: Any, rows: Any, C: Any, d: Any, margins: Any) -> dict[str, Any]:
    C = np.asarray(C, dtype=np.float64)
    rows = np.ones(len(C), dtype=np.int32) if rows is None else np.asarray(rows, dtype=np.int32)
    return {
        "region": region,
        "rows": rows,
        "C": C,
        "d": np.zeros(len(C)) if d is None else np.asarray(d, dtype=np.float64),
        "margins": np.zeros(len(rows), dtype=np.float32) if margins is None else np.asarray(margins, dtype=np.float32),
    }


def rejected(report: Any, reason: str) -> bool:
    """That a report is a rejection whose reason has this form."""
    assert not report.accepted
    assert report.readable
    assert re.search(reason, report.reason), report.reason
    return True


def box(lower: Any, upper: Any) -> dict[str, Any]:
    return {"kind": "box", "lower": np.asarray(lower, dtype=np.float64), "upper": np.asarray(upper, dtype=np.float64)}


def ball(centre: Any, epsilon: str, *, norm: str = "linf", clip: Any = None) -> dict[str, Any]:
    limits = {key: end for key, end in zip(("at_least", "at_most"), clip or (), strict=False) if end is not None}
    return {"kind": norm, "centre": np.asarray(centre, dtype=np.float64), "epsilon": epsilon, **limits}
