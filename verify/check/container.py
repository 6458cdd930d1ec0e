"""The container: bytes -> a document with its arrays in place, refused before anything is allocated that the file cannot fill."""

from __future__ import annotations

import json
import math
import zlib
from hashlib import sha256
from typing import Any

import numpy as np

from verify.check.forms import Unreadable

MAGIC = b"reluprf3"
MAX_BYTES = 2**30  # after decompression
_MAX_MARKS = 2**20  # of the characters that begin a JSON value: bounds the memory of the parsed text
_DTYPES = {"F64": "<f8", "F32": "<f4", "U16": "<u2", "U8": "<u1", "I32": "<i4"}


def decompressed(data: bytes, limit: int) -> bytes:
    """The file itself, if it is a zlib or gzip stream, of at most ``limit`` bytes: decompression stops there."""
    if data[:1] == b"x" or data[:2] == b"\x1f\x8b":
        stream = zlib.decompressobj(wbits=47)  # either header
        try:
            data = stream.decompress(data, limit + 1)
        except zlib.error as error:
            raise Unreadable(f"the compressed stream is damaged: {error}") from None
        if len(data) <= limit and (stream.unused_data or not stream.eof):
            raise Unreadable("the compressed stream is cut short, or bytes follow it")
    if len(data) > limit:
        raise Unreadable(f"over the limit of {limit} bytes when decompressed")
    return data


def read_container(raw: bytes, form: str) -> dict[str, Any]:
    """The document of the format ``form`` in a file, with arrays in place of ``#0``, ``#1``, ... Raises `Unreadable`."""
    if raw[:8] != MAGIC or len(raw) < 48:
        raise Unreadable(f"not a container: it does not begin with {MAGIC.decode()}")
    if sha256(raw[:-32]).digest() != raw[-32:]:
        raise Unreadable("damaged: the SHA-256 at its end is not that of what is before it")
    size = int.from_bytes(raw[8:16], "little")
    text, data = raw[16 : 16 + size], memoryview(raw)[16 + size : -32]
    if size > len(raw) - 48 or sum(map(text.count, (b",", b"[", b"{"))) > _MAX_MARKS:
        raise Unreadable(f"a document of {size} bytes in a file of {len(raw)}, or one of over {_MAX_MARKS} JSON values")
    try:
        document = _parsed(text, {})
        if type(document) is not dict or document.get("format") != form:
            raise ValueError(f"its format is not {form!r}")
        arrays, begin = dict[str, Any](), 0
        for k, (dtype, shape) in enumerate(document["arrays"]):
            if type(shape) is not list or len(shape) > 8 or not all(type(n) is int and n >= 0 for n in shape):
                raise ValueError(f"the shape {shape!r:.80} is not a list of at most 8 integers >= 0")
            end = begin + np.dtype(_DTYPES[dtype]).itemsize * math.prod(shape)
            if end > len(data):
                raise ValueError(f"array {k}, {dtype} {shape}, ends at byte {end} of {len(data)}")
            arrays[f"#{k}"] = np.frombuffer(data[begin:end], _DTYPES[dtype]).reshape(shape)
            begin = end
        if begin != len(data):
            raise ValueError(f"{len(data) - begin} bytes follow the last array")
        return {key: value for key, value in _parsed(text, arrays).items() if key not in ("format", "arrays")}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unreadable(f"the document is not as it should be: {type(error).__name__}: {error!s:.200}") from None


def _parsed(text: bytes, arrays: dict[str, Any]) -> Any:
    """The document with arrays in place of their names, which are values of objects."""

    def filled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name occurs twice in an object")
        return {key: arrays.get(value, value) if type(value) is str else value for key, value in pairs}

    numbers: Any = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), _whole)
    return json.loads(text.decode("ascii"), object_pairs_hook=filled, **numbers)


def _whole(text: str) -> int:
    if len(text) > 18 or not text.lstrip("-").isdigit():
        raise ValueError(f"the number {text:.40} is not an integer of fewer than 18 digits")
    return int(text)
