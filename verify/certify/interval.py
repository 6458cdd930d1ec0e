"""Interval bounds, the last linear layers merged with the specification (Gowal et al. 2018)."""

from __future__ import annotations

from verify.certify.answer import Answer, answer, row_bounds
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.specification import Query


def interval(query: Query, options: Options) -> Answer:
    """Margins from the intervals of the last ReLUs. Recomputed: everything."""
    bounds = pre_activation_bounds(query, options, "interval")
    return answer(row_bounds(query, options, bounds, None), bounds)
