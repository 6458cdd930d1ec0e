"""The Wong-Kolter dual: the backward pass with lower lines parallel to the chords (Wong & Kolter 2018, algorithm 1)."""

from __future__ import annotations

from verify.bounds.compute import fixed_lines
from verify.certify.answer import Answer, answer, row_bounds
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.specification import Query


def dual(query: Query, options: Options) -> Answer:
    """Margins by one backward pass over the pre-activation bounds. Recomputed: everything."""
    bounds = pre_activation_bounds(query, options, "dual")
    at = fixed_lines(bounds, "dual")
    return answer(row_bounds(query, options, bounds, at), bounds)
