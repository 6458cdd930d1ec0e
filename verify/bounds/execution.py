"""How far an execution of a node in IEEE float32 may be from its exact value, as one vector a node.

For a node that computes ``W v + b`` from executed inputs ``v``: ``n`` products and ``n`` additions, in any order, fused or
not, with unit roundoff ``u = 2^-24``, miss by at most ``gamma (|W| |v| + |b|)``, ``gamma = (n + 3) u / (1 - (n + 3) u)``.
Flushing operands or results below ``2^-126`` adds at most ``2^-126 (|v| + |w| + 4)`` a product, which later roundings can
at most double. The sum of two nodes is such a node; a ReLU only flushes; what moves numbers is exact.

These terms are part of :attr:`verify.bounds.nouns.Bounds.slack`, so every backward pass pays for them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.bounds.nouns import Interval
from verify.errors import UsageError
from verify.floating import MOST32, TINY32, UNIT32, gamma, up
from verify.network import Node
from verify.operators import Add, Linear, ReLU


def errors_of(node: Node, inputs: list[Interval]) -> Tensor | None:
    """Error per entry, (B, *shape), of executions whose inputs lie in ``inputs``; None for a node that moves numbers.

    Recomputed, rounded up. Raises UsageError where a value may leave the range of float32.
    """
    op = node.operator
    if isinstance(op, ReLU):
        return torch.full_like(inputs[0].lower, TINY32)
    weight: Tensor | None = getattr(op, "weight", None)
    if not isinstance(op, Add) and not (isinstance(op, Linear) and (weight is not None or op.bias is not None)):
        return None
    sizes = [x.magnitude() for x in inputs]
    largest = torch.stack([size.detach().flatten(1).amax(1) for size in sizes]).sum(0)
    if isinstance(op, Add):
        fan, largest = 2, largest + 1.0  # a row of two ones
        total = up(sizes[0] + sizes[1])
    else:
        fan = op.fan
        largest = largest + (1.0 if weight is None else float(weight.detach().abs().max()))
        total = op.absolute(sizes[0]) * (1.0 + gamma(op.terms))
        total = total if op.bias is None else up(total + op.full_bias().abs())
    count = fan + 3
    relative = count * UNIT32 / (1.0 - count * UNIT32)
    small = (largest + 2.0) * (count * 16.0 * TINY32)
    error = up(up(total * relative) * (1.0 + gamma(8)) + small.reshape(-1, *[1] * len(node.shape)))
    most = float((total + error).detach().max())
    if not most < MOST32:
        raise UsageError(
            f"node {node.name!r} may have values as large as {most:.3g}, which overflow float32, so nothing can be claimed "
            'about its execution: ask with semantics="real", or a smaller region'
        )
    return error
