"""Facets: rows that tie a ReLU to the box of its row's columns more closely than the triangle does.

The triangle knows only the interval of a pre-activation ``y = a v + b``. Over the box ``v_i`` in ``[low_i, high_i]`` (ends
named so that ``a_i low_i <= a_i high_i``) the least concave function above ``relu(a v + b)`` is the minimum of the rows

    z <= sum_{i in I} a_i (v_i - low_i) + t a_h (v_h - low_h)

where ``I``, ``h`` and ``0 <= t <= 1`` make ``sum_I a_i low_i + sum_{not I} a_i high_i + b``, with ``h`` divided as ``t`` says,
vanish (Tjandraatmadja et al. 2020; Anderson et al. 2020 have the same rows with the binary). The right-hand side is then at
least 0, and at least ``a v + b``, everywhere in the box. The lowest of them at a point takes the coordinates in the order of
their shares ``(v_i - low_i) / (high_i - low_i)``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from solvers.problem import LinearProgram
from verify.encode.lp import TINY, Encoding, UnstableLayer

Array = NDArray[np.float64]

# A facet is worth its row when it cuts the point off by this much of the ReLU's largest output.
DEPTH = 1e-3


def narrowed(encoding: Encoding) -> Encoding:
    """The same program with ``z <= u`` and ``p <= -l``: ends that a split can move to 0."""
    problem = encoding.problem
    for layer in encoding.layers.values():
        columns = np.concatenate([layer.z, layer.p])
        ends = np.concatenate([layer.upper, -layer.lower])
        problem = problem.with_column_bounds(columns, np.zeros(len(columns)), ends)
    return replace(encoding, problem=problem)


def with_facets(encoding: Encoding, x: Array) -> Encoding:
    """The program and, for each unstable ReLU, the facet that cuts the solution ``x`` (columns,) off, where one does."""
    found = [
        f for layer in encoding.layers.values() for k in range(len(layer.z)) if (f := _facet(encoding, layer, k, x))
    ]
    if not found:
        return encoding
    problem = encoding.problem
    rows = sp.csr_array(np.stack([row for row, _ in found]))
    program = LinearProgram(
        objective=problem.objective,
        matrix=sp.csr_array(sp.vstack([problem.matrix, rows], format="csr")),
        row_lower=np.append(problem.row_lower, np.full(len(found), -np.inf)),
        row_upper=np.append(problem.row_upper, [upper for _, upper in found]),
        column_lower=problem.column_lower,
        column_upper=problem.column_upper,
        integer=problem.integer,
        offset=problem.offset,
    )
    return replace(encoding, problem=program)


def _facet(encoding: Encoding, layer: UnstableLayer, k: int, x: Array) -> tuple[Array, float] | None:
    """Row and right-hand side of the lowest facet of the layer's ``k``-th unstable ReLU at ``x``; None if not below it."""
    problem, row, z, p = encoding.problem, int(layer.equality[k]), int(layer.z[k]), int(layer.p[k])
    entries = slice(problem.matrix.indptr[row], problem.matrix.indptr[row + 1])
    columns, a = problem.matrix.indices[entries], -problem.matrix.data[entries]
    reads = (columns != z) & (columns != p)
    columns, a = columns[reads], a[reads]
    left, right = problem.column_lower[columns], problem.column_upper[columns]
    low, high = np.where(a >= 0, left, right), np.where(a >= 0, right, left)
    span = high - low
    share = np.divide(x[columns] - low, span, out=np.zeros(len(a)), where=span != 0)
    order = np.argsort(share)
    drops = (a * span)[order]
    # z - p = a v + row_upper at most, where entries that were too small have widened the row.
    above = float(a @ high + problem.row_upper[row])
    level = above - np.cumsum(drops)
    if above <= 0 or not (level < 0).any():
        return None
    h = int(np.argmax(level < 0))
    kept = np.zeros(len(a))
    kept[order[:h]] = a[order[:h]]
    kept[order[h]] = a[order[h]] * (level[h] + drops[h]) / drops[h]
    if x[z] - kept @ (x[columns] - low) <= DEPTH * layer.upper[k]:
        return None
    tiny = np.abs(kept) < TINY
    upper = float(np.abs(kept[tiny]) @ np.abs(span[tiny]) - kept[~tiny] @ low[~tiny])
    facet = np.zeros(problem.num_columns)
    facet[columns[~tiny]] = -kept[~tiny]
    facet[z] = 1.0
    return facet, upper
