"""Damaged, huge and hostile files: refused with a reason, quickly, in little memory, and without an exception."""

from __future__ import annotations

import json
import lzma
import resource
import time
import zlib

import numpy as np
import pytest
from support.certificates import container, dumps
from support.worked_example import NETWORK, example

from verify.check import check

GOOD = example().data()


def test_compressed_files_are_read() -> None:
    for data in (zlib.compress(GOOD, 9), lzma.compress(GOOD)):
        assert check(data, NETWORK).accepted


def header_of(data: bytes) -> tuple[dict, bytes]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def changed(name: str, **entry: object) -> bytes:
    header, arrays = header_of(GOOD)
    header[name] = {**header.get(name, {}), **entry}
    return container(dumps(header), arrays)


def test_a_header_of_any_length_is_told_from_a_zlib_stream() -> None:
    header, arrays = header_of(GOOD)
    text = dumps(header)
    text += " " * ((0x78 - len(text)) % 256)
    data = container(text, arrays)
    assert data[:1] == b"x"
    assert check(data, NETWORK).accepted


SIZE = int.from_bytes(GOOD[:8], "little")
UNREADABLE = {
    "nothing": (b"", "not a container"),
    "text": (b"certificate", "not a container"),
    "a header that is longer than the file": (
        (2**32 - 1).to_bytes(8, "little")[:4] + b"\0\0\0\0{}",
        "a header of 4294967295 bytes",
    ),
    "a header over the limit": ((2**27).to_bytes(8, "little") + b"{" + bytes(100), "a header of 134217728 bytes"),
    "cut short": (GOOD[:-1], "is not the bytes"),
    "trailing bytes": (GOOD + b"\0", "1 bytes follow the last array"),
    "a name that occurs twice": (
        container(
            '{"0":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},' + GOOD[9 : 8 + SIZE].decode(), GOOD[8 + SIZE :]
        ),
        "a name occurs twice",
    ),
    "a huge shape": (changed("0", shape=[2**40, 2**20]), "is not the bytes"),
    "sizes that wrap around": (changed("0", shape=[2**32, 2**32, 4]), "is not the bytes"),
    "an integer of many digits": (container('{"0":' + "9" * 10**6 + "}"), "an integer of more than 18 digits"),
    "a negative size": (changed("0", shape=[-1]), "not integers >= 0"),
    "a size that is true": (changed("0", shape=[True]), "not integers >= 0"),
    "an unknown dtype": (changed("0", dtype="BF16"), "unknown dtype 'BF16'"),
    "an unknown key of an array": (changed("0", checksum=1), "is not an array's name, dtype, shape and offsets"),
    "arrays that overlap": (changed("1", data_offsets=[0, 4]), "array 1 of the shape|a gap or an overlap"),
    "a float in JSON": (container('{"a":1.5}'), "the number 1.5 is not an integer"),
    "NaN in JSON": (container('{"a":NaN}'), "the number NaN is not an integer"),
    "no metadata": (container("{}"), "__metadata__"),
    "metadata of others": (container('{"__metadata__":{"format":"pt"}}'), "__metadata__"),
    "a document that is no JSON": (container(dumps({"__metadata__": {"reluproof": "{"}})), "the document is not JSON"),
    "another format": (NETWORK, "the document is not a reluproof certificate of version 1"),
    "JSON that is nested deeply": (container('{"a":' + "[" * 200000), "the header is not JSON"),
    "JSON of many values": (container('{"a":[' + "0," * 2**20), "over 1048576 JSON values"),
    "a document of many values": (
        container(dumps({"__metadata__": {"reluproof": "[" + "[]," * 2**20}})),
        "JSON values",
    ),
    "a zlib stream cut short": (zlib.compress(GOOD)[:-5], "cut short"),
    "bytes after a zlib stream": (zlib.compress(GOOD) + b"x", "bytes follow the compressed stream"),
    "bytes after an xz stream": (lzma.compress(GOOD) + b"x", "bytes follow the compressed stream"),
    "a damaged xz stream": (lzma.compress(GOOD)[:40] + b"1234" + lzma.compress(GOOD)[44:], "is damaged"),
    "compressed text": (zlib.compress(b"text"), "what was compressed is not a container"),
    "compressed twice": (zlib.compress(zlib.compress(GOOD)), "what was compressed is not a container"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_with_a_reason(name: str) -> None:
    data, reason = UNREADABLE[name]
    report = check(data, NETWORK)
    assert not report.accepted
    assert not report.readable
    assert any(part in report.reason for part in reason.split("|")), report.reason


@pytest.mark.parametrize("data", [zlib.compress(bytes(2**28), 9), lzma.compress(bytes(2**28))], ids=["zlib", "xz"])
def test_a_bomb_is_stopped_at_the_limit(data: bytes) -> None:
    assert len(data) < 2**19
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    for certificate, network in ((data, NETWORK), (GOOD, data)):
        report = check(certificate, network, max_bytes=2**22)
        assert not report.readable
        assert "over the limit of 4194304 bytes" in report.reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB
    assert time.perf_counter() - begin < 5


def test_an_xz_stream_that_asks_for_much_memory_is_refused() -> None:
    # Writing one takes as much memory: the dictionary's size is one byte of a small stream instead.
    stream = bytearray(lzma.compress(GOOD, preset=0))
    at = stream.index(b"\x21\x01") + 2  # id and length of LZMA2's properties
    stream[at] = 40  # 4 GiB
    stream[20:24] = zlib.crc32(bytes(stream[12:20])).to_bytes(4, "little")
    report = check(bytes(stream), NETWORK)
    assert "is damaged" in report.reason
    assert "emory" in report.reason


def test_every_bit_flipped_and_every_cut_is_not_accepted_and_raises_nothing() -> None:
    generator = np.random.default_rng(0)
    for _ in range(600):
        data = bytearray(GOOD)
        at = int(generator.integers(len(data)))
        data[at] ^= 1 << int(generator.integers(8))
        assert not check(bytes(data), NETWORK).accepted, at
        assert not check(GOOD[:at], NETWORK).accepted


def test_networks_with_bits_flipped_are_other_networks() -> None:
    generator = np.random.default_rng(1)
    for _ in range(300):
        data = bytearray(NETWORK)
        at = int(generator.integers(len(data)))
        data[at] ^= 1 << int(generator.integers(8))
        assert not check(GOOD, bytes(data)).accepted, at


def test_documents_with_values_of_any_kind_raise_nothing() -> None:
    """One value anywhere in the document is replaced, and the content is hashed anew, so that every later check meets it."""
    replacements = [None, True, -1, 0, 2**53, "", "0", "1/3", [], {}, [[]], {"0": {}}, {"0": {"at": "0", "value": "0"}}]
    file = example()
    paths = list(places(file.document))
    kept = 0
    for path in paths:
        for value in replacements:
            file = example()
            spot = file.document
            for key in path[:-1]:
                spot = spot[key]
            spot[path[-1]] = value
            kept += check(file.data(), NETWORK).accepted
    assert kept < len(paths)  # a few replacements mean the same: the words of made_by, another file, a smaller margin


def places(value: object, path: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in items:
        found += [(*path, key), *places(item, (*path, key))]
    return found
