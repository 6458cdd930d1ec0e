"""What floating-point arithmetic may lose in one linear operator, as one vector a layer.

For ``|v| <= magnitude``, the exact ``a (W v + b)`` and the computed ``(a W) v + a b`` differ by at most ``|a| . slack``
with ``slack = gamma_n |W| magnitude + gamma_m |b|`` (n: the longest sum in the operator, m: its number of outputs),
in any summation order; the same vector bounds the error of the forward product. Weights that were rounded while the
file was read are within ``weight_ulps u`` of the true ones and are paid for in the same place. DESIGN.md section 2.3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from verify.bounds.nouns import Interval
from verify.floating import TINY, UNIT, gamma, up
from verify.network import Node
from verify.operators import Linear


def slack(op: Linear, magnitude: Tensor) -> Tensor | None:
    """Error per unit of coefficient, (B, *output_shape), for inputs of at most ``magnitude`` (B, *input_shape).

    None when the operator only moves numbers, which is exact. Recomputed with upward rounding; nothing is trusted.
    """
    if op.terms == 0 and op.bias is None and op.bias_error is None and op.weight_ulps == 0:
        return None
    size = math.prod(op.output_shape)
    product = gamma(op.terms) + 2.0 * op.weight_ulps * UNIT
    total = op.absolute(magnitude) * (product * (1.0 + gamma(op.terms)))
    if op.bias is not None:
        total = total + op.full_bias().abs() * gamma(size)
    if op.bias_error is not None:
        total = total + op.bias_error.expand(op.output_shape)
    # `size` more terms pay for the rounding of the dot product |a| . slack itself.
    return up(up(total) * (1.0 + gamma(size + 8))) + op.terms * TINY


def underflow(node: Node, inputs: list[Interval]) -> Tensor:
    """What underflow may lose where a backward pass goes through ``node``, (B,).

    Each product of the step misses by at most TINY, and there are ``terms`` of them in each coefficient; each
    coefficient is weighed by what the node reads.
    """
    terms = node.operator.terms if isinstance(node.operator, Linear) else 1
    read = torch.stack([x.magnitude().flatten(1).sum(1) for x in inputs]).sum(0)
    return up((read * (terms + 2.0) + 4.0 * math.prod(node.shape)) * (2.0 * TINY))
