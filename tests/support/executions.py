"""Executions of a network in IEEE float32, node by node: sums in many orders, fused or not, subnormals kept or flushed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from verify.executed import executed, meant
from verify.network import Network
from verify.operators import Add, Concat, Input, Linear, ReLU
from verify.selftest.networks import as_stored

Sum = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""``W v + b``: weights (m, n), values (N, n), bias (m,), all float32 -> (N, m)."""

SMALLEST = np.float32(2.0**-126)


def single(network: Network) -> Network:
    """The network with its numbers rounded to float32, as if its file had held these, and the semantics float32."""
    return meant(as_stored(network), "float32")


def flushed(v: np.ndarray) -> np.ndarray:
    return np.where(np.abs(v) < SMALLEST, np.float32(0), v)


def kept(v: np.ndarray) -> np.ndarray:
    return v


def sequential(order: np.ndarray, *, bias_first: bool = False, fused: bool = False, small: Callable = kept) -> Sum:
    """One product after another in ``order`` (a generator's permutation of as many as there are)."""

    def total(W: np.ndarray, v: np.ndarray, b: np.ndarray) -> np.ndarray:
        W, v, b = small(W), small(v), small(b)
        acc = np.broadcast_to(b, (len(v), len(b))).copy() if bias_first else np.zeros((len(v), len(b)), np.float32)
        for k in order[order < W.shape[1]]:
            if fused:
                exact = W[:, k].astype(np.float64) * v[:, k, None].astype(np.float64)  # 48 bits
                acc = small((exact + acc).astype(np.float32))
            else:
                acc = small(acc + small(W[:, k] * v[:, k, None]))
        return acc if bias_first else small(acc + b)

    return total


def pairwise(*, small: Callable = kept) -> Sum:
    """Halves of halves."""

    def tree(p: np.ndarray) -> np.ndarray:
        n = p.shape[2]
        return p[:, :, 0] if n == 1 else small(tree(p[:, :, : n // 2]) + tree(p[:, :, n // 2 :]))

    def total(W: np.ndarray, v: np.ndarray, b: np.ndarray) -> np.ndarray:
        return small(tree(small(small(W)[None] * small(v)[:, None, :])) + small(b))

    return total


def run(network: Network, x: np.ndarray, total: Sum, small: Callable = kept) -> np.ndarray:
    """The scores (N, n_out) of an execution at float32 points (N, *input shape)."""
    done: list[np.ndarray] = []
    for node in network.nodes:
        op, args = node.operator, [done[j] for j in node.inputs]
        if isinstance(op, Input):
            done.append(x.reshape(len(x), -1))
        elif isinstance(op, Linear):
            W = op.matrix().toarray().astype(np.float32)
            moves = getattr(op, "weight", None) is None and op.bias is None
            b = np.zeros(len(W)) if op.bias is None else op.full_bias().reshape(-1).numpy()
            done.append((args[0] @ W.T if moves else total(W, args[0], b.astype(np.float32))).astype(np.float32))
        elif isinstance(op, ReLU):
            done.append(small(np.maximum(args[0], np.float32(0))))
        elif isinstance(op, Add):
            done.append(small(small(args[0]) + small(args[1])))
        elif isinstance(op, Concat):
            shaped = [a.reshape(len(x), *network.nodes[j].shape) for a, j in zip(args, node.inputs, strict=True)]
            done.append(np.concatenate(shaped, op.axis + 1).reshape(len(x), -1))
    assert done[-1].dtype == np.float32
    return done[-1]


def executions(network: Network, x: torch.Tensor, seed: int = 0) -> dict[str, np.ndarray]:
    """Scores (N, n_out) by name of the execution, float64 of float32 numbers."""
    points = x.to(torch.float32).numpy()
    g = np.random.default_rng(seed)
    straight = np.arange(4096)
    kinds: dict[str, tuple[Sum, Callable]] = {
        "sequential": (sequential(straight), kept),
        "backwards": (sequential(straight[::-1]), kept),
        "shuffled": (sequential(g.permutation(4096), bias_first=True), kept),
        "pairwise": (pairwise(), kept),
        "fused": (sequential(straight, fused=True, bias_first=True), kept),
        "fused, shuffled": (sequential(g.permutation(4096), fused=True), kept),
        "flushed": (sequential(straight, small=flushed), flushed),
        "flushed, pairwise": (pairwise(small=flushed), flushed),
    }
    found = {name: run(network, points, total, small).astype(np.float64) for name, (total, small) in kinds.items()}
    return {**found, "torch": executed(network, x).numpy()}
