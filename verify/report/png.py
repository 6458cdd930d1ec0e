"""A PNG file from an array, written with zlib alone: the report needs no picture library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 3: 2}  # grey, RGB


def data_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """The picture as a ``data:`` address. ``pixels``: (H, W, 1) grey or (H, W, 3) RGB, of 8 bits."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The picture as a file; the same pixels give the same bytes."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    lines = pixels.reshape(height, width * channels)
    raw = b"".join(b"\0" + line.tobytes() for line in lines)  # each line begins with its filter: none
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 9)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
