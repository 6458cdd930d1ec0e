"""What values of a document may look like: forms, and `read`, which compares an object with them and says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
_EXACT = re.compile(r"-?\d+(\.\d+|/0*[1-9]\d*)?", re.ASCII)


class Rejected(Exception):
    """A rule failed. The text names the rule, the neuron, row or part, the derived and the claimed value."""


class Unreadable(Exception):
    """A file is not a container of this version, or the arguments do not fit: nothing was checked."""


def require(condition: object, reason: str) -> None:
    """Reject unless the condition holds. (A comparison with NaN does not hold.)"""
    if not condition:
        raise Rejected(reason)


def need(condition: object, where: str, what: str) -> None:
    """A file is unreadable unless the condition holds."""
    if not condition:
        raise Unreadable(f"{where}: {what}"[:2000])


@contextmanager
def about(what: str) -> Iterator[None]:
    """These words come before the reason for which something inside is rejected."""
    try:
        yield
    except Rejected as reason:
        raise Rejected(f"{what}: {reason}") from None


@dataclass(frozen=True)
class Numbers:
    """An array of one of the ``dtypes`` and of finite numbers from ``low`` to ``high``. None in ``shape``: any size."""

    dtypes: str
    shape: tuple[int | None, ...]
    low: float = -np.inf
    high: float = np.inf


def chosen(table: Mapping[str, Any], key: str, value: Any, what: str) -> tuple[str, dict[str, Any]]:
    """What an object names under ``key``, and its other entries, whose forms ``table`` has under that name."""
    name: Any = value.get(key) if type(value) is dict else None
    require(type(name) is str and name in table, f"{key} of {what} is {name!r:.40}, not one of {', '.join(table)}")
    return name, read(table[name], {k: item for k, item in value.items() if k != key}, f"{what} ({name})")


def read(form: Any, value: Any, what: str) -> Any:
    """The value, if it has the form: `Numbers`, a range (an integer in it), a set of texts, Fraction (an exact number as text),
    a type, or forms by key, of which those with a question mark may be absent; there are no other keys then.
    """
    if isinstance(form, dict):
        require(type(value) is dict, f"{what} is not an object")
        for key in value:
            require(key in form or f"{key}?" in form, f"{what} has an unknown key {key!r:.40}")
        for key in form:
            require(key in value or key[-1] == "?", f"{what} has no key {key!r}")
        given = {key.rstrip("?"): inner for key, inner in form.items() if key.rstrip("?") in value}
        return {key: read(inner, value[key], f"{key} of {what}") for key, inner in given.items()}
    if isinstance(form, Numbers):
        if not isinstance(value, np.ndarray):
            raise Rejected(f"{what} is {value!r:.80}, not an array of the file")
        dtype = value.dtype.kind.upper() + str(8 * value.dtype.itemsize)
        require(dtype in form.dtypes.split(), f"{what} is {dtype}, not {form.dtypes.replace(' ', ' or ')}")
        sizes = zip(form.shape, value.shape, strict=False)
        good = len(form.shape) == value.ndim and all(n in (None, size) for n, size in sizes)
        require(good, f"{what} has the shape {value.shape}, not {form.shape}")
        # unsigned ones are fractions of the largest
        low, high = (0, np.inf) if dtype[0] == "U" else (form.low, form.high)
        for at in np.argwhere(~(np.isfinite(value) & (value >= low) & (value <= high)))[:1].tolist():
            raise Rejected(f"{what} has the entry {value[tuple(at)]} at {at}, not a finite number from {low} to {high}")
    elif isinstance(form, range):
        good = type(value) is int and value in form
        require(good, f"{what} is {value!r:.80}, not an integer from {form.start} to {form.stop - 1}")
    elif isinstance(form, set):
        require(type(value) is str and value in form, f"{what} is {value!r:.80}, not one of {', '.join(sorted(form))}")
    elif form is Fraction:
        match = type(value) is str and len(value) <= 2000 and _EXACT.fullmatch(value)
        require(match, f'{what} is {value!r:.80}, not a number such as "0.1", "8/255" or "-3"')
        return Fraction(value)
    else:
        require(type(value) is form, f"{what} is of type {type(value).__name__}, not {form.__name__}")
    return value
