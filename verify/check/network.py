"""The network: an input, ReLUs, and linear nodes, all of which have one form. Values are flat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from verify.check.forms import Array, Numbers, Rejected, chosen, require

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
        """How many products an entry of ``a W`` is the sum of, at most."""
        uses = np.bincount(self.index.ravel() + 1)[1:].max(initial=2)  # 2: at a ReLU
        return int(uses) * (1 if self.weight is None else self.weight.shape[1])

    @cached_property
    def plain(self) -> bool:
        """Whether every entry of v is read once, in their order."""
        return np.array_equal(self.index.ravel(), np.arange(self.reads))

    def forwards(self, weight: Any, v: Array) -> Array:
        """``W v`` for columns v (reads, ...), with ``weight`` in place of the node's own: its magnitude, or other numbers."""
        seen = v if self.plain else np.concatenate([v, np.zeros((1, *v.shape[1:]), v.dtype)])[self.index]
        value = seen if weight is None else weight @ seen.reshape(*self.index.shape[:2], -1)
        return value.reshape(self.size, *v.shape[1:])

    def backwards(self, weight: Any, a: Array) -> Array:
        """``a W`` for columns a (size, ...), made of the places p alone at which some coefficient is not 0."""
        groups, terms, places = self.index.shape
        part: Array = a.reshape(groups, -1, places, a[0].size)
        live = np.full(places, True) if self.plain else (part != 0).any(axis=(0, 1, 3))
        part = part if live.all() else part[:, :, live]
        if weight is not None:
            part = weight.swapaxes(1, 2) @ part.reshape(groups, part.shape[1], -1)
        if self.plain:
            return part.reshape(self.reads, *a.shape[1:])
        out = np.zeros((self.reads + 1, a[0].size), a.dtype)
        rows = part.reshape(groups * terms, -1, a[0].size)
        for entries, row in zip(self.index[:, :, live].reshape(groups * terms, -1), rows, strict=True):
            out[entries] += row  # no entry of v occurs twice here; the last is what -1 reads
        return out[:-1].reshape(self.reads, *a.shape[1:])


def build(raw: list[Any]) -> list[Node]:
    """The nodes of FORMAT.md, section 2, with arrays in place of their names. Raises `Rejected`."""
    nodes, room = list[Node](), MAX_SIZE
    for j, entry in enumerate(raw):
        op, given = chosen(_OPS, "op", entry, f"node {j}")
        inputs = given.pop("inputs", [])
        try:
            require((op == "input") == (j == 0), "the input is the first node, and no other")
            known = all(type(i) is int and 0 <= i < j for i in inputs) and (j == 0 or inputs)
            require(known and (op == "linear" or len(inputs) < 2), f"inputs are {inputs!r:.80}, not nodes before it")
            node = made(op, inputs, sum(nodes[i].size for i in inputs), room=room, **given)
        except Rejected as reason:
            raise Rejected(f"node {j} ({op}): {reason}") from None
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
        fits = weight is None or weight.shape[::2] == taps.shape
        require(fits, f"weight does not fit taps of the shape {taps.shape}")
        rows = taps.size if weight is None else len(taps) * weight.shape[1]
        size = rows * len(bases)
    needed = size + reads + taps.size * len(bases)
    require(size > 0 and needed <= room, f"its value is empty, or it needs {needed} entries, of {room} that are left")
    index = taps.astype(np.int64)[:, :, None] + bases
    if gather is not None:
        require((index < len(gather)).all(), f"it reads entries beyond the {len(gather)} that it gathers")
        index = gather.astype(np.int64)[index]
    require((index < reads).all(), f"it reads entries beyond the {reads} of its inputs")
    ordered = np.sort(index, axis=2)
    require((np.diff(ordered) | (ordered[:, :, 1:] < 0)).all(), "a tap reads an entry twice")
    for key in given.keys() & {"bias", "bias_error"}:
        require(len(given[key]) in (size, rows), f"{key} has {len(given[key])} entries for a value of {size}")
        given[key] = given[key].repeat(size // len(given[key]))
    given = {key: value if key == "weight_ulps" else value.astype(np.float64) for key, value in given.items()}
    return Node(op, inputs, size, reads, index, **given)
