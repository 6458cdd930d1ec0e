"""The multipliers of bounds as certificates store them: slopes in 8 or 16 bits, only where a neuron is unstable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from verify.bounds.nouns import Bounds, unstable
from verify.bounds.relaxation import Lines, chord, lines
from verify.proof.container import Array

COARSE, FINE = 255, 65535  # a stored slope k means k/255 or k/65535

Multipliers: TypeAlias = dict[str, Any]
"""The object of check/FORMAT.md section 4, with arrays where the document has their names."""


def rounded(slope: Tensor, most: int = COARSE) -> Tensor:
    """Slopes in [0, 1] as float64 numbers ``k / most``: what the file stores, and so what must be bounded with."""
    return (slope.double().clamp(0, 1) * most).round() / most


def whole(slope: Tensor | Array, most: int = COARSE) -> Array:
    """The numbers k of slopes that are ``k / most``."""
    array = np.asarray(slope, dtype=np.float64)
    kind = np.uint8 if most == COARSE else np.uint16
    return np.rint(array * most).astype(kind)


def stored_lines(bounds: Bounds, at: Mapping[int, Lines], most: int) -> dict[int, Lines]:
    """The lines with their slopes rounded to ``k / most``; chords and lines that are parallel to them stay."""
    found = {}
    for r, line in at.items():
        pre = bounds.pre[r]
        if line.parallel:
            found[r] = line
        else:
            upper = None if _is_chord(bounds, r, line) else rounded(line.upper, most)
            found[r] = lines(pre, rounded(line.lower, most), upper)
    return found


def of_lines(ordinal: Mapping[int, int], bounds: Bounds, at: Mapping[int, Lines], most: int) -> Multipliers:
    """The multipliers of rows that were bounded with ``at`` over ``bounds`` of one input; lines as ``stored_lines`` left them.

    ``ordinal`` gives the number of each ReLU among the ReLUs.
    """
    lower, upper, parallel = {}, {}, False
    for r, line in at.items():
        index = unstable(bounds.pre[r])[0].flatten().nonzero().squeeze(1)
        if not len(index):
            continue
        parallel |= line.parallel
        where = index.numpy().astype(np.int32)
        if not line.parallel:
            lower[str(ordinal[r])] = {"at": where, "value": whole(line.lower[0].flatten(1)[:, index], most)}
        if not _is_chord(bounds, r, line):
            upper[str(ordinal[r])] = {"at": where, "value": whole(line.upper[0].flatten(1)[:, index], most)}
    found: Multipliers = {"default": "parallel"} if parallel else {}
    return found | ({"lower": lower} if lower else {}) | ({"upper": upper} if upper else {})


def has_upper(bounds: Bounds, at: Mapping[int, Lines]) -> bool:
    """Whether some upper line is not the chord."""
    return any(not _is_chord(bounds, r, line) for r, line in at.items())


def flat(ordinal: Mapping[int, int], bounds: Bounds) -> Multipliers:
    """The multipliers that take every unstable ReLU at its interval: lower line 0, upper line u."""
    sides = {}
    for r, pre in bounds.pre.items():
        index = unstable(pre)[0].flatten().nonzero().squeeze(1).numpy().astype(np.int32)
        if len(index):
            sides[str(ordinal[r])] = {"at": index, "value": np.zeros((1, len(index)), dtype=np.uint8)}
    return {"lower": sides, "upper": sides} if sides else {}


def betas(row: Array, at: Array, value: Array) -> Multipliers:
    """The entry of one ReLU's phase multipliers."""
    return {"row": row.astype(np.int32), "at": at.astype(np.int32), "value": value.astype(np.float32)}


def _is_chord(bounds: Bounds, r: int, line: Lines) -> bool:
    s = chord(bounds.pre[r])[0].unsqueeze(1)
    return line.parallel or (line.upper.shape[1] == 1 and torch.equal(line.upper, s.expand_as(line.upper)))
