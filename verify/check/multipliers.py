"""The multipliers of a step: read and checked once, then taken for some of its rows at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.container import Container
from verify.check.reasons import fields, require

Array = NDArray[Any]
_UNIT = {np.dtype("u1"): 255.0, np.dtype("<u2"): 65535.0}


@dataclass(frozen=True)
class Slopes:
    """Slopes of the neurons ``at``, (S or 1, c); integers are fractions of the largest of their type."""

    at: Array
    value: Array

    def taken(self, rows: Array) -> Slopes:
        """Those of some rows, in float64."""
        part = self.value if len(self.value) == 1 else self.value[rows]
        return Slopes(self.at, part / _UNIT[part.dtype] if part.dtype in _UNIT else part.astype(np.float64))


@dataclass(frozen=True)
class Beta:
    """Multipliers of single neurons in single rows, in the order of their rows."""

    row: Array
    at: Array
    value: Array

    def taken(self, rows: Array) -> Beta:
        """Those of some rows, which are counted anew."""
        begin, end = np.searchsorted(self.row, rows), np.searchsorted(self.row, rows, side="right")
        new = np.repeat(np.arange(len(rows)), end - begin)
        entries = np.arange(len(new)) - np.repeat(np.cumsum(end - begin) - end, end - begin)
        return Beta(new, self.at[entries], self.value[entries])


@dataclass(frozen=True)
class Multipliers:
    """Those of S functionals (FORMAT.md, rule `backward`), by ReLU."""

    parallel: bool = False
    lower: dict[int, Slopes] = field(default_factory=dict)
    upper: dict[int, Slopes] = field(default_factory=dict)
    beta: dict[int, Beta] = field(default_factory=dict)
    mix: Array | None = None

    def taken(self, rows: Array) -> Multipliers:
        """Those of some rows."""
        lower, upper, beta = (
            {r: given.taken(rows) for r, given in kind.items()} for kind in (self.lower, self.upper, self.beta)
        )
        mix = None if self.mix is None else self.mix[rows].astype(np.float64)
        return Multipliers(self.parallel, lower, upper, beta, mix)  # type: ignore[arg-type]


NO_MULTIPLIERS = Multipliers()


def read_multipliers(
    container: Container, entry: Any, rows: int, widths: list[int], clause_rows: int | None
) -> Multipliers:
    """The multipliers of ``rows`` functionals, for ReLUs of these ``widths``. ``clause_rows``: of the assumed clause, if any."""
    fields(entry, (), ("default", "lower", "upper", "beta", "mix"), "multipliers")
    default = entry.get("default", "area")
    require(default in ("area", "parallel"), f"default is {default!r:.40}, not area or parallel")
    mix = None
    if "mix" in entry:
        require(clause_rows is not None, "mix is given in a frame that assumes no clause")
        mix = container.array(entry["mix"], "F64 F32", (rows, clause_rows), "mix")
        require(bool((mix >= 0).all()), f"mix has a negative entry, in row {_first(~(mix >= 0))}")
    return Multipliers(
        default == "parallel",
        {r: _slopes(container, item, rows, n, what) for r, item, n, what in _by_relu(entry, "lower", widths)},
        {r: _slopes(container, item, rows, n, what) for r, item, n, what in _by_relu(entry, "upper", widths)},
        {r: _beta(container, item, rows, n, what) for r, item, n, what in _by_relu(entry, "beta", widths)},
        mix,
    )


def _by_relu(entry: dict[str, Any], key: str, widths: list[int]) -> list[tuple[int, Any, int, str]]:
    numbers = {str(r): r for r in range(len(widths))}
    given = entry.get(key, {})
    require(type(given) is dict, f"{key} is not an object")
    for name in given:
        require(name in numbers, f"{key} names ReLU {name!r:.40}, and the network has {len(widths)}")
    return [(numbers[name], item, widths[numbers[name]], f"{key} of ReLU {name}") for name, item in given.items()]


def _slopes(container: Container, item: Any, rows: int, width: int, what: str) -> Slopes:
    fields(item, ("at", "value"), (), what)
    at = container.array(item["at"], "I32", (None,), f"at, {what},")
    ordered = (np.diff(at) > 0).all() and (at[:1] >= 0).all() and (at[-1:] < width).all()
    require(bool(ordered), f"at, {what}, is not strictly increasing from 0 to {width - 1}")
    value = container.array(item["value"], "U8 U16 F32 F64", (None, len(at)), f"value, {what},")
    require(len(value) in (1, rows), f"value, {what}, has {len(value)} rows for {rows} functionals")
    if value.dtype not in _UNIT:
        wrong = ~((value >= 0) & (value <= 1))
        require(not wrong.any(), f"{what} has a slope outside [0, 1], in row {_first(wrong)}")
    return Slopes(at, value)


def _beta(container: Container, item: Any, rows: int, width: int, what: str) -> Beta:
    fields(item, ("row", "at", "value"), (), what)
    row = container.array(item["row"], "I32", (None,), f"row, {what},").astype(np.int64)
    at = container.array(item["at"], "I32", row.shape, f"at, {what},").astype(np.int64)
    value = container.array(item["value"], "F64 F32", row.shape, f"value, {what},").astype(np.float64)
    inside = (row >= 0) & (row < rows) & (at >= 0) & (at < width)
    require(bool(inside.all()), f"{what} names a row or a neuron that is not there, in entry {_first(~inside)}")
    order = np.argsort(row * width + at, kind="stable")
    row, at, value = row[order], at[order], value[order]
    require(bool((np.diff(row * width + at) > 0).all()), f"{what} names a row and neuron twice")
    return Beta(row, at, value)


def _first(wrong: Array) -> int:
    """The first row with a wrong entry (0 when there is none)."""
    return int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1))) if wrong.size else 0
