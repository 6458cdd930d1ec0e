"""From a claim and its steps to the file of a certificate (check/FORMAT.md, section 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from verify.proof.container import DTYPES, Array, container, little, text

Step: TypeAlias = dict[str, Any]
"""One step, with arrays where the document has their names."""


def document(claim: Mapping[str, Any], steps: Sequence[Step], made_by: Mapping[str, str]) -> bytes:
    """The certificate's file, not compressed. Equal arrays are stored once."""
    arrays: dict[str, Array] = {}
    known: dict[bytes, str] = {}

    def named(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            array = little(value)
            key = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).digest()
            if key not in known:
                known[key] = f"{len(arrays):06d}"
                arrays[known[key]] = array
            return known[key]
        if isinstance(value, Mapping):
            return {k: named(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [named(v) for v in value]
        return value

    body = {
        "format": "reluproof certificate",
        "version": 1,
        "claim": named(claim),
        "steps": named(steps),
        "made_by": dict(made_by),
    }
    body["content"] = content(body, arrays)
    return container(body, arrays)


def content(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """SHA-256 over the document without ``content`` and all arrays, as the format says."""
    hasher = hashlib.sha256(text({k: v for k, v in body.items() if k != "content"}).encode("ascii"))
    for name in sorted(arrays):
        array = arrays[name]
        shape = "[" + ",".join(map(str, array.shape)) + "]"
        hasher.update(f"\n{name} {DTYPES[array.dtype.name]} {shape}\n".encode("ascii"))
        hasher.update(array.tobytes())
    return hasher.hexdigest()
