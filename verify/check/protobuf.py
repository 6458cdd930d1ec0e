"""The wire format of protocol buffers, as far as ONNX files need it: bounded, and nothing is passed over unseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from verify.check.forms import Unreadable

MAX_FIELDS = (
    2**20
)  # more fields and integers than this in a file are refused: each may cost some hundred bytes of memory
_SIZES = {1: 8, 5: 4}  # bytes of a value, by wire type; 0 is a varint, for 2 the size comes first


def need(condition: object, where: str, what: str) -> None:
    """Raise Unreadable unless the condition holds."""
    if not condition:
        raise Unreadable(f"{where}: {what}"[:2000])


class Message:
    """The fields of a message, by number and wire type. Readers take them out; ``end`` refuses what nobody has taken.

    Parsing is one level deep: a message inside is parsed when it is asked for. Raises Unreadable, and nothing else, for any bytes.
    """

    def __init__(self, data: bytes | memoryview, where: str, budget: Iterator[int] | None = None) -> None:
        self.where, self.budget, self.fields = (
            where,
            budget or iter(range(MAX_FIELDS)),
            dict[tuple[int, int], list[Any]](),
        )
        data, at = memoryview(data), 0
        while at < len(data):
            key, at = self._varint(data, at)
            value: Any
            wire = key & 7
            need(wire in (0, 1, 2, 5), where, f"wire type {wire} before byte {at} is not known")
            if wire == 0:
                value, at = self._varint(data, at)
            else:
                size, at = (_SIZES[wire], at) if wire in _SIZES else self._varint(data, at)
                left = len(data) - at
                need(0 <= size <= left, where, f"{size} bytes are announced, {left} are left at byte {at}")
                value, at = data[at : at + size], at + size
            self.fields.setdefault((key >> 3, wire), []).append(value)

    def _varint(self, data: memoryview, at: int) -> tuple[int, int]:
        """The integer at a position, signed as in two's complement of 64 bits, and the position after it."""
        need(next(self.budget, None) is not None, self.where, f"more than {MAX_FIELDS} fields and integers")
        value = 0
        for k in range(10):
            need(at + k < len(data), self.where, f"an integer is cut off at byte {len(data)}")
            value |= (data[at + k] & 127) << 7 * k
            if data[at + k] < 128 and value < 1 << 64:
                return value - (value >> 63 << 64), at + k + 1
        raise Unreadable(f"{self.where}: the integer at byte {at} has more than 64 bits")

    def blobs(self, number: int, wire: int = 2) -> list[Any]:
        """The values of a field with a wire type: integers for 0, else their bytes."""
        return self.fields.pop((number, wire), [])

    def ints(self, number: int) -> list[int]:
        """Integers, packed or not."""
        values = [] if (number, 2) in self.fields else self.blobs(number, 0)
        for packed in self.blobs(number):
            at = 0
            while at < len(packed):
                value, at = self._varint(packed, at)
                values.append(value)
        return values

    def texts(self, number: int) -> list[str]:
        """Texts; what is not UTF-8 stays distinct."""
        return [bytes(blob).decode(errors="surrogateescape") for blob in self.blobs(number)]

    def messages(self, number: int, name: str) -> list[Message]:
        """Messages inside this one."""
        return [Message(blob, f"{self.where}, {name} {k}", self.budget) for k, blob in enumerate(self.blobs(number))]

    def one(self, values: list[Any], absent: Any) -> Any:
        """The value of a field that may occur once."""
        need(len(values) < 2, self.where, f"{len(values)} values where there is room for one")
        return values[0] if values else absent

    def end(self, *passed_over: int) -> None:
        """Refuse fields that nobody has taken, but for those that are known to say nothing about what a network computes."""
        left = sorted({number for number, _ in self.fields} - set(passed_over))
        need(not left, self.where, f"fields {left} are not supported (or not with such values)")
