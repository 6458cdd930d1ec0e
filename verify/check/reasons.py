"""The two ways in which a certificate is not accepted, and the checks of JSON values that raise them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Rejected(Exception):
    """A rule failed. The text names the rule, the neuron, row or part, the derived and the claimed value."""


class Unreadable(Exception):
    """A file is not a container of this version, or the arguments do not fit: nothing was checked."""


def require(condition: bool, reason: str) -> None:
    """Reject unless ``condition`` is exactly true: a comparison with NaN is false, and so rejects."""
    if not condition:
        raise Rejected(reason)


def fields(
    value: Any, required: Sequence[str], optional: Sequence[str] = (), what: str = "the document"
) -> dict[str, Any]:
    """``value``, a JSON object that has every required key and no unknown one."""
    require(type(value) is dict, f"{what} is not an object")
    for key in required:
        require(key in value, f"{what} has no key {key!r}")
    for key in value:
        require(key in required or key in optional, f"{what} has an unknown key {key!r}")
    result: dict[str, Any] = value
    return result


def integer(value: Any, low: int, high: int, what: str) -> int:
    """``value``, an integer (not a boolean) with ``low <= value <= high``."""
    require(
        type(value) is int and low <= value <= high, f"{what} is {value!r:.80}, not an integer from {low} to {high}"
    )
    result: int = value
    return result


def listed(value: Any, what: str) -> list[Any]:
    """``value``, a JSON list."""
    require(type(value) is list, f"{what} is not a list")
    result: list[Any] = value
    return result
