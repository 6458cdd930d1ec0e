"""The network: nodes in topological order. A linear node is a sum of maps, one an input, whatever its op; values are flat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.forms import Numbers, Rejected, Whole, chosen, read, require

Array = NDArray[Any]
MAX_SIZE = 2**25  # of all values, and of all indices of maps, together


@dataclass(frozen=True, eq=False)
class Map:
    """``v -> W v``: output (g, o, p) is the sum over t of ``weight[g, o, t]`` times entry ``index[g, t, p]`` of v, -1 being 0.

    Without weight, output (g, t, p) is that entry. All values (size, R) are those of R functionals or frames, side by side.
    """

    size: int  # of v
    index: Array
    weight: Array | None = None

    @property
    def outputs(self) -> int:
        """The size of ``W v``."""
        return self.index.size if self.weight is None else math.prod(self.weight.shape[:2]) * self.index.shape[2]

    @property
    def back(self) -> int:
        """How many products an entry of ``a W`` is the sum of, at most."""
        return len(self.uses) * (1 if self.weight is None else self.weight.shape[1])

    @cached_property
    def plain(self) -> bool:
        """Whether every entry of v is read once, in their order."""
        return np.array_equal(self.index.ravel(), np.arange(self.size))

    def forwards(self, weight: Array | None, v: Array) -> Array:
        """``W v``, with ``weight`` in place of the map's own: its magnitude, or in another arithmetic."""
        if not self.plain:
            v = np.concatenate([v, np.zeros((1, v.shape[1]), v.dtype)])[self.index.ravel()]
        groups, terms, places = self.index.shape
        product = v if weight is None else weight @ v.reshape(groups, terms, places * v.shape[1])
        return product.reshape(-1, v.shape[1])

    def backwards(self, weight: Array | None, a: Array) -> Array:
        """``a W`` for coefficients a of the outputs, made of the places p alone at which some coefficient is not 0."""
        (groups, _, places), count = self.index.shape, a.shape[1]
        part: Array = a.reshape(groups, -1, places, count)
        live = np.full(places, True) if self.plain else (part != 0).any(axis=(0, 1, 3))
        left = np.count_nonzero(live)
        part = part if left == places else part[:, :, live]
        if weight is not None:
            part = weight.swapaxes(1, 2) @ part.reshape(groups, part.shape[1], left * count)
        if self.plain:
            return part.reshape(-1, count)
        part, out = part.reshape(-1, count), np.zeros((self.size, count), a.dtype)
        rank = np.cumsum(live) - 1
        for entries, sources in self.uses:
            row, place = np.divmod(entries, places)
            kept = live[place]
            out[sources[kept]] += part[(row * left + rank[place])[kept]]
        return out

    @cached_property
    def uses(self) -> list[tuple[Array, Array]]:
        """The places of the index and what is there, in rounds: in round k, those that use something for the k-th time."""
        flat = self.index.ravel()
        order = np.argsort(flat, kind="stable")[np.count_nonzero(flat < 0) :]
        earlier = np.arange(len(order)) - np.searchsorted(flat[order], flat[order])
        rounds = np.split(order[np.argsort(earlier, kind="stable")], np.cumsum(np.bincount(earlier))[:-1])
        return [(entries, flat[entries]) for entries in rounds]


@dataclass(frozen=True)
class Node:
    """One node. ``bias`` and ``bias_error`` have the value's size; all arrays are float64."""

    op: str
    inputs: list[int]
    size: int
    maps: list[Map]
    bias: Array | None = None
    bias_error: Array | None = None
    weight_ulps: int = 0

    @property
    def fan(self) -> int:
        """How many products an entry of the value is the sum of, at most; 0 where nothing is computed."""
        if self.maps and self.maps[0].weight is not None:
            return int(self.maps[0].index.shape[1])
        return int(self.op == "add" or self.bias is not None)


