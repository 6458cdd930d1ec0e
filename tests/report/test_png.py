"""The pictures' own file format: any reader gives the pixels back."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest

from verify.report.png import data_uri, png


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 1), (4, 2, 3)])
def test_pixels_come_back_in_a_browser(page, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    height, width, _ = shape
    found = page.run(
        "(async () => { const picture = new Image(); "
        f"picture.src = {data_uri(pixels)!r}; await picture.decode();"
        "const canvas = document.createElement('canvas'); [canvas.width, canvas.height] = [picture.width, picture.height];"
        "const paper = canvas.getContext('2d'); paper.drawImage(picture, 0, 0);"
        "return [...paper.getImageData(0, 0, picture.width, picture.height).data]; })()"
    )
    seen = np.array(found).reshape(height, width, 4)
    assert (seen[:, :, :3] == pixels).all() and (seen[:, :, 3] == 255).all()


def test_every_chunk_has_its_checksum():
    content = png(np.zeros((2, 2, 3), dtype=np.uint8))
    place, kinds = 8, []
    while place < len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        chunk = content[place + 4 : place + 8 + size]
        assert struct.unpack(">I", content[place + 8 + size : place + 12 + size]) == (zlib.crc32(chunk),)
        kinds.append(chunk[:4])
        place += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_an_address_is_base64():
    head, _, body = data_uri(np.zeros((1, 1, 1), dtype=np.uint8)).partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(body).startswith(b"\x89PNG")
