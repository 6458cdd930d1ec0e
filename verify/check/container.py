"""The container: bytes -> a document and named arrays, refused before anything is allocated that the file cannot fill."""

from __future__ import annotations

import json
import lzma
import math
import re
import struct
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.reasons import Rejected, Unreadable, require

MAX_BYTES = 2**30  # after decompression
_MAX_HEADER = 2**26
_MAX_MARKS = 2**20  # of the characters that begin a JSON value: bounds the memory of the parsed text
_XZ_MEMORY = 2**27
_DTYPES = {"F64": "<f8", "F32": "<f4", "U16": "<u2", "U8": "<u1", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1"}
_NAME = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class Stored:
    """An array of a container: its dtype's name, its shape, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


@dataclass(frozen=True)
class Container:
    """A document and its arrays."""

    document: Any
    arrays: dict[str, Stored]

    def array(self, name: Any, dtypes: str, shape: tuple[int | None, ...] | None, what: str) -> NDArray[Any]:
        """The array called ``name``: one of the ``dtypes``, of the ``shape`` (None: any size there), and finite."""
        require(type(name) is str and name in self.arrays, f"{what} names {name!r:.80}, which is no array of the file")
        stored = self.arrays[name]
        require(stored.dtype in dtypes.split(), f"{what} is {stored.dtype}, not {dtypes.replace(' ', ' or ')}")
        fits = shape is None or (
            len(shape) == len(stored.shape) and all(s in (None, t) for s, t in zip(shape, stored.shape, strict=True))
        )
        require(fits, f"{what} has the shape {stored.shape}, not {shape}")
        array = np.frombuffer(stored.data, _DTYPES[stored.dtype]).reshape(stored.shape)
        require(
            stored.dtype[0] != "F" or bool(np.isfinite(array).all()), f"{what} has an entry that is not a finite number"
        )
        return array

    def content(self) -> str:
        """The SHA-256 of the document but its key ``content``, and of every array in the order of the names."""
        document = {key: value for key, value in self.document.items() if key != "content"}
        digest = sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
        for name, stored in sorted(self.arrays.items()):
            shape = json.dumps(stored.shape, separators=(",", ":"))
            digest.update(f"\n{name} {stored.dtype} {shape}\n".encode())
            digest.update(stored.data)
        return digest.hexdigest()


def is_container(data: bytes) -> bool:
    """Whether the bytes begin as a container does, compressed or not."""
    return _is_plain(data) or data[:6] == b"\xfd7zXZ\x00" or data[:1] == b"x"


def read_container(data: bytes, *, max_bytes: int, form: str) -> Container:
    """The container in ``data``, whose document has the format ``form`` and version 1. Raises `Unreadable`."""
    if not is_container(data):
        raise Unreadable("not a container: neither xz, zlib nor a header")
    raw = memoryview(data if _is_plain(data) else _decompressed(data, max_bytes))
    if len(raw) > max_bytes:
        raise Unreadable(f"{len(raw)} bytes, over the limit of {max_bytes}")
    if not _is_plain(bytes(raw[:9])):
        raise Unreadable("what was compressed is not a container")
    (size,) = struct.unpack("<Q", raw[:8])
    if size > min(_MAX_HEADER, len(raw) - 8):
        raise Unreadable(f"a header of {size} bytes in a file of {len(raw)}, at most {_MAX_HEADER} being allowed")
    header = _json(bytes(raw[8 : 8 + size]), "the header")
    metadata = header.pop("__metadata__", None) if type(header) is dict else None
    if type(metadata) is not dict or set(metadata) != {"reluproof"} or type(metadata["reluproof"]) is not str:
        raise Unreadable('the header has no "__metadata__" that holds just "reluproof", a text')
    arrays = _arrays(header, raw[8 + size :])
    document = _json(metadata["reluproof"].encode(errors="replace"), "the document")
    if type(document) is not dict or document.get("format") != form or document.get("version") != 1:
        raise Unreadable(f"the document is not a {form} of version 1")
    return Container(document, arrays)


def _is_plain(data: bytes) -> bool:
    """The header's length is below 2^32 and a JSON object follows. (Its first byte may be 78: told from zlib by the rest.)"""
    return data[4:9] == b"\0\0\0\0{"


def _decompressed(data: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes: decompression stops there."""
    try:
        if data[:1] == b"x":
            zlib_stream = zlib.decompressobj()
            raw = zlib_stream.decompress(data, limit + 1)
            done, rest = zlib_stream.eof, zlib_stream.unused_data
        else:
            xz_stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
            raw = xz_stream.decompress(data, limit + 1)
            done, rest = xz_stream.eof, xz_stream.unused_data
    except (zlib.error, lzma.LZMAError) as error:
        raise Unreadable(f"the compressed stream is damaged: {error}") from None
    if len(raw) > limit:
        raise Unreadable(f"over the limit of {limit} bytes when decompressed")
    if not done or rest:
        raise Unreadable("the compressed stream is cut short" if not done else "bytes follow the compressed stream")
    return raw


def _json(text: bytes, what: str) -> Any:
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MAX_MARKS:
        raise Unreadable(f"{what} has over {_MAX_MARKS} JSON values")
    try:
        return json.loads(
            text.decode("ascii"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} is not JSON as it should be: {error!s:.200}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice in an object")
    return result


def _integer(text: str) -> int:
    if len(text) > 19:
        raise ValueError("an integer of more than 18 digits")
    return int(text)


def _no_number(text: str) -> Any:
    raise ValueError(f"the number {text:.40} is not an integer")


def _arrays(header: dict[str, Any], data: memoryview) -> dict[str, Stored]:
    arrays: dict[str, Stored] = {}
    position = 0
    for name, entry in header.items():
        if not _NAME.fullmatch(name) or type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise Unreadable(f"the header's entry {name!r:.80} is not an array's name, dtype, shape and offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if type(dtype) is not str or dtype not in _DTYPES:
            raise Unreadable(f"array {name:.80} has the unknown dtype {dtype!r:.40}")
        if not (_sizes(shape) and len(shape) <= 8 and _sizes(offsets) and len(offsets) == 2):
            raise Unreadable(f"array {name:.80} has sizes or offsets that are not integers >= 0")
        begin, end = offsets
        if end > len(data) or end - begin != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
            raise Unreadable(f"array {name:.80} of the shape {shape} is not the bytes {begin} to {end} of {len(data)}")
        arrays[name] = Stored(dtype, tuple(shape), data[begin:end])
    for begin, end in sorted(tuple(entry["data_offsets"]) for entry in header.values()):
        if begin != position:
            raise Unreadable(f"a gap or an overlap between arrays at byte {begin}, expected {position}")
        position = end
    if position != len(data):
        raise Unreadable(f"{len(data) - position} bytes follow the last array")
    return arrays


def _sizes(value: Any) -> bool:
    return type(value) is list and all(type(item) is int and item >= 0 for item in value)


def exact_text(text: Any, what: str) -> str:
    """A number as text, as ``Fraction`` reads it: ``-3``, ``0.1``, ``8/255``. No exponents: a short text, a small number."""
    ok = type(text) is str and len(text) <= 2000 and re.fullmatch(r"-?\d+(\.\d+|/0*[1-9]\d*)?", text, re.ASCII)
    if not ok:
        raise Rejected(f'{what} is {text!r:.80}, not a number such as "0.1", "8/255" or "-3"')
    result: str = text
    return result
