"""The messages of an ONNX file, in the wire format of protocol buffers: bounded, and nothing is passed over unseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from verify.check.forms import Unreadable, need

MAX_FIELDS = 2**20  # more fields and integers in a file are refused: each may cost some hundred bytes of memory
_SIZES = {1: 8, 5: 4}  # bytes of a value, by wire type; 0 is a varint, for 2 the size comes first
# The wire types of a kind: 2 alone, but of these. One that says nothing about what a network computes has the kind "".
_WIRES = {"integer": (0, 2), "float": (5, 2), "double": (1, 2), "": (0, 1, 2, 5), "unknown": ()}
# Of each message, number, name and kind of its fields. There are any number of values where a name ends with *. Kinds may be
# messages; of floats there are the bytes, of one or several.
_MESSAGES = """\
model: 7 graph graph, 8 opsets* opset, 1, 2, 3, 4, 5, 6, 14
opset: 1 domain text, 2 version integer
graph: 1 nodes* node, 5 initializers* tensor, 11 inputs* info, 12 outputs* info, 2, 10, 13, 16
node: 1 inputs* text, 2 outputs* text, 3 name text, 4 op text, 5 attributes* bytes, 7 domain text, 6, 9
attribute: 1 name text, 2 f float, 3 i integer, 4 s text, 5 t tensor, 8 ints* integer, 20 type integer, 13
tensor: 1 dims* integer, 2 type integer, 4 floats* float, 5 int32s* integer, 7 int64s* integer, 8 name text, \
9 raw bytes, 10 doubles* double, 13 elsewhere* bytes, 14 location integer, 12, 16
info: 1 name text, 2 type type, 3, 4
type: 1 tensor tensor_type, 6
tensor_type: 1 type integer, 2 shape shape
shape: 1 axes* axis
axis: 1 size integer, 2 name text, 3"""
_FIELDS = {
    message: {int(number): kind or ("", "") for number, *kind in map(str.split, fields.split(", "))}
    for message, fields in (line.split(": ") for line in _MESSAGES.split("\n"))
}


def _integer(data: memoryview, at: int, where: str, budget: Iterator[int]) -> tuple[int, int]:
    """The integer at a position, signed as in two's complement of 64 bits, and the position after it."""
    need(next(budget, None) is not None, where, f"more than {MAX_FIELDS} fields and integers")
    value = 0
    for k, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * k
        if byte < 128 and value < 1 << 64:
            return value - (value >> 63 << 64), at + k + 1
    raise Unreadable(f"{where}: the integer at byte {at} is cut off, or has more than 64 bits")


def message(data: bytes | memoryview, form: str, where: str, budget: Iterator[int]) -> dict[str, Any]:
    """The fields of a message by name: a list, or the one value, or None. Under "where" it says where it is.

    ``budget``: an item for each field and integer that the file may still have. Raises Unreadable, and nothing else, for any bytes.
    """
    fields, data, at = _FIELDS[form], memoryview(data), 0
    found: dict[str, list[Any]] = {name: [] for name, _ in fields.values()}
    while at < len(data):
        key, at = _integer(data, at, where, budget)
        name, kind = fields.get(key >> 3, ("", "unknown"))
        need(key & 7 in _WIRES.get(kind, (2,)), where, f"field {key >> 3} of wire type {key & 7} is not supported")
        value: Any = _SIZES.get(key & 7)
        if value is None:
            value, at = _integer(data, at, where, budget)
        if key & 7:
            need(0 <= value <= len(data) - at, where, f"{value} bytes are announced, {len(data) - at} are left")
            value, at = data[at : at + value], at + value
        if kind == "integer" and key & 7:
            place = 0
            while place < len(value):
                number, place = _integer(value, place, where, budget)
                found[name].append(number)
        elif kind == "text":
            found[name].append(bytes(value).decode(errors="surrogateescape"))  # what is not UTF-8 stays distinct
        elif kind in _FIELDS:
            found[name].append(message(value, kind, f"{where}, {name.rstrip('*')} {len(found[name])}", budget))
        elif kind:
            found[name].append(value)
    for name, values in found.items():
        need(name[-1:] == "*" or len(values) < 2, where, f"{len(values)} values of {name}, where there is room for one")
    named = {name.rstrip("*"): values if name[-1:] == "*" else (values or [None])[0] for name, values in found.items()}
    return {"where": where, **named}
