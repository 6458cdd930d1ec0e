"""Index text such as ``0:20`` becomes a list of input numbers."""

from __future__ import annotations

import re

from verify.errors import UsageError

_NUMBER = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]*):([0-9]*)(?::([0-9]+))?")
_FORMS = "give numbers and ranges such as 7, 3,7,9, 0:20, :20 or 0:100:5 (the end is not included)"


def parse_index(text: str, count: int) -> list[int]:
    """The input numbers that ``text`` asks for, in its order.

    Args:
        text: comma-separated numbers and half-open ranges ``start:stop`` or ``start:stop:step``; an absent start is
            0 and an absent stop is ``count``. Unlike a Python slice nothing is clamped and nothing counts from the end.
        count: how many inputs there are.

    Raises:
        UsageError: malformed text, a number that is not below ``count``, an empty range, or a number given twice.
    """
    indices: list[int] = []
    for part in text.split(","):
        indices.extend(_parse_part(part.strip(), text, count))
    if len(set(indices)) != len(indices):
        twice = next(index for index in indices if indices.count(index) > 1)
        raise UsageError(f"index {text!r}: input {twice} is asked for twice; name each input once")
    return indices


def _parse_part(part: str, text: str, count: int) -> list[int]:
    have = f"there are {count} inputs (0 to {count - 1})" if count else "there are no inputs"
    if _NUMBER.fullmatch(part):
        if int(part) >= count:
            raise UsageError(f"index {text!r}: input {int(part)} does not exist, {have}; give a number in that range")
        return [int(part)]
    match = _RANGE.fullmatch(part)
    if match is None:
        raise UsageError(f"index {text!r}: {part!r} is neither a number nor a range, {have}; {_FORMS}")
    start, stop = int(match[1] or 0), int(match[2] or count)
    step = int(match[3] or 1)
    if step == 0:
        raise UsageError(f"index {text!r}: the step of {part!r} is 0, {have}; {_FORMS}")
    if stop > count:
        raise UsageError(f"index {text!r}: the range {part!r} ends after the last input, {have}; end it at {count}")
    if start >= stop:
        raise UsageError(f"index {text!r}: the range {part!r} is empty, {have}; {_FORMS}")
    return list(range(start, stop, step))
