"""What values of a document may look like: forms, and `read`, which compares a value with one and says what is wrong with it."""

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
class Whole:
    """An integer from ``low`` to ``high``; of a text as ``high``, below the size of that name."""

    low: int
    high: int | str


@dataclass(frozen=True)
class Numbers:
    """An array of finite numbers of one of the ``dtypes``. ``shape`` names a size an axis; equal names are equal sizes.

    Entries are from ``low`` to ``high``, as those of `Whole` (unsigned ones are fractions of the largest, so from 0 to 1).
    """

    dtypes: str
    shape: str
    low: float = -np.inf
    high: float | str = np.inf


@dataclass(frozen=True)
class Exact:
    """A number as text: ``-3``, ``0.1``, ``8/255``. No exponents: a short text, a small number."""


def chosen(table: Mapping[str, Any], value: Any, key: str, what: str) -> tuple[str, Any]:
    """What an object names under ``key``, and the entry of ``table`` for it."""
    require(type(value) is dict, f"{what} is not an object")
    name = value.get(key)
    require(type(name) is str and name in table, f"{key} of {what} is {name!r:.40}, not one of {', '.join(table)}")
    return name, table[name]


def read(form: Any, value: Any, what: str, sizes: dict[str, int]) -> Any:
    """``value``, if it has the form; ``sizes`` are known by name, and learn those that arrays bring along.

    A form is one of the above, a type, a set of texts, a tuple (a list of just these), a list (of any number of these), or a
    dict: forms by key, of which those with a question mark may be absent. No other keys are allowed.
    """
    match form:
        case dict():
            require(type(value) is dict, f"{what} is not an object")
            for key in value:
                require(key in form or f"{key}?" in form, f"{what} has an unknown key {key!r:.40}")
            for key in form:
                require(key in value or key[-1] == "?", f"{what} has no key {key!r}")
            given = [(key, inner) for key, inner in form.items() if key.rstrip("?") in value]
            return {(k := key.rstrip("?")): read(inner, value[k], f"{k} of {what}", sizes) for key, inner in given}
        case list() | tuple():
            require(type(value) is list, f"{what} is not a list")
            forms = form if isinstance(form, tuple) else form * len(value)
            require(len(forms) == len(value), f"{what} has {len(value)} entries, not {len(forms)}")
            return [read(inner, value[k], f"entry {k} of {what}", sizes) for k, inner in enumerate(forms)]
        case set():
            require(
                type(value) is str and value in form, f"{what} is {value!r:.40}, not one of {', '.join(sorted(form))}"
            )
        case Whole(low, high):
            most = sizes[high] - 1 if isinstance(high, str) else high
            require(
                type(value) is int and low <= value <= most,
                f"{what} is {value!r:.80}, not an integer from {low} to {most}",
            )
        case Exact():
            text = value if type(value) is str and len(value) <= 2000 else ""
            good = re.fullmatch(r"-?\d+(\.\d+|/0*[1-9]\d*)?", text, re.ASCII)
            require(good, f'{what} is {value!r:.80}, not a number such as "0.1", "8/255" or "-3"')
            return Fraction(value)
        case Numbers():
            if not isinstance(value, np.ndarray):
                raise Rejected(f"{what} is {value!r:.80}, which is no array of the file")
            _read_array(form, value, what, sizes)
        case _:
            require(type(value) is form, f"{what} is of type {type(value).__name__}, not {form.__name__}")
    return value


def _read_array(form: Numbers, value: np.ndarray[Any, Any], what: str, sizes: dict[str, int]) -> None:
    dtype = value.dtype.kind.upper() + str(8 * value.dtype.itemsize)
    require(dtype in form.dtypes.split(), f"{what} is {dtype}, not {form.dtypes.replace(' ', ' or ')}")
    names = form.shape.split()
    shape = tuple(sizes.get(name, size) for name, size in zip(names, value.shape, strict=False))
    require(
        len(names) == value.ndim and shape == value.shape,
        f"{what} has the shape {value.shape}, not {form.shape} = {shape}",
    )
    sizes |= dict(zip(names, shape, strict=True))
    if dtype[0] == "U":
        return
    high = sizes[form.high] - 1 if isinstance(form.high, str) else form.high
    wrong = ~(np.isfinite(value) & (value >= form.low) & (value <= high))
    if wrong.any():
        at = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise Rejected(f"{what} has the entry {value[at]} at {list(at)}, not a finite number from {form.low} to {high}")
