"""The network: nodes in topological order, read from a container (or from a reader of ONNX), with the shape of each checked."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.container import Container
from verify.check.reasons import fields, integer, listed, require

Array = NDArray[Any]
MAX_SIZE = 2**27  # of all values together
_ARRAYS = ("weight", "bias", "bias_error", "index")  # in the order in which a canonical file lays them out
_BIAS = ("bias", "bias_error")
# op: (keys that must be there, keys that may be)
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "input": (("shape",), ()),
    "affine": (("weight",), (*_BIAS, "weight_ulps")),
    "conv": (("weight", "stride", "padding", "dilation", "groups"), (*_BIAS, "weight_ulps")),
    "scale": (("weight",), (*_BIAS, "weight_ulps")),
    "reshape": (("shape",), _BIAS),
    "select": (("index",), _BIAS),
    "relu": ((), ()),
    "add": ((), ()),
    "concat": (("axis",), ()),
}
_ARITY = {"input": (0, 0), "add": (2, 2), "concat": (1, 1000)}  # others: one input


@dataclass(frozen=True)
class Node:
    """One node. Arrays are float64 (``index``: int64); ``bias`` and ``bias_error`` have the value's shape."""

    op: str
    inputs: tuple[int, ...]
    before: tuple[tuple[int, ...], ...]  # the shapes of the inputs' values
    shape: tuple[int, ...]
    weight: Array | None = None
    bias: Array | None = None
    bias_error: Array | None = None
    weight_ulps: int = 0
    index: Array | None = None
    axis: int = 0
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def from_container(container: Container) -> tuple[list[Node], str]:
    """The nodes and the identity of a network file."""
    document = fields(container.document, ("format", "version", "nodes"), what="the network's document")
    raw = []
    for j, entry in enumerate(listed(document["nodes"], "the list of nodes")):
        require(type(entry) is dict, f"node {j} is not an object")
        node = {key: value for key, value in entry.items() if value is not None}
        for key in set(node) & set(_ARRAYS):
            node[key] = container.array(node[key], "I64" if key == "index" else "F64 F32", None, f"{key} of node {j}")
        raw.append(node)
    return build(raw), identity(raw)


def build(raw: list[dict[str, Any]]) -> list[Node]:
    """Check the nodes of FORMAT.md, section 2, with arrays in place of their names."""
    nodes: list[Node] = []
    require(bool(raw) and type(raw[0]) is dict and raw[0].get("op") == "input", "node 0 is not the input")
    for j, given in enumerate(raw):
        what = f"node {j}"
        require(type(given) is dict, f"{what} is not an object")
        entry = {key: value for key, value in given.items() if value is not None}
        op = entry.get("op")
        require(
            type(op) is str and op in _KEYS and (op == "input") == (j == 0), f"{what} has the unknown op {op!r:.40}"
        )
        required, optional = _KEYS[str(op)]
        what = f"node {j} ({op})"
        fields(entry, ("op", *(("inputs",) if j else ()), *required), optional, what)
        inputs = tuple(
            integer(i, 0, j - 1, f"an input of {what}") for i in listed(entry.get("inputs", []), f"inputs of {what}")
        )
        low, high = _ARITY.get(str(op), (1, 1))
        require(low <= len(inputs) <= high, f"{what} has {len(inputs)} inputs")
        nodes.append(_node(str(op), inputs, tuple(nodes[i].shape for i in inputs), entry, what))
        require(
            sum(node.size for node in nodes) <= MAX_SIZE, f"{what}: all values together have over {MAX_SIZE} entries"
        )
    require(len(nodes[-1].shape) == 1, f"the output has {len(nodes[-1].shape)} axes, not one")
    return nodes


def identity(raw: list[dict[str, Any]]) -> str:
    """The SHA-256 of the canonical file of these nodes."""
    header: dict[str, Any] = {}
    blobs: list[bytes] = []
    named, position = [], 0
    for node in raw:
        entry = dict(node)
        for key in _ARRAYS:
            if key not in entry:
                continue
            array = np.asarray(entry[key], dtype="<i8" if key == "index" else "<f8")
            dtype = "I64" if key == "index" else "F64"
            if dtype == "F64":
                with np.errstate(over="ignore", under="ignore"):
                    small = array.astype("<f4")
                if (small == array).all():
                    array, dtype = small, "F32"
            blobs.append(array.tobytes())
            entry[key] = str(len(blobs) - 1)
            end = position + len(blobs[-1])
            header[entry[key]] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [position, end]}
            position = end
        named.append(entry)
    header["__metadata__"] = {"reluproof": _text({"format": "reluproof network", "version": 1, "nodes": named})}
    text = _text(header).encode()
    return sha256(struct.pack("<Q", len(text)) + text + b"".join(blobs)).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _node(
    op: str, inputs: tuple[int, ...], before: tuple[tuple[int, ...], ...], entry: dict[str, Any], what: str
) -> Node:
    numbers = {key: _finite(entry[key], f"{key} of {what}") for key in ("weight", *_BIAS) if key in entry}
    extra: dict[str, Any] = {"weight": numbers["weight"]} if "weight" in numbers else {}
    extra["weight_ulps"] = integer(entry.get("weight_ulps", 0), 0, 2**20, f"weight_ulps of {what}")
    shape, more = _SHAPES[op](before, entry, numbers.get("weight"), what)
    require(all(n > 0 for n in shape) and len(shape) <= 8, f"{what} has a value of the shape {shape}")
    require(math.prod(shape) <= MAX_SIZE, f"{what} has a value of over {MAX_SIZE} entries")
    short = {"conv": (shape[0],), "affine": shape[-1:]}.get(op)
    for key in _BIAS:
        if key not in numbers:
            continue
        array = numbers[key]
        require(array.shape in (shape, short), f"{key} of {what} has the shape {array.shape}, not {short or shape}")
        if op == "conv" and array.shape != shape:
            array = array[:, None, None]
        extra[key] = np.broadcast_to(array, shape)
    require(
        "bias_error" not in extra or bool((extra["bias_error"] >= 0).all()),
        f"bias_error of {what} has a negative entry",
    )
    return Node(op, inputs, before, shape, **extra, **more)


