"""alpha-CROWN: the backward pass with slopes optimised for every row (Xu et al. 2021)."""

from __future__ import annotations

from verify.bounds.nouns import Bounds
from verify.bounds.optimise import optimised_lines, search_copy
from verify.certify.answer import Answer, answer, row_bounds, rows_of
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.specification import Query

STEPS = 50  # the margins are worth more steps than the pre-activation bounds: there are few of them


def alpha(query: Query, options: Options) -> Answer:
    """Margins with optimised slopes. Recomputed: everything; the search only proposes slopes."""
    bounds = pre_activation_bounds(query, options, "alpha")
    return optimised(query, options, bounds)


def optimised(query: Query, options: Options, bounds: Bounds) -> Answer:
    """Margins with optimised slopes over pre-activation bounds that are there already."""
    rows = rows_of(query)
    search = search_copy(query.network, query.region, bounds)
    at = optimised_lines(search, bounds, rows, options.ascent(STEPS))
    reason = "timeout" if options.late else "incomplete method"
    return answer(row_bounds(query, options, bounds, at), bounds, reason=reason)
