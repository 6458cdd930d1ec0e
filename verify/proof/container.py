"""Writing the container of network files and certificates (check/FORMAT.md, section 1)."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MAGIC = b"reluprf3"
DTYPES: Mapping[str, str] = {
    "float64": "F64",
    "float32": "F32",
    "uint16": "U16",
    "uint8": "U8",
    "int32": "I32",
}

LEVEL = 6  # of zlib: higher ones take several times as long for a few per cent


def container(document: Mapping[str, Any]) -> bytes:
    """The file of a document that holds arrays, not compressed. Equal arrays are stored once.

    Raises KeyError for an array of a dtype without a name.
    """
    shapes: list[Any] = []
    parts: list[bytes] = []
    known: dict[bytes, str] = {}

    def named(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
            entry, data = [DTYPES[array.dtype.name], list(value.shape)], array.tobytes()
            key = hashlib.sha256(json.dumps(entry).encode() + data).digest()
            if key not in known:
                known[key] = f"#{len(shapes)}"
                shapes.append(entry)
                parts.append(data)
            return known[key]
        if isinstance(value, Mapping):
            return {k: named(value[k]) for k in sorted(value)}
        return [named(v) for v in value] if isinstance(value, (list, tuple)) else value

    body = {**named(document), "arrays": shapes}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    file = b"".join([MAGIC, len(text).to_bytes(8, "little"), text, *parts])
    return file + hashlib.sha256(file).digest()


def compressed(data: bytes) -> bytes:
    """The container as a zlib stream."""
    return zlib.compress(data, LEVEL)
