"""What a certifier hands back before points are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.bounds.backward import Rows
from verify.bounds.compute import spec_bounds
from verify.bounds.nouns import Bounds
from verify.bounds.relaxation import Lines
from verify.certify.options import Options
from verify.specification import Query
from verify.verdict import Evidence


@dataclass(frozen=True)
class Answer:
    """Lower bounds (B, S) of the margins: what is claimed and what was recomputed of it; candidate points, if any.

    ``points``: tensors (B, *shape) of inputs worth evaluating, such as a solver's solutions. ``reason``: why rows may be open;
    ``reasons``, ``spent``: for each input of a method that works on them one by one, why it is open and its seconds.
    """

    lower: Tensor
    proved: Tensor
    bounds: Bounds
    points: tuple[Tensor, ...] = ()
    reason: str = "incomplete method"
    reasons: tuple[str, ...] = ()
    spent: tuple[float, ...] = ()


def answer(
    lower: Tensor, bounds: Bounds, *, points: tuple[Tensor, ...] = (), reason: str = "incomplete method"
) -> Answer:
    """The answer whose bounds came from the backward pass over ``bounds``: proved, unless those are a solver's claim."""
    proved = lower if bounds.evidence >= Evidence.RECOMPUTED else torch.full_like(lower, -torch.inf)
    return Answer(lower, proved, bounds, points, reason)


def row_bounds(query: Query, options: Options, bounds: Bounds, at: Mapping[int, Lines] | None) -> Tensor:
    """Lower bounds (B, S) of the specification's rows with the lines ``at``; None: from the intervals of the last ReLUs.

    Recomputed: everything. Trusted: that ``bounds`` hold. The options' record, if there is one, hears of it.
    """
    if options.record is not None:
        at = None if at is None else options.record.stored(bounds, at, fine=True)
        options.record.margins(bounds, at)
    return spec_bounds(query.network, query.region, bounds, rows_of(query), at)


def rows_of(query: Query) -> Rows:
    """The specification as rows over the output node."""
    spec = query.specification
    return Rows(len(query.network.nodes) - 1, spec.C, spec.d)
