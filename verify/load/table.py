"""CSV tables of numbers, one labelled input a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from verify.errors import LoadError
from verify.load.idx import read_bytes

Array = npt.NDArray[Any]
LabelColumn = Literal["first", "last"]

_LABEL_POSITION: dict[LabelColumn, int] = {"first": 0, "last": -1}
_LABEL_HEADINGS = frozenset({"label", "labels", "class", "target", "y"})


def read_csv(path: Path, *, label_column: LabelColumn) -> tuple[Array, Array]:
    """Inputs (N, columns - 1) and labels (N,) of a comma-separated file, both float64 as written.

    A first line with a field that is no number is a heading and is skipped; if it names the label column at the
    other end than ``label_column``, the file is refused rather than misread.

    Raises:
        LoadError: a field that is no number, lines of different length, fewer than two columns, no data line.
    """
    try:
        lines = [line for line in read_bytes(path).decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise LoadError(f"{path}: not a text file ({error.reason} at byte {error.start}); give a CSV file") from error
    if lines and not _is_numbers(lines[0]):
        _check_heading(path, lines.pop(0), label_column)
    if not lines:
        raise LoadError(f"{path}: no data line; give one line of numbers per input")
    table = _parse(path, lines)
    if table.shape[1] < 2:
        raise LoadError(f"{path}: one column only; separate the label and the values by commas")
    position = _LABEL_POSITION[label_column]
    return np.delete(table, position, axis=1), table[:, position]


def _is_numbers(line: str) -> bool:
    return all(_is_number(field) for field in line.split(","))


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _check_heading(path: Path, heading: str, label_column: LabelColumn) -> None:
    fields = [field.strip().strip("\"'").lower() for field in heading.split(",")]
    position = _LABEL_POSITION[label_column]
    other: LabelColumn = "last" if label_column == "first" else "first"
    opposite = fields[_LABEL_POSITION[other]]
    if fields[position] not in _LABEL_HEADINGS and opposite in _LABEL_HEADINGS:
        raise LoadError(f"{path}: its heading names the {other} column {opposite!r}; give label_column={other!r}")


def _parse(path: Path, lines: list[str]) -> Array:
    width = lines[0].count(",")
    for number, line in enumerate(lines, start=1):
        if line.count(",") != width:
            raise LoadError(
                f"{path}: data line {number} has {line.count(',') + 1} fields, the first has {width + 1}; "
                "give every line the same number of fields"
            )
    try:
        return np.loadtxt(lines, delimiter=",", comments=None, dtype=np.float64, ndmin=2)
    except ValueError as error:
        for number, line in enumerate(lines, start=1):
            for field in line.split(","):
                if not _is_number(field):
                    raise LoadError(
                        f"{path}: data line {number} holds {field.strip()!r}, which is no number; correct it"
                    ) from error
        raise LoadError(f"{path}: not a table of numbers ({error})") from error
