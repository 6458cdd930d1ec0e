"""The canonical file of a network, and its SHA-256: the network's identity (check/FORMAT.md, section 2).

The stored numbers are written as they are, so the identity is that of the function, whatever file it was read from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from verify.errors import UsageError
from verify.network import Network, Node
from verify.operators import Add, Affine, Concat, Conv, Input, Linear, ReLU, Reshape, Scale, Select
from verify.proof.container import Array, container


def canonical(network: Network) -> bytes:
    """The network's file, bit for bit the same for the same network."""
    arrays: dict[str, Array] = {}

    def store(value: Tensor) -> str:
        name = str(len(arrays))
        arrays[name] = _smallest(value)
        return name

    nodes = []
    for node in network.nodes:
        op = node.operator
        entry: dict[str, Any] = {"op": _NAMES[type(op)], **_KEYS[type(op)](op, store)}
        if node.inputs:
            entry["inputs"] = list(node.inputs)
        if isinstance(op, Linear):
            entry |= _common(node, op, store)
        if isinstance(op, Select):
            entry["index"] = store(op.index)
        nodes.append(entry)
    return container({"format": "reluproof network", "version": 1, "nodes": nodes}, arrays)


def identity(network: Network) -> str:
    """SHA-256 of the canonical file, as hexadecimal."""
    return hashlib.sha256(canonical(network)).hexdigest()


def save_network(network: Network, path: str | Path) -> None:
    """Write the canonical file. Raises UsageError where that cannot be done."""
    try:
        Path(path).write_bytes(canonical(network))
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None


Store = Callable[[Tensor], str]


def _common(node: Node, op: Linear, store: Store) -> dict[str, Any]:
    """The keys that every linear operator may have."""
    entry: dict[str, Any] = {}
    # A convolution's bias has one number a channel; all others have the value's shape.
    shape = op.bias.reshape(-1).shape if isinstance(op, Conv) and op.bias is not None else node.shape
    if op.bias is not None:
        entry["bias"] = store(op.bias.reshape(shape) if isinstance(op, Conv) else op.bias.expand(shape))
    if op.weight_ulps:
        entry["weight_ulps"] = op.weight_ulps
    if op.bias_error is not None:
        error = op.bias_error.expand(op.output_shape)
        if isinstance(op, Conv):
            error = error.flatten(1).amax(1)
        if op.bias is None:
            bias = torch.zeros(error.shape, dtype=torch.float64)
            entry["bias"] = store(bias)
        entry["bias_error"] = store(error)
    return entry


def _smallest(value: Tensor) -> Array:
    """The numbers as float32 where that is exact, as float64 otherwise; positions as int64."""
    array: Array = value.detach().cpu().contiguous().numpy()
    if array.dtype.kind != "f":
        return array.astype(np.int64)
    with np.errstate(over="ignore"):
        small = array.astype(np.float32)
    same = bool((small.astype(np.float64) == array).all()) and bool((np.signbit(small) == np.signbit(array)).all())
    return small if same else array.astype(np.float64)


_NAMES: Mapping[type, str] = {
    Input: "input",
    Affine: "affine",
    Conv: "conv",
    Scale: "scale",
    Reshape: "reshape",
    Select: "select",
    ReLU: "relu",
    Add: "add",
    Concat: "concat",
}

_KEYS: Mapping[type, Callable[[Any, Store], dict[str, Any]]] = {
    Input: lambda op, store: {"shape": list(op.output_shape)},
    Affine: lambda op, store: {"weight": store(op.weight)},
    Conv: lambda op, store: {
        "weight": store(op.weight),
        "stride": list(op.stride),
        "padding": list(op.padding),
        "dilation": list(op.dilation),
        "groups": op.groups,
    },
    Scale: lambda op, store: {"weight": store(op.weight.expand(op.input_shape))},
    Reshape: lambda op, store: {"shape": list(op.shape)},
    Select: lambda op, store: {},
    ReLU: lambda op, store: {},
    Add: lambda op, store: {},
    Concat: lambda op, store: {"axis": op.axis},
}
