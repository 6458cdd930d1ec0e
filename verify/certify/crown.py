"""CROWN: the backward pass with lower slopes 0 or 1, whichever leaves the smaller area (Zhang et al. 2018)."""

from __future__ import annotations

from verify.bounds.compute import fixed_lines
from verify.certify.answer import Answer, answer, row_bounds
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.specification import Query


def crown(query: Query, options: Options) -> Answer:
    """Margins by one backward pass over the pre-activation bounds. Recomputed: everything."""
    bounds = pre_activation_bounds(query, options, "crown")
    at = fixed_lines(bounds, "crown")
    return answer(row_bounds(query, options, bounds, at), bounds)
