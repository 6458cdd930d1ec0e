"""Damaged, huge and hostile files: refused with a reason, quickly, in little memory, and without an exception."""

from __future__ import annotations

import gzip
import json
import resource
import time
import zlib
from hashlib import sha256

import numpy as np
import pytest
from support.certificates import container, dumps
from support.worked_example import NETWORK, example

from verify.check import check

GOOD = example().data()


@pytest.mark.parametrize("data", [zlib.compress(GOOD, 9), gzip.compress(GOOD)], ids=["zlib", "gzip"])
def test_compressed_files_are_read(data: bytes) -> None:
    assert check(data, NETWORK).accepted


SIZE = int.from_bytes(GOOD[8:16], "little")
TEXT, ARRAYS = GOOD[16 : 16 + SIZE].decode(), GOOD[16 + SIZE : -32]


def changed(dtype: object = None, shape: object = None, **more: object) -> bytes:
    """The file with another entry for its first array."""
    document = json.loads(TEXT)
    document["arrays"][0] = [dtype or document["arrays"][0][0], document["arrays"][0][1] if shape is None else shape]
    return container(dumps({**document, **more}), ARRAYS)


def hashed(data: bytes) -> bytes:
    return data + sha256(data).digest()


UNREADABLE = {
    "nothing": (b"", "not a container"),
    "text": (b"certificate", "not a container"),
    "the magic alone": (b"reluprf3", "not a container"),
    "another version": (hashed(GOOD[:7] + b"1" + GOOD[8:-32]), "not a container: it does not begin with reluprf3"),
    "cut short": (GOOD[:-1], "damaged: the SHA-256 at its end"),
    "trailing bytes": (GOOD + b"\0", "damaged: the SHA-256 at its end"),
    "bytes after the arrays": (container(TEXT, ARRAYS + b"\0"), "1 bytes follow the last array"),
    "arrays cut short": (container(TEXT, ARRAYS[:-1]), "ends at byte"),
    "a document that is longer than the file": (hashed(GOOD[:8] + b"\xff" * 8 + GOOD[16:-32]), "it has 1844674"),
    "a name that occurs twice": (container('{"format":1,' + TEXT[1:], ARRAYS), "a name occurs twice"),
    "a huge shape": (changed(shape=[2**40, 2**17]), "ends at byte"),
    "sizes that wrap around": (changed(shape=[2**32, 2**32, 4]), "ends at byte"),
    "an integer of many digits": (container('{"0":' + "9" * 10**6 + "}"), "not an integer of fewer than 18 digits"),
    "a negative size": (changed(shape=[-1]), "integers >= 0"),
    "a size that is true": (changed(shape=[True]), "integers >= 0"),
    "many axes": (changed(shape=[1] * 9), "at most 8 integers"),
    "an unknown dtype": (changed(dtype="BF16"), "KeyError: 'BF16'"),
    "an entry of an array with more": (
        container('{"format":"reluproof certificate","arrays":[["U8",[],0]]}'),
        "unpack",
    ),
    "arrays that are no list": (container('{"format":"reluproof certificate","arrays":1}'), "TypeError"),
    "no arrays": (container('{"format":"reluproof certificate"}'), "KeyError: 'arrays'"),
    "a float in JSON": (container('{"a":1.5}'), "the number 1.5 is not an integer"),
    "NaN in JSON": (container('{"a":NaN}'), "the number NaN is not an integer"),
    "a list": (container("[]"), "its format is not 'reluproof certificate'"),
    "a document that is no JSON": (container("{"), "the document is not as it should be: JSONDecodeError"),
    "another format": (NETWORK, "its format is not 'reluproof certificate'"),
    "JSON that is nested deeply": (container('{"a":' + "[" * 200000), "RecursionError"),
    "JSON of many values": (container('{"a":[' + "0," * 2**20), "over 1048576 JSON values"),
    "a zlib stream cut short": (zlib.compress(GOOD)[:-5], "cut short"),
    "bytes after a zlib stream": (zlib.compress(GOOD) + b"x", "or bytes follow it"),
    "a damaged zlib stream": (zlib.compress(GOOD)[:40] + b"1234" + zlib.compress(GOOD)[44:], "is damaged"),
    "compressed text": (zlib.compress(b"text"), "not a container"),
    "compressed twice": (zlib.compress(zlib.compress(GOOD)), "not a container"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_with_a_reason(name: str) -> None:
    data, reason = UNREADABLE[name]
    report = check(data, NETWORK)
    assert not report.accepted
    assert not report.readable
    assert reason in report.reason


@pytest.mark.parametrize("data", [zlib.compress(bytes(2**28), 9), gzip.compress(bytes(2**28))], ids=["zlib", "gzip"])
def test_a_bomb_is_stopped_at_the_limit(data: bytes) -> None:
    assert len(data) < 2**19
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    for certificate, network in ((data, NETWORK), (GOOD, data)):
        report = check(certificate, network, max_bytes=2**22)
        assert not report.readable
        assert "over the limit of 4194304 bytes" in report.reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB
    assert time.perf_counter() - begin < 5


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


REPLACEMENTS = [
    None,
    True,
    -1,
    0,
    2**53,
    "",
    "#0",
    "1/3",
    [],
    {},
    [[]],
    {"0": {}},
    {"at": "#0", "value": "#0"},
]


def test_documents_with_values_of_any_kind_raise_nothing() -> None:
    """One value anywhere in the document is replaced, and the content is hashed anew, so that every later check meets it."""
    file = example()
    paths = list(places(file.document))
    kept = 0
    for path in paths:
        for value in REPLACEMENTS:
            file = example()
            spot = file.document
            for key in path[:-1]:
                spot = spot[key]
            spot[path[-1]] = value
            kept += check(file.data(), NETWORK).accepted
    assert kept < len(paths)  # a few replacements mean the same: the words of made_by, another file, a smaller margin


def test_networks_with_values_of_any_kind_raise_nothing() -> None:
    """The same, of a network file: every node is read before its identity is compared."""
    size = int.from_bytes(NETWORK[8:16], "little")
    text, arrays = NETWORK[16 : 16 + size].decode(), NETWORK[16 + size : -32]
    for path in places(json.loads(text)):
        for value in REPLACEMENTS:
            document = spot = json.loads(text)
            for key in path[:-1]:
                spot = spot[key]
            if spot[path[-1]] == value:
                continue
            spot[path[-1]] = value
            assert not check(GOOD, container(dumps(document), arrays)).accepted, (path, value)


def places(value: object, path: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in items:
        found += [(*path, key), *places(item, (*path, key))]
    return found