def build(raw: list[Any]) -> list[Node]:
    """The nodes of FORMAT.md, section 2, with arrays in place of their names. Raises `Rejected`."""
    nodes: list[Node] = []
    total = 0
    for j, entry in enumerate(raw):
        op, (form, make) = chosen(_OPS, entry, "op", f"node {j}")
        try:
            require((op == "input") == (j == 0), "the input is the first node, and no other")
            given = read(form | {"op": str}, entry, "it", {"earlier": j})
            inputs, weight = given.get("inputs", []), given.get("weight")
            maps = make(given, *(nodes[i].size for i in inputs)) if make else []
            size = maps[0].outputs if maps else nodes[inputs[0]].size if inputs else given["size"]
            total += size + sum(m.index.size for m in maps)
            require(size and total <= MAX_SIZE, f"a value of {size}; all of them and all indices have {total} entries")
            own = {key: given[key].astype(np.float64) for key in ("bias", "bias_error") if key in given}
            for key, array in own.items():
                rows = size if weight is None else len(weight)
                require(len(array) in (size, rows), f"{key} has {len(array)} entries for a value of {size}")
                own[key] = np.repeat(array, size // len(array))
            if "bias_error" in own:
                own.setdefault("bias", np.zeros(size))
        except Rejected as reason:
            raise Rejected(f"node {j} ({op}): {reason}") from None
        nodes.append(Node(op, inputs, size, maps, **own, weight_ulps=given.get("weight_ulps", 0)))
    require(nodes, "there are no nodes")
    return nodes


def _affine(given: dict[str, Any], size: int) -> list[Map]:
    columns = given["weight"].shape[1]
    require(columns and size % columns == 0, f"weight has {columns} columns for a value of {size}")
    return [Map(size, np.arange(size).reshape(1, columns, -1), given["weight"].astype(np.float64)[None])]


def _conv(given: dict[str, Any], size: int) -> list[Map]:
    weight, (channels, *plane), (s, t), (d, e) = (given[key] for key in ("weight", "shape", "stride", "dilation"))
    outs, each, *kernel = weight.shape
    fits = min(weight.shape) and channels % each == 0 and outs % (channels // each) == 0
    require(
        fits and size == channels * math.prod(plane),
        f"weight has the shape {weight.shape} for a value of {size}, {given['shape']}",
    )
    padded = [n + 2 * p for n, p in zip(plane, given["padding"], strict=True)]
    reach = [1 + far * (n - 1) for far, n in zip((d, e), kernel, strict=True)]
    places = math.prod((n - r) // step + 1 for n, r, step in zip(padded, reach, (s, t), strict=True))
    require(
        reach[0] <= padded[0] and reach[1] <= padded[1], f"a kernel reaches {reach} over a padded plane of {padded}"
    )
    most = channels * max(math.prod(kernel) * places, math.prod(padded))
    require(most <= MAX_SIZE, f"its windows or the padded input have {most} entries, over {MAX_SIZE}")
    positions = np.full((channels, *padded), -1)
    (p, q), (high, wide) = given["padding"], plane
    positions[:, p : p + high, q : q + wide] = np.arange(size).reshape(channels, high, wide)
    seen = np.lib.stride_tricks.sliding_window_view(positions, reach, (1, 2))[:, ::s, ::t, ::d, ::e]
    groups = channels // each
    index = seen.transpose(0, 3, 4, 1, 2).reshape(groups, -1, places)
    return [Map(size, index, weight.astype(np.float64).reshape(groups, outs // groups, -1))]


def _scale(given: dict[str, Any], size: int) -> list[Map]:
    require(len(given["weight"]) == size, f"weight has {len(given['weight'])} entries for a value of {size}")
    return [Map(size, np.arange(size).reshape(size, 1, 1), given["weight"].astype(np.float64).reshape(size, 1, 1))]


def _select(given: dict[str, Any], *sizes: int) -> list[Map]:
    index, ends = given["index"], np.cumsum(sizes)
    require(sizes and index.size * len(sizes) <= MAX_SIZE, f"{index.size} entries of {len(sizes)} values")
    require((index < ends[-1]).all(), f"index names entries that values of {sizes} do not have")
    inside = [(index >= end - n) & (index < end) for n, end in zip(sizes, ends, strict=True)]
    parts = [np.where(own, index - end + n, -1) for own, n, end in zip(inside, sizes, ends, strict=True)]
    return [Map(n, part.reshape(-1, 1, 1)) for n, part in zip(sizes, parts, strict=True)]


def _add(given: dict[str, Any], size: int, other: int) -> list[Map]:
    require(size == other, f"values of {size} and {other} are added")
    return [Map(size, np.arange(size).reshape(-1, 1, 1))] * 2


_ONE = (Whole(0, "earlier"),)
_BIAS = {"inputs": _ONE, "bias?": Numbers("F64 F32", "b"), "bias_error?": Numbers("F64 F32", "b", 0)}
_ULPS = {"weight_ulps?": Whole(0, 2**20)}
_PAIR, _PADDING = (Whole(1, MAX_SIZE),) * 2, (Whole(0, MAX_SIZE),) * 2
_WINDOW = {"shape": (Whole(1, MAX_SIZE),) * 3, "stride": _PAIR, "padding": _PADDING, "dilation": _PAIR}
# op: its keys and what they must be, and the maps of its inputs' values
_OPS: dict[str, tuple[dict[str, Any], Callable[..., list[Map]] | None]] = {
    "input": ({"size": Whole(1, MAX_SIZE)}, None),
    "affine": ({"weight": Numbers("F64 F32", "m n"), **_BIAS, **_ULPS}, _affine),
    "conv": ({"weight": Numbers("F64 F32", "o c h w"), **_WINDOW, **_BIAS, **_ULPS}, _conv),
    "scale": ({"weight": Numbers("F64 F32", "n"), **_BIAS, **_ULPS}, _scale),
    "select": ({"index": Numbers("I64", "m", -1), **_BIAS, "inputs": [Whole(0, "earlier")]}, _select),
    "relu": ({"inputs": _ONE}, None),
    "add": ({"inputs": _ONE * 2}, _add),
}
