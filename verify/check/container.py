"""The container: bytes -> a document with its arrays in place, refused before anything is allocated that the file cannot fill."""

from __future__ import annotations

import json
import math
import zlib
from hashlib import sha256
from typing import Any

import numpy as np

from verify.check.forms import Unreadable, need

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
        whole = len(data) > limit or (stream.eof and not stream.unused_data)
        need(whole, "the compressed stream", "it is cut short, or bytes follow it")
    need(len(data) <= limit, "too large", f"over the limit of {limit} bytes when decompressed")
    return data


def read_container(raw: bytes, form: str) -> dict[str, Any]:
    """The document of the format ``form`` in a file, with arrays in place of ``#0``, ``#1``, ... Raises `Unreadable`."""
    need(raw[:8] == MAGIC and len(raw) >= 48, "not a container", f"it does not begin with {MAGIC.decode()}")
    need(sha256(raw[:-32]).digest() == raw[-32:], "damaged", "the SHA-256 at its end is not that of what is before it")
    size, document = int.from_bytes(raw[8:16], "little"), "the document is not as it should be"
    text, data = raw[16 : 16 + size], memoryview(raw)[16 + size : -32]
    fits = size <= len(raw) - 48 and sum(map(text.count, (b",", b"[", b"{"))) <= _MAX_MARKS
    need(fits, document, f"it has {size} bytes in a file of {len(raw)}, or over {_MAX_MARKS} JSON values")
    try:
        given = _parsed(text, {})
        need(type(given) is dict and given.get("format") == form, document, f"its format is not {form!r}")
        arrays, begin = dict[str, Any](), 0
        for k, (dtype, shape) in enumerate(given["arrays"]):
            good = type(shape) is list and len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)
            need(good, document, f"the shape {shape!r:.80} is not a list of at most 8 integers >= 0")
            end = begin + np.dtype(_DTYPES[dtype]).itemsize * math.prod(shape)
            need(end <= len(data), document, f"array {k}, {dtype} {shape}, ends at byte {end} of {len(data)}")
            arrays[f"#{k}"] = np.frombuffer(data[begin:end], _DTYPES[dtype]).reshape(shape)
            begin = end
        need(begin == len(data), document, f"{len(data) - begin} bytes follow the last array")
        return {key: value for key, value in _parsed(text, arrays).items() if key not in ("format", "arrays")}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unreadable(f"{document}: {type(error).__name__}: {error!s:.200}") from None


def _parsed(text: bytes, arrays: dict[str, Any]) -> Any:
    """The document with arrays in place of their names, which are values of objects."""

    def filled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(pairs)) == len(pairs), "the document", "a name occurs twice in an object")
        return {key: arrays.get(value, value) if type(value) is str else value for key, value in pairs}

    numbers: Any = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), _whole)
    return json.loads(text.decode("ascii"), object_pairs_hook=filled, **numbers)


def _whole(text: str) -> int:
    whole = len(text) <= 18 and text.lstrip("-").isdigit()
    need(whole, "the document", f"the number {text:.40} is not an integer of fewer than 18 digits")
    return int(text)
