"""The linear part of a node, on values with one leading axis: forwards (W v, without bias) and backwards (a W)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.network import Node

Array = NDArray[Any]
WEIGHTED = ("affine", "conv", "scale")
MOVED = ("reshape", "select")


def forwards(node: Node, weight: Any, v: Any) -> Any:
    """``W v`` for v (R, the input's shape), with ``weight`` (or its magnitude) in place of the node's own."""
    if node.op == "conv":
        return _convolved(node, weight, v)
    if node.op == "select":
        out = np.zeros((len(v), node.size), dtype=v.dtype)
        live, at = _live(node)
        out[:, live] = v.reshape(len(v), -1)[:, at]
        return out.reshape(len(v), *node.shape)
    if node.op == "affine":
        return (v.reshape(-1, v.shape[-1]) @ weight.T).reshape(*v.shape[:-1], -1)
    return v * weight if node.op == "scale" else v.reshape(len(v), *node.shape)


def backwards(node: Node, weight: Any, a: Any) -> Any:
    """``a W`` for coefficients a (R, the value's shape)."""
    if node.op == "conv":
        return _spread(node, weight, a)
    if node.op == "select":
        live, at = _live(node)
        flat, out = a.reshape(len(a), -1)[:, live], np.zeros((len(a), int(np.prod(node.before[0]))), dtype=a.dtype)
        if repeats(node) == 1:
            out[:, at] = flat
        else:
            np.add.at(out.T, at, flat.T)
        return out.reshape(len(a), *node.before[0])
    if node.op == "affine":
        return (a.reshape(-1, a.shape[-1]) @ weight).reshape(*a.shape[:-1], -1)
    return a * weight if node.op == "scale" else a.reshape(len(a), *node.before[0])


def _live(node: Node) -> tuple[Any, Any]:
    """Which entries of a `select` have a source, and where that is."""
    flat = np.ravel(np.asarray(node.index))
    return flat >= 0, flat[flat >= 0]


def terms(node: Node) -> tuple[int, int]:
    """How many products one entry of ``W v`` and one of ``a W`` are the sum of, at most."""
    if node.op == "affine":
        return node.before[0][-1], node.shape[-1]
    if node.op == "conv" and node.weight is not None:
        outs, ins, height, width = node.weight.shape
        return ins * height * width, outs // node.groups * height * width
    return 1, repeats(node)


def repeats(node: Node) -> int:
    """How often a `select` uses one entry, at most."""
    return int(np.bincount(node.index.ravel() + 1)[1:].max(initial=1)) if node.index is not None else 1


def _windows(node: Node, weight: Array) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """For each position of the kernel: which entries of the padded input it meets, and its weights (g, o/g, c/g)."""
    outs, ins, height, width = weight.shape
    grouped = weight.reshape(node.groups, outs // node.groups, ins, height, width)
    (down, right), (deep, wide) = node.stride, node.dilation
    for i in range(height):
        for k in range(width):
            rows = slice(i * deep, i * deep + down * (node.shape[1] - 1) + 1, down)
            columns = slice(k * wide, k * wide + right * (node.shape[2] - 1) + 1, right)
            yield (rows, columns), grouped[..., i, k]


def _convolved(node: Node, weight: Any, v: Array) -> Array:
    (p, q), (outs, high, wide) = node.padding, node.shape
    padded = np.pad(v, ((0, 0), (0, 0), (p, p), (q, q)))
    total: Any = 0
    for (rows, columns), w in _windows(node, weight):
        patch = padded[:, :, rows, columns].reshape(len(v), node.groups, -1, high * wide)
        total = total + w @ patch
    return np.asarray(total).reshape(len(v), outs, high, wide)


def _spread(node: Node, weight: Any, a: Array) -> Array:
    (p, q), (channels, high, wide) = node.padding, node.before[0]
    out = np.zeros((len(a), channels, high + 2 * p, wide + 2 * q), dtype=a.dtype)
    grouped = a.reshape(len(a), node.groups, -1, node.shape[1] * node.shape[2])
    for (rows, columns), w in _windows(node, weight):
        part = w.swapaxes(1, 2) @ grouped
        out[:, :, rows, columns] += part.reshape(len(a), channels, node.shape[1], node.shape[2])
    return out[:, :, p : p + high, q : q + wide]
