"""The multipliers of bounds as certificates store them: slopes in 8 or 16 bits, only where a neuron is unstable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from verify.bounds.nouns import Bounds, unstable
from verify.bounds.relaxation import Lines, chord, lines
from verify.network import Network
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


def begins(network: Network) -> list[int]:
    """Where a frame has the argument of each ReLU, and at last the rows of the clauses (check/FORMAT.md section 4)."""
    sizes = [math.prod(network.input_shape), *(math.prod(network.nodes[r].shape) for r in network.relus)]
    return [int(end) for end in np.cumsum(sizes)]


def of_lines(begin: Mapping[int, int], bounds: Bounds, at: Mapping[int, Lines], most: int) -> Multipliers:
    """The multipliers of rows that were bounded with ``at`` over ``bounds`` of one input; lines as ``stored_lines`` left them.

    ``begin`` gives the place in frames of the first neuron of each ReLU.
    """
    lower, upper, parallel = [], [], False
    for r, line in sorted(at.items()):
        index = unstable(bounds.pre[r])[0].flatten().nonzero().squeeze(1)
        if not len(index):
            continue
        parallel |= line.parallel
        where = begin[r] + index.numpy()
        if not line.parallel:
            lower.append((where, whole(line.lower[0].flatten(1)[:, index], most)))
        if not _is_chord(bounds, r, line):
            upper.append((where, whole(line.upper[0].flatten(1)[:, index], most)))
    return ({"default": "parallel"} if parallel else {}) | table("lower", lower) | table("upper", upper)


def table(kind: str, parts: Sequence[tuple[Array, Array]]) -> Multipliers:
    """The entry for multipliers of one kind: places (c,) and values (S or 1, c) of each ReLU, in their order."""
    if not parts:
        return {}
    rows = max(len(value) for _, value in parts)
    values = [np.broadcast_to(value, (rows, value.shape[1])) for _, value in parts]
    return {kind: {"at": np.concatenate([at for at, _ in parts]).astype(np.int32), "value": np.concatenate(values, 1)}}


def has_upper(bounds: Bounds, at: Mapping[int, Lines]) -> bool:
    """Whether some upper line is not the chord."""
    return any(not _is_chord(bounds, r, line) for r, line in at.items())


def flat(begin: Mapping[int, int], bounds: Bounds) -> Multipliers:
    """The multipliers that take every unstable ReLU at its interval: lower line 0, upper line u."""
    sides = []
    for r, pre in sorted(bounds.pre.items()):
        index = unstable(pre)[0].flatten().nonzero().squeeze(1).numpy()
        sides.append((begin[r] + index, np.zeros((1, len(index)), dtype=np.uint8)))
    return table("lower", sides) | table("upper", sides)


def with_mix(multipliers: Multipliers, rows: range) -> Multipliers:
    """Weights of a clause's rows, under ``mix`` (S, J), as what they are in the file: multipliers of the rows' upper ends, 0."""
    rest, mix = dict(multipliers), multipliers.get("mix")
    if mix is None:
        return rest
    parts = [(rest["beta"]["at"], rest["beta"]["value"])] if "beta" in rest else []
    del rest["mix"]
    return rest | table("beta", [*parts, (np.array(rows), -mix[:, : len(rows)].astype(np.float32))])


def _is_chord(bounds: Bounds, r: int, line: Lines) -> bool:
    s = chord(bounds.pre[r])[0].unsqueeze(1)
    return line.parallel or (line.upper.shape[1] == 1 and torch.equal(line.upper, s.expand_as(line.upper)))
