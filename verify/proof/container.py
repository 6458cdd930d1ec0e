"""Writing the container of network files and certificates: safetensors, compressed as a whole (check/FORMAT.md, section 1)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DTYPES: Mapping[str, str] = {
    "float64": "F64",
    "float32": "F32",
    "uint16": "U16",
    "uint8": "U8",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
}

LEVEL = 6  # of zlib: higher ones take several times as long for a few per cent


def text(document: Mapping[str, Any]) -> str:
    """The document as JSON without spaces, its keys sorted."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def container(document: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """The file, not compressed; the arrays in the order of the mapping. Raises KeyError for a dtype without a name."""
    header: dict[str, Any] = {"__metadata__": {"reluproof": text(document)}}
    parts, offset = [], 0
    for name, array in arrays.items():
        data = little(array).tobytes()
        header[name] = {
            "data_offsets": [offset, offset + len(data)],
            "dtype": DTYPES[array.dtype.name],
            "shape": list(array.shape),
        }
        parts.append(data)
        offset += len(data)
    head = text(header).encode("ascii")
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


def compressed(data: bytes) -> bytes:
    """The container as a zlib stream."""
    return zlib.compress(data, LEVEL)


def little(array: Array) -> Array:
    """The array in row-major order and little endian."""
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