def _finite(value: Any, what: str) -> Array:
    array = np.asarray(value)
    require(array.dtype in (np.float32, np.float64), f"{what} is {array.dtype}, not float64 or float32")
    require(bool(np.isfinite(array).all()), f"{what} has an entry that is not a finite number")
    return array.astype(np.float64)


def _dims(value: Any, what: str, count: int | None = None, low: int = 1) -> tuple[int, ...]:
    sizes = tuple(integer(n, low, MAX_SIZE, what) for n in listed(value, what))
    require(count is None or len(sizes) == count, f"{what} has {len(sizes)} entries, not {count}")
    require(len(sizes) <= 8, f"{what} has over 8 entries")
    return sizes


Shapes = tuple[tuple[int, ...], ...]
Found = tuple[tuple[int, ...], dict[str, Any]]  # the shape of a node's value, and the node's own fields


def _input(before: Shapes, entry: dict[str, Any], weight: Any, what: str) -> Found:
    shape = _dims(entry["shape"], f"shape of {what}")
    require(len(shape) >= 1, f"{what} has a value without an axis")
    return shape, {}


def _reshape(before: Shapes, entry: dict[str, Any], weight: Any, what: str) -> Found:
    shape = _dims(entry["shape"], f"shape of {what}")
    require(math.prod(shape) == math.prod(before[0]), f"{what} turns {before[0]} into {shape}, of another size")
    return shape, {}


def _affine(before: Shapes, entry: dict[str, Any], weight: Array, what: str) -> Found:
    ok = weight.ndim == 2 and len(before[0]) > 0 and weight.shape[1] == before[0][-1]
    require(ok, f"weight of {what} has the shape {weight.shape} for a value {before[0]}")
    return (*before[0][:-1], weight.shape[0]), {}


def _scale(before: Shapes, entry: dict[str, Any], weight: Array, what: str) -> Found:
    require(weight.shape == before[0], f"weight of {what} has the shape {weight.shape} for a value {before[0]}")
    return before[0], {}


def _conv(before: Shapes, entry: dict[str, Any], weight: Array, what: str) -> Found:
    own: dict[str, Any] = {key: _dims(entry[key], f"{key} of {what}", 2) for key in ("stride", "dilation")}
    own["padding"] = _dims(entry["padding"], f"padding of {what}", 2, low=0)
    own["groups"] = groups = integer(entry["groups"], 1, MAX_SIZE, f"groups of {what}")
    ok = weight.ndim == 4 and len(before[0]) == 3 and min(weight.shape) > 0
    ok = ok and weight.shape[1] * groups == before[0][0] and weight.shape[0] % groups == 0
    require(ok, f"weight of {what} has the shape {weight.shape} for a value {before[0]} in {groups} groups")
    sizes = []
    for axis in (0, 1):
        padded, reach = (
            before[0][1 + axis] + 2 * own["padding"][axis],
            own["dilation"][axis] * (weight.shape[2 + axis] - 1) + 1,
        )
        require(reach <= padded <= MAX_SIZE, f"{what}: a kernel that reaches {reach} over a padded axis of {padded}")
        sizes.append((padded, (padded - reach) // own["stride"][axis] + 1))
    require(
        before[0][0] * sizes[0][0] * sizes[1][0] <= MAX_SIZE, f"{what}: the padded value has over {MAX_SIZE} entries"
    )
    return (weight.shape[0], sizes[0][1], sizes[1][1]), own


def _select(before: Shapes, entry: dict[str, Any], weight: Any, what: str) -> Found:
    index = np.asarray(entry["index"])
    size = math.prod(before[0])
    ok = index.dtype == np.int64 and index.size > 0 and bool(((index >= -1) & (index < size)).all())
    require(ok, f"index of {what} is not of int64 from -1 to {size - 1}")
    return index.shape, {"index": index}


def _same(before: Shapes, entry: dict[str, Any], weight: Any, what: str) -> Found:
    require(all(shape == before[0] for shape in before), f"{what} has inputs of different shapes {before}")
    return before[0], {}


def _concat(before: Shapes, entry: dict[str, Any], weight: Any, what: str) -> Found:
    axis = integer(entry["axis"], 0, len(before[0]) - 1, f"axis of {what}")
    rest = {(shape[:axis], shape[axis + 1 :]) for shape in before}
    require(len(rest) == 1, f"{what} has inputs of the shapes {before}, which do not fit along axis {axis}")
    return (*before[0][:axis], sum(shape[axis] for shape in before), *before[0][axis + 1 :]), {"axis": axis}


_SHAPES: dict[str, Callable[[Shapes, dict[str, Any], Any, str], Found]] = {
    "input": _input,
    "affine": _affine,
    "conv": _conv,
    "scale": _scale,
    "reshape": _reshape,
    "select": _select,
    "relu": _same,
    "add": _same,
    "concat": _concat,
}
