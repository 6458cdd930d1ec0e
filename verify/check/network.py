"""The network: an input, ReLUs, and linear nodes, all of which have one form. Values are flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.check.forms import Array, Numbers, about, chosen, require

MAX_SIZE = 2**25  # entries of all values, of what nodes read of them, and of their windows, together
_LINEAR = {
    "inputs": list,
    "gather?": Numbers("I32", (None,), -1),
    "taps": Numbers("I32", (None, None), 0),
    "bases": Numbers("I32", (None,), 0),
    "weight?": Numbers("F64 F32", (None, None, None)),
    "bias?": Numbers("F64 F32", (None,)),
    "weight_ulps?": range(2**20 + 1),
    "bias_error?": Numbers("F64 F32", (None,), 0),
}
_OPS = {"input": {"size": range(1, MAX_SIZE + 1)}, "relu": {"inputs": list}, "linear": _LINEAR}


@dataclass(frozen=True, eq=False)
class Node:
    """One node. A linear one reads v, the values of its inputs one after another, through an ``index`` (g, t, p).

    Entry (g, o, p) of its value is ``sum over t of weight[g, o, t] * v[index[g, t, p]]``, or (g, t, p) that entry of v where
    there is no weight; -1 reads 0. ``bias`` and ``bias_error`` have the size of the value. Numbers are float64.
    """

    op: str
    inputs: list[int]
    size: int
    reads: int  # the size of v
    index: Array
    plain: bool  # whether every entry of v is read once, in their order
    apart: bool  # whether no place p reads an entry of v twice
    weight: Array | None = None
    bias: Array | None = None
    bias_error: Array | None = None
    weight_ulps: int = 0

    @property
    def fan(self) -> int:
        """How many products an entry of the value is the sum of, at most; 0 where nothing is computed."""
        return int(self.index.shape[1]) if self.weight is not None else int(self.bias is not None)

    @property
    def back(self) -> int:
        """How many products an entry of ``a W`` is the sum of, at most; 2 at a ReLU."""
        uses = np.bincount(self.index.ravel() + 1)[1:].max(initial=2)
        return int(uses) * (1 if self.weight is None else self.weight.shape[1])

    def forwards(self, weight: Any, v: Array) -> Array:
        """``W v`` for columns v (reads, ...), with ``weight`` in place of the node's own: its magnitude, or other numbers."""
        seen = v if self.plain else np.concatenate([v, np.zeros((1, *v.shape[1:]), v.dtype)])[self.index]
        value = seen if weight is None else weight @ seen.reshape(*self.index.shape[:2], -1)
        return value.reshape(self.size, *v.shape[1:])

    def backwards(self, weight: Any, at: Array, a: Array) -> tuple[Array, Array]:
        """``a W`` for coefficients a (n, ...) of the entries ``at`` (n,): the entries of v, and their coefficients."""
        groups, terms, places = self.index.shape
        live, column = marked(at % places, places)
        rows, part = self.size // places, a
        if len(at) < rows * len(live):  # the others are 0
            part = np.zeros((rows, len(live), *a.shape[1:]), a.dtype)
            part[at // places, column[at % places]] = a
        part = part.reshape(groups, rows // groups, -1)
        if weight is not None:
            part = weight.swapaxes(1, 2) @ part
        index, part = self.index[:, :, live].reshape(groups * terms, -1), part.reshape(groups * terms, len(live), -1)
        if self.plain:
            return index.ravel(), part.reshape(index.size, *a.shape[1:])
        if len(live) < groups * terms and self.apart:
            index, part = index.T, part.swapaxes(0, 1)
        entries, row = marked(index[index >= 0], self.reads)
        out = np.zeros((len(entries) + 1, a[0].size), a.dtype)
        for some, coefficients in zip(np.where(index < 0, -1, row[index]), part, strict=True):
            out[some] += coefficients  # no entry of v occurs twice here; the last is what -1 reads
        return entries, out[:-1].reshape(len(entries), *a.shape[1:])


def marked(at: Array, size: int) -> tuple[Array, Array]:
    """Which of so many entries occur, increasing, and the place of each of them in this list."""
    seen = np.bincount(at.ravel(), minlength=size) > 0
    return np.flatnonzero(seen), np.cumsum(seen) - 1


def build(raw: list[Any]) -> list[Node]:
    """The nodes of FORMAT.md, section 2, with arrays in place of their names. Raises `Rejected`."""
    nodes, room = list[Node](), MAX_SIZE
    for j, entry in enumerate(raw):
        op, given = chosen(_OPS, "op", entry, f"node {j}")
        inputs = given.pop("inputs", [])
        with about(f"node {j} ({op})"):
            require((op == "input") == (j == 0), "the input is the first node, and no other")
            known = all(type(i) is int and 0 <= i < j for i in inputs) and (j == 0 or inputs)
            require(known and (op == "linear" or len(inputs) < 2), f"inputs are {inputs!r:.80}, not nodes before it")
            node = made(op, inputs, sum(nodes[i].size for i in inputs), room=room, **given)
        room -= node.size + node.reads + node.index.size
        nodes.append(node)
    require(nodes, "there are no nodes")
    return nodes


def made(op: str, inputs: list[int], reads: int, *, room: int = MAX_SIZE, **given: Any) -> Node:
    """A node by its keys in FORMAT.md, whose inputs have ``reads`` entries, if it needs no more than ``room`` entries."""
    rows, size, gather = reads, given.pop("size", reads), given.pop("gather", None)
    taps, bases = given.pop("taps", np.zeros((1, 0), int)), given.pop("bases", np.zeros(0, int))
    if op == "linear":
        weight = given.get("weight")
        require(weight is None or weight.shape[::2] == taps.shape, f"weight does not fit taps of shape {taps.shape}")
        rows = taps.size if weight is None else len(taps) * weight.shape[1]
        size = rows * len(bases)
    needed = size + reads + taps.size * len(bases)
    require(size > 0 and needed <= room, f"its value is empty, or it needs {needed} entries, of {room} that are left")
    index = taps.astype(np.int64)[:, :, None] + bases
    if gather is not None:
        require((index < len(gather)).all(), f"it reads entries beyond the {len(gather)} that it gathers")
        index = gather.astype(np.int64)[index]
    require((index < reads).all(), f"it reads entries beyond the {reads} of its inputs")
    require(_once(index), "a tap reads an entry twice")
    plain = index.size == reads and np.array_equal(index.ravel(), np.arange(reads))
    apart = _once(index.reshape(taps.size, len(bases)).T)
    for key in given.keys() & {"bias", "bias_error"}:
        require(len(given[key]) in (size, rows), f"{key} has {len(given[key])} entries for a value of {size}")
        given[key] = given[key].repeat(size // len(given[key]))
    given = {key: value if key == "weight_ulps" else value.astype(np.float64) for key, value in given.items()}
    return Node(op, inputs, size, reads, index, plain, apart, **given)


def _once(entries: Array) -> bool:
    """Whether in no row an entry is there twice, but -1."""
    ordered = np.sort(entries)
    return bool((np.diff(ordered) | (ordered[..., 1:] < 0)).all())
