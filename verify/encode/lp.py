"""The triangle encoding: a query and its pre-activation bounds become the rows of a linear program.

Columns: the input's coordinates, and for each unstable ReLU its output ``z`` and its residue ``p = z - y``. Rows, for
an unstable ReLU with ``l <= y <= u``, ``s = u/(u-l)``:

    z - p - W v = b          (z - p is the pre-activation y)
    (1 - s) z + s p <= t        with z, p >= 0 and t = -s l = u (1 - s)

which is the triangle of Ehlers 2017: the second row is ``z/u + p/(-l) <= 1``. Stable ReLUs have no triangle. Inactive
ones vanish. Active ones are substituted where that makes fewer entries, and are a column with the one row
``z - W v = b`` where substitution would fill the matrix.

The dual of the first row is the coefficient that the backward pass has on ``y``; :func:`slopes` reads the slopes off.
The bounds of ``z`` and ``p`` are twice as wide as they need be, so that they never bind and the dual has to use the
triangle, whose duals are what the backward pass can express.

The coefficients are rounded to nearest: a solution of this program proposes, and bounds are recomputed elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from solvers.problem import LinearProgram
from verify.bounds.nouns import Bounds, Interval, unstable
from verify.bounds.relaxation import chord
from verify.network import Network
from verify.operators import Add, Concat, Input, Linear, ReLU
from verify.region import Box, L1Ball

Array = NDArray[np.float64]
Slopes: TypeAlias = dict[int, tuple[NDArray[np.int64], Array]]
"""By ReLU layer: neurons, and a slope for each."""

# Solvers drop entries below 1e-9 without a word, which would make it another program. Such entries never reach them:
# a ReLU whose interval ends nearer to zero than NEAR is encoded with NEAR, which is sound, and rows that lose entries
# below TINY are widened by what those could contribute.
TINY = 1e-9
NEAR = 1e-7


@dataclass(frozen=True)
class Expression:
    """The value of a node in terms of the columns: ``matrix @ columns + constant``."""

    matrix: sp.csr_array
    constant: Array


@dataclass(frozen=True)
class UnstableLayer:
    """Where the unstable neurons ``neurons`` of one ReLU layer sit: columns of z and p, first and second row."""

    neurons: NDArray[np.int64]
    z: NDArray[np.int64]
    p: NDArray[np.int64]
    equality: NDArray[np.int64]
    triangle: NDArray[np.int64]
    lower: Array
    upper: Array
    chord: Array  # slope s of the upper line


@dataclass(frozen=True)
class Encoding:
    """A program without an objective, and what its columns mean."""

    problem: LinearProgram
    layers: dict[int, UnstableLayer]
    expression: Expression  # of the node that was encoded up to
    input: Expression

    def objective(self, row: Array, constant: float) -> tuple[Array, float]:
        """The objective ``row . node + constant`` over the columns, and its offset."""
        c = self.expression.matrix.T @ row
        return np.asarray(c), float(row @ self.expression.constant + constant)

    def point(self, x: Array) -> Array:
        """The network input that a solution stands for, flattened."""
        return np.asarray(self.input.matrix @ x + self.input.constant)


@dataclass
class _Rows:
    """Rows and columns as they are collected."""

    lower: list[Array] = field(default_factory=list)
    upper: list[Array] = field(default_factory=list)
    blocks: list[sp.coo_array] = field(default_factory=list)
    column_lower: list[Array] = field(default_factory=list)
    column_upper: list[Array] = field(default_factory=list)
    columns: int = 0
    rows: int = 0

    def add_columns(self, lower: Array, upper: Array) -> NDArray[np.int64]:
        first, self.columns = self.columns, self.columns + len(lower)
        self.column_lower.append(lower)
        self.column_upper.append(upper)
        return np.arange(first, self.columns)

    def add_rows(self, block: sp.coo_array, lower: Array, upper: Array) -> NDArray[np.int64]:
        """Add rows without their tiny entries: a row is widened by the most that those could contribute."""
        first, self.rows = self.rows, self.rows + len(lower)
        tiny = np.abs(block.data) < TINY
        row, column = block.coords
        ends = np.maximum(np.abs(np.concatenate(self.column_lower)), np.abs(np.concatenate(self.column_upper)))
        slack = np.zeros(len(lower))
        np.add.at(slack, row[tiny], np.abs(block.data[tiny]) * ends[column[tiny]])
        self.blocks.append(sp.coo_array((block.data[~tiny], (row[~tiny], column[~tiny])), shape=block.shape))
        self.lower.append(lower - slack)
        self.upper.append(upper + slack)
        return np.arange(first, self.rows)

    def problem(self) -> LinearProgram:
        blocks = [sp.csr_array((b.data, b.coords), shape=(b.shape[0], self.columns)) for b in self.blocks]
        empty = sp.csr_array((0, self.columns))
        return LinearProgram(
            objective=np.zeros(self.columns),
            matrix=sp.csr_array(sp.vstack(blocks, format="csr")) if blocks else empty,
            row_lower=np.concatenate([*self.lower, np.zeros(0)]),
            row_upper=np.concatenate([*self.upper, np.zeros(0)]),
            column_lower=np.concatenate(self.column_lower),
            column_upper=np.concatenate(self.column_upper),
            integer=np.zeros(self.columns, dtype=bool),
        )


def encode(network: Network, region: Box, bounds: Bounds, *, node: int | None = None) -> Encoding:
    """The triangle program of one input (B = 1), up to ``node`` (default: the output).

    Takes ``bounds.pre`` as data and computes none. An l_2 ball is encoded as its bounding box, which is sound.
    """
    last = len(network.nodes) - 1 if node is None else node
    rows = _Rows()
    source = _encode_input(region, rows)
    known: list[Expression] = []
    layers: dict[int, UnstableLayer] = {}
    for i, entry in enumerate(network.nodes[: last + 1]):
        inputs = [_widened(known[j], rows.columns) for j in entry.inputs]
        match entry.operator:
            case Input():
                value = source
            case Linear() as op:
                matrix = op.matrix()
                bias = 0.0 if op.bias is None else _flat(op.full_bias())
                value = Expression(_csr(matrix @ inputs[0].matrix), matrix @ inputs[0].constant + bias)
            case Add():
                value = Expression(_csr(inputs[0].matrix + inputs[1].matrix), inputs[0].constant + inputs[1].constant)
            case Concat() as op:
                value = _concat(op, inputs, [network.nodes[j].shape for j in entry.inputs])
            case ReLU():
                later = sum(int(unstable(pre).sum()) for r, pre in bounds.pre.items() if i < r <= last)
                value, layers[i] = _encode_relu(inputs[0], bounds, i, rows, later)
        known.append(value)
    end = _widened(known[last], rows.columns)
    return Encoding(rows.problem(), layers, end, _widened(source, rows.columns))


def _encode_input(region: Box, rows: _Rows) -> Expression:
    lower, upper = _flat(region.lower[0]), _flat(region.upper[0])
    size = len(lower)
    if not isinstance(region, L1Ball):
        rows.add_columns(lower, upper)
        return Expression(_csr(sp.eye_array(size)), np.zeros(size))
    # x = centre + up - down with up, down >= 0 and sum(up + down) <= epsilon.
    centre = _flat(region.centre[0])
    rows.add_columns(np.zeros(2 * size), np.maximum(np.concatenate([upper - centre, centre - lower]), 0.0))
    block = sp.coo_array(np.ones((1, 2 * size)))
    rows.add_rows(block, np.array([-np.inf]), np.array([float(region.epsilon)]))
    return Expression(_csr(sp.hstack([sp.eye_array(size), -sp.eye_array(size)])), centre)


def _encode_relu(y: Expression, bounds: Bounds, r: int, rows: _Rows, later: int) -> tuple[Expression, UnstableLayer]:
    pre = bounds.pre[r]
    low, high = _flat(pre.lower[0]), _flat(pre.upper[0])
    neurons = np.flatnonzero((low < 0) & (high > 0))
    active = np.flatnonzero((low >= 0) & (high > 0))
    below, above = np.minimum(low[neurons], -NEAR), np.maximum(high[neurons], NEAR)
    wide = Interval(torch.from_numpy(below[None]), torch.from_numpy(above[None]))
    s, t = (_flat(v) for v in chord(wide))
    z = rows.add_columns(np.zeros(len(below)), 2.0 * above)
    p = rows.add_columns(np.zeros(len(below)), -2.0 * below)
    kept = _kept(active, y, later)
    span = high[kept] - low[kept] + 1.0
    z_active = rows.add_columns(low[kept] - span, high[kept] + span)
    tied = np.concatenate([neurons, kept])
    count = np.arange(len(tied))
    block = sp.hstack([-y.matrix[tied], sp.csr_array((len(tied), rows.columns - y.matrix.shape[1]))], format="coo")
    ones = sp.coo_array(
        (
            np.concatenate([np.ones(len(tied)), -np.ones(len(p))]),
            (np.concatenate([count, count[: len(p)]]), np.concatenate([z, z_active, p])),
        ),
        shape=block.shape,
    )
    tie = rows.add_rows(sp.coo_array(block + ones), y.constant[tied], y.constant[tied])
    count = np.arange(len(below))
    hull = sp.coo_array(
        (np.concatenate([1.0 - s, s]), (np.concatenate([count, count]), np.concatenate([z, p]))),
        shape=(len(below), rows.columns),
    )
    triangle = rows.add_rows(hull, np.full(len(below), -np.inf), t)
    direct = np.setdiff1d(active, kept)
    pick = sp.coo_array((np.ones(len(tied)), (tied, np.concatenate([z, z_active]))), shape=(len(low), rows.columns))
    mask = sp.coo_array((np.ones(len(direct)), (direct, direct)), shape=(len(low), len(low)))
    widened = _widened(y, rows.columns)
    constant = np.zeros(len(low))
    constant[direct] = y.constant[direct]
    value = Expression(_csr(pick + mask @ widened.matrix), constant)
    return value, UnstableLayer(neurons, z, p, tie[: len(below)], triangle, below, above, s)


def _kept(active: NDArray[np.int64], y: Expression, later: int) -> NDArray[np.int64]:
    """Active neurons that stay a column: all of them when substitution would fill more than their rows hold.

    A substituted neuron puts its row into every later row that reads it; a kept one has its row once.
    """
    own = int(y.matrix[active].nnz) if len(active) else 0
    fill = later * y.matrix.shape[1]
    return active if own < fill else active[:0]


def slopes(encoding: Encoding, objective: Array, row_dual: Array) -> Slopes:
    """For each layer its unstable neurons and the lower slopes that the duals of a solved program stand for.

    With ``y_e`` the dual of the equality row, the backward pass has coefficient ``y_e`` on the pre-activation and
    ``a = r_z + y_e + (1 - s) y_t`` on ``z`` (``r``: reduced costs, ``y_t``: the triangle's dual); the slope is their
    quotient. Wrong duals give bad slopes, never unsound ones.
    """
    row_dual = np.nan_to_num(row_dual, posinf=0.0, neginf=0.0)
    reduced = objective - encoding.problem.matrix.T @ row_dual
    found = {}
    for r, layer in encoding.layers.items():
        on_y = row_dual[layer.equality]
        on_z = reduced[layer.z] + on_y + (1.0 - layer.chord) * row_dual[layer.triangle]
        slope = np.divide(on_y, on_z, out=np.zeros_like(on_y), where=on_z != 0)
        found[r] = (layer.neurons, np.clip(np.nan_to_num(slope), 0.0, 1.0))
    return found


def with_binaries(encoding: Encoding, neurons: dict[int, NDArray[np.bool_]] | None = None) -> Encoding:
    """The big-M program: one binary per unstable ReLU, ``z <= u b`` and ``p <= -l (1 - b)`` (Tjeng et al. 2019).

    Asymmetric constants from the bounds that the encoding was made with. ``neurons`` chooses, per layer, which of the
    unstable neurons get a binary (default: all); the others keep the triangle alone.
    """
    problem = encoding.problem
    chosen = [
        (layer, np.ones(len(layer.neurons), dtype=bool) if neurons is None else neurons[r])
        for r, layer in encoding.layers.items()
    ]
    z = np.concatenate([np.zeros(0, int), *(layer.z[m] for layer, m in chosen)])
    p = np.concatenate([np.zeros(0, int), *(layer.p[m] for layer, m in chosen)])
    high = np.concatenate([np.zeros(0), *(layer.upper[m] for layer, m in chosen)])
    low = np.concatenate([np.zeros(0), *(layer.lower[m] for layer, m in chosen)])
    count, n = len(z), len(problem.objective)
    b, k = n + np.arange(count), np.arange(count)
    on = sp.coo_array((np.concatenate([np.ones(count), -high]), (np.r_[k, k], np.r_[z, b])), shape=(count, n + count))
    off = sp.coo_array((np.concatenate([np.ones(count), -low]), (np.r_[k, k], np.r_[p, b])), shape=(count, n + count))
    wide = sp.csr_array(
        (problem.matrix.data, problem.matrix.indices, problem.matrix.indptr), shape=(problem.matrix.shape[0], n + count)
    )
    upper = problem.column_upper.copy()
    upper[z], upper[p] = high, -low
    program = LinearProgram(
        objective=np.zeros(n + count),
        matrix=sp.csr_array(sp.vstack([wide, on, off], format="csr")),
        row_lower=np.concatenate([problem.row_lower, np.full(2 * count, -np.inf)]),
        row_upper=np.concatenate([problem.row_upper, np.zeros(count), -low]),
        column_lower=np.concatenate([problem.column_lower, np.zeros(count)]),
        column_upper=np.concatenate([upper, np.ones(count)]),
        integer=np.concatenate([problem.integer, np.ones(count, dtype=bool)]),
    )
    return replace(
        encoding,
        problem=program,
        expression=_widened(encoding.expression, n + count),
        input=_widened(encoding.input, n + count),
    )


def _concat(op: Concat, inputs: list[Expression], shapes: list[tuple[int, ...]]) -> Expression:
    sizes = np.cumsum([0, *(len(e.constant) for e in inputs)])
    order = np.concatenate(
        [np.arange(a, b).reshape(s) for a, b, s in zip(sizes[:-1], sizes[1:], shapes, strict=True)], axis=op.axis
    ).ravel()
    stacked = _csr(sp.vstack([e.matrix for e in inputs]))
    return Expression(_csr(stacked[order]), np.concatenate([e.constant for e in inputs])[order])


def _widened(expression: Expression, columns: int) -> Expression:
    m = expression.matrix
    return Expression(sp.csr_array((m.data, m.indices, m.indptr), shape=(m.shape[0], columns)), expression.constant)


def _csr(matrix: Any) -> sp.csr_array:
    found: sp.csr_array = sp.csr_array(matrix)
    return found


def _flat(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.detach().cpu().double().reshape(-1).numpy())
