"""A network without ReLUs: the margin is a linear function of the input, and its minimum has a closed form."""

from __future__ import annotations

import torch

from verify.bounds.compute import node_bounds
from verify.certify.answer import Answer, answer, row_bounds
from verify.certify.options import Options
from verify.errors import UsageError
from verify.specification import Query


def linear(query: Query, options: Options) -> Answer:
    """Exact margins of an affine classifier, and the points that attain them. Recomputed: everything.

    ``min a . x + b`` over the region, ``a`` the gradient of the margin: equality holds up to rounding, which is paid
    for below and evaluated above. Raises UsageError for a network with ReLUs.
    """
    if query.network.relus:
        raise UsageError(
            f"method 'linear' is for networks without ReLUs, and this one has {len(query.network.relus)} layers of them: "
            "choose another method"
        )
    bounds = node_bounds(query.network, query.region, record=options.record)
    lower = row_bounds(query, options, bounds, {})
    points = tuple(query.region.minimiser(_gradient(query, k)) for k in range(lower.shape[1]))
    return answer(lower, bounds, points=points)


def _gradient(query: Query, row: int) -> torch.Tensor:
    x = query.region.lower.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(query.margins(x)[:, row].sum(), x)
    return gradient
