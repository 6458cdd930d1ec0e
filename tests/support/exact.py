"""A network in rational arithmetic: the value that every bound must hold."""

from __future__ import annotations

from fractions import Fraction

import torch

from verify.network import Network
from verify.operators import Add, Concat, Input, Linear, ReLU


def exact_value(network: Network, x: torch.Tensor) -> list[Fraction]:
    """The network's outputs at one point, in rational arithmetic."""
    return exact_values(network, x)[-1]


def exact_values(network: Network, x: torch.Tensor) -> list[list[Fraction]]:
    """The value of every node at one point, flattened, in rational arithmetic."""
    done: list[list[Fraction]] = []
    for node in network.nodes:
        op, args = node.operator, [done[j] for j in node.inputs]
        if isinstance(op, Input):
            done.append([Fraction(v) for v in x.flatten().tolist()])
        elif isinstance(op, Linear):
            W = op.matrix().tocsr()
            bias = [0.0] * W.shape[0] if op.bias is None else op.full_bias().flatten().tolist()
            rows = []
            for i, b in enumerate(bias):
                span = slice(W.indptr[i], W.indptr[i + 1])
                terms = zip(W.indices[span], W.data[span], strict=True)
                rows.append(Fraction(b) + sum((Fraction(float(w)) * args[0][j] for j, w in terms), Fraction(0)))
            done.append(rows)
        elif isinstance(op, ReLU):
            done.append([max(v, Fraction(0)) for v in args[0]])
        elif isinstance(op, Add):
            done.append([a + b for a, b in zip(*args, strict=True)])
        elif isinstance(op, Concat):
            done.append([v for a in args for v in a])
    return done
