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
    """On the last axis; the file's value has the rows of the weight first, so several blocks are transposed after it."""
    blocks, (rows, columns) = math.prod(op.input_shape[:-1]), op.weight.shape
    entry = _linear(torch.arange(columns)[None], columns * torch.arange(blocks), op.weight[None])
    entry |= _common(op, lambda x: x.reshape(blocks, rows).T)
    return [entry] if blocks == 1 else [entry, _select(torch.arange(rows * blocks).reshape(rows, blocks).T)]


def _conv(op: Conv) -> Entries:
    """Over the image with zeros around it, every window is the first one, moved."""
    (p, q), (s, t), (d, e), (high, wide) = op.padding, op.stride, op.dilation, op.weight.shape[2:]
    image = torch.arange(math.prod(op.input_shape)).reshape(op.input_shape)
    padded = torch.nn.functional.pad(image, (q, q, p, p), value=-1)
    at = torch.arange(padded.numel()).reshape(padded.shape)
    taps = at[:, : d * (high - 1) + 1 : d, : e * (wide - 1) + 1 : e].reshape(op.groups, -1)
    bases = at[0, : at.shape[1] - d * (high - 1) : s, : at.shape[2] - e * (wide - 1) : t].reshape(-1)
    entry = _linear(taps, bases, op.weight.reshape(op.groups, -1, taps.shape[1]))
    entry |= _common(op, lambda x: x.flatten(1).amax(1))  # one number a channel
    return [entry | ({"gather": _places(padded.reshape(-1))} if p or q else {})]


def _scale(op: Scale) -> Entries:
    weight = op.weight.expand(op.input_shape).reshape(-1, 1, 1)
    return [_linear(torch.arange(len(weight))[:, None], torch.zeros(1), weight) | _common(op)]


def _reshape(op: Reshape) -> Entries:
    common = _common(op)
    return [_select(torch.arange(math.prod(op.input_shape))) | common] if common else []


def _add(op: Add) -> Entries:
    """One row of ones, on the two values below each other."""
    size = math.prod(op.output_shape)
    return [_linear(torch.tensor([[0, size]]), torch.arange(size), torch.ones(1, 1, 2).double())]


def _concat(op: Concat) -> Entries:
    shapes = [(*op.output_shape[: op.axis], n, *op.output_shape[op.axis + 1 :]) for n in op.sizes]
    positions = torch.arange(math.prod(op.output_shape)).split([math.prod(shape) for shape in shapes])
    index = torch.cat([part.reshape(shape) for part, shape in zip(positions, shapes, strict=True)], op.axis)
    return [_select(index)]


def _select(index: Tensor) -> dict[str, Any]:
    """Entries of a value, -1 for 0. What is read again and again is read by taps of its own."""
    read, each, one = index[index >= 0], torch.arange(index.numel()), torch.zeros(1, 1)
    once = len(read.unique()) == len(read)
    return _linear(one if once else each[:, None], each if once else one[0]) | {"gather": _places(index.reshape(-1))}


def _linear(taps: Tensor, bases: Tensor, weight: Tensor | None = None) -> dict[str, Any]:
    entry = {"op": "linear", "taps": _places(taps), "bases": _places(bases)}
    return entry | ({} if weight is None else {"weight": _smallest(weight)})


def _places(value: Tensor) -> Array:
    array: Array = value.numpy()
    return array.astype(np.int32)


def _common(op: Linear, arranged: Callable[[Tensor], Tensor] = lambda x: x) -> dict[str, Any]:
    """The keys that every linear operator may have, their numbers in the order of the file."""
    entry: dict[str, Any] = {}
    for key, value in (("bias", op.bias), ("bias_error", op.bias_error)):
        if value is not None:
            full = op.full_bias() if key == "bias" else value.expand(op.output_shape)
            entry[key] = _smallest(arranged(full).reshape(-1))
    return entry | ({"weight_ulps": op.weight_ulps} if op.weight_ulps else {})


def _smallest(value: Tensor) -> Array:
    """The numbers as float32 where that is exact, as float64 otherwise."""
    array: Array = value.detach().cpu().contiguous().numpy()
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
    Add: _add,
    Concat: _concat,
}
