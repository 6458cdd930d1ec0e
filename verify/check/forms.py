"""What values of a document may look like: forms, and `read`, which compares an object with them and says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np


class Rejected(Exception):
    """A rule failed. The text names the rule, the neuron, row or part, the derived and the claimed value."""


class Unreadable(Exception):
    """A file is not a container of this version, or the arguments do not fit: nothing was checked."""


def require(condition: object, reason: str) -> None:
    """Reject unless the condition holds. (A comparison with NaN does not hold.)"""
    if not condition:
        raise Rejected(reason)


@dataclass(frozen=True)
class Numbers:
    """An array of one of the ``dtypes`` and of finite numbers from ``low`` to ``high``. None in ``shape``: any size."""

    dtypes: str
    shape: tuple[int | None, ...]
    low: float = -np.inf
    high: float = np.inf


def read(forms: Mapping[str, Any], value: Any, what: str) -> dict[str, Any]:
    """The entries of an object, by key. Keys with a question mark may be absent; no others are allowed.

    A form is `Numbers`, a range (an integer in it), a set of texts, Fraction (an exact number as text), such forms by key, or a type.
    """
    require(type(value) is dict, f"{what} is not an object")
    for key in value:
        require(key in forms or f"{key}?" in forms, f"{what} has an unknown key {key!r:.40}")
    for key in forms:
        require(key in value or key[-1] == "?", f"{what} has no key {key!r}")
    given = {key.rstrip("?"): form for key, form in forms.items() if key.rstrip("?") in value}
    return {key: _read(form, value[key], f"{key} of {what}") for key, form in given.items()}


def chosen(table: Mapping[str, Any], value: Any, key: str, what: str) -> Any:
    """The entry of ``table`` for what an object names under ``key``."""
    name = value.get(key) if type(value) is dict else None
    require(type(name) is str and name in table, f"{key} of {what} is {name!r:.40}, not one of {', '.join(table)}")
    return table[name]


def _read(form: Any, value: Any, what: str) -> Any:
    told = f"{what} is {value!r:.80}, not"
    if isinstance(form, dict):
        return read(form, value, what)
    if isinstance(form, Numbers):
        require(isinstance(value, np.ndarray), f"{told} an array of the file")
        dtype, shape = (
            value.dtype.kind.upper() + str(8 * value.dtype.itemsize),
            zip(form.shape, value.shape, strict=False),
        )
        require(dtype in form.dtypes.split(), f"{what} is {dtype}, not {form.dtypes.replace(' ', ' or ')}")
        fits = len(form.shape) == value.ndim and all(n in (None, size) for n, size in shape)
        require(fits, f"{what} has the shape {value.shape}, not {form.shape}")
        if dtype[0] != "U":  # unsigned integers are fractions of the largest, which are from 0 to 1
            for at in np.argwhere(~(np.isfinite(value) & (value >= form.low) & (value <= form.high)))[:1].tolist():
                entry = value[tuple(at)]
                raise Rejected(
                    f"{what} has the entry {entry} at {at}, not a finite number from {form.low} to {form.high}"
                )
    elif isinstance(form, range):
        require(type(value) is int and value in form, f"{told} an integer from {form.start} to {form.stop - 1}")
    elif isinstance(form, set):
        require(type(value) is str and value in form, f"{told} one of {', '.join(sorted(form))}")
    elif form is Fraction:
        good = type(value) is str and len(value) <= 2000 and re.fullmatch(r"-?\d+(\.\d+|/0*[1-9]\d*)?", value, re.ASCII)
        require(good, f'{told} a number such as "0.1", "8/255" or "-3"')
        return Fraction(value)
    else:
        require(type(value) is form, f"{what} is of type {type(value).__name__}, not {form.__name__}")
    return value
