"""The canonical file of a network, and its SHA-256: the network's identity (check/FORMAT.md, section 2).

The stored numbers are written as they are, so the identity is that of the function, whatever file it was read from.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from verify.errors import UsageError
from verify.network import Network
from verify.operators import Add, Affine, Concat, Conv, Input, Linear, ReLU, Reshape, Scale, Select
from verify.proof.container import Array, container


def canonical(network: Network) -> bytes:
    """The network's file, bit for bit the same for the same network."""
    nodes: list[dict[str, Any]] = []
    place: list[int] = []  # of each node's value, among the nodes of the file
    for node in network.nodes:
        inputs = [place[i] for i in node.inputs]
        for entry in _ENTRIES[type(node.operator)](node.operator):
            nodes.append(entry | ({"inputs": inputs} if inputs else {}))
            inputs = [len(nodes) - 1]
        place.append(inputs[0])
    return container({"format": "reluproof network", "nodes": nodes})


def identity(network: Network) -> str:
    """SHA-256 of the canonical file, as hexadecimal."""
    return hashlib.sha256(canonical(network)).hexdigest()


def save_network(network: Network, path: str | Path) -> None:
    """Write the canonical file. Raises UsageError where that cannot be done."""
    try:
        Path(path).write_bytes(canonical(network))
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None


Entries = list[dict[str, Any]]
"""Nodes of the file that together are one operator; each but the first reads the one before it."""


def _affine(op: Affine) -> Entries:
    """On the last axis; the file's op works on the first, so several blocks are transposed before and after."""
    blocks, rows = math.prod(op.input_shape[:-1]), len(op.weight)
    entry = {"op": "affine", "weight": _smallest(op.weight), **_common(op, lambda x: x.reshape(blocks, rows).T)}
    if blocks == 1:
        return [entry]
    columns = op.weight.shape[1]
    before, after = (torch.arange(m * n).reshape(m, n).T for m, n in ((blocks, columns), (rows, blocks)))
    return [_select(before), entry, _select(after)]


def _conv(op: Conv) -> Entries:
    window = {key: list(getattr(op, key)) for key in ("stride", "padding", "dilation")}
    common = _common(op, lambda x: x.flatten(1).amax(1))  # one number a channel
    return [{"op": "conv", "weight": _smallest(op.weight), "shape": list(op.input_shape), **window, **common}]


def _scale(op: Scale) -> Entries:
    return [{"op": "scale", "weight": _smallest(op.weight.expand(op.input_shape).reshape(-1)), **_common(op)}]


def _reshape(op: Reshape) -> Entries:
    common = _common(op)
    ones = torch.ones(math.prod(op.input_shape), dtype=torch.float64)
    return [{"op": "scale", "weight": _smallest(ones), **common}] if common else []


def _concat(op: Concat) -> Entries:
    shapes = [(*op.output_shape[: op.axis], n, *op.output_shape[op.axis + 1 :]) for n in op.sizes]
    positions = torch.arange(math.prod(op.output_shape)).split([math.prod(shape) for shape in shapes])
    index = torch.cat([part.reshape(shape) for part, shape in zip(positions, shapes, strict=True)], op.axis)
    return [_select(index)]


def _select(index: Tensor) -> dict[str, Any]:
    return {"op": "select", "index": _smallest(index.reshape(-1))}


def _common(op: Linear, arranged: Callable[[Tensor], Tensor] = lambda x: x) -> dict[str, Any]:
    """The keys that every linear operator may have, their numbers in the order of the file."""
    entry: dict[str, Any] = {}
    for key, value in (("bias", op.bias), ("bias_error", op.bias_error)):
        if value is not None:
            full = op.full_bias() if key == "bias" else value.expand(op.output_shape)
            entry[key] = _smallest(arranged(full).reshape(-1))
    return entry | ({"weight_ulps": op.weight_ulps} if op.weight_ulps else {})


def _smallest(value: Tensor) -> Array:
    """The numbers as float32 where that is exact, as float64 otherwise; positions as int64."""
    array: Array = value.detach().cpu().contiguous().numpy()
    if array.dtype.kind != "f":
        return array.astype(np.int64)
    with np.errstate(over="ignore"):
        small = array.astype(np.float32)
    same = bool((small.astype(np.float64) == array).all()) and bool((np.signbit(small) == np.signbit(array)).all())
    return small if same else array.astype(np.float64)


_ENTRIES: Mapping[type, Callable[[Any], Entries]] = {
    Input: lambda op: [{"op": "input", "size": math.prod(op.output_shape)}],
    Affine: _affine,
    Conv: _conv,
    Scale: _scale,
    Reshape: _reshape,
    Select: lambda op: [_select(op.index) | _common(op)],
    ReLU: lambda op: [{"op": "relu"}],
    Add: lambda op: [{"op": "add"}],
    Concat: _concat,
}
