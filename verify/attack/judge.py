"""The only word that counts: candidates are made float32 numbers inside the region and evaluated by the witness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.representable import representable
from verify.specification import Query, Specification
from verify.verdict import Counterexample
from verify.witness import confirm

_DOUBT = 1e-9
"""Relative to the largest score: margins above this in float64 are not worth a rigorous evaluation."""

_VALUES = 2**21
"""Numbers in the node values of one rigorous evaluation."""


@dataclass(frozen=True)
class Judged:
    """Of each candidate: the point that was evaluated (B, *shape) float64, its margin (B,), and the counterexample it is.

    The margin is +inf where no point near the candidate lies in the region exactly.
    """

    points: Tensor
    margins: Tensor
    witnesses: tuple[Counterexample | None, ...]


def judge(query: Query, candidates: Tensor, *, as_given: bool = False) -> Judged:
    """Evaluate candidates (B, *shape); with ``as_given`` those that are inside as they are stay so, float32 or not."""
    x = candidates.detach().cpu().double()
    # A search that ran into NaN proposes nothing: the middle of the region is as good a point as any.
    x = torch.where(x.isfinite(), x, query.region.lower / 2 + query.region.upper / 2)
    points = representable(query.region, x)
    if as_given:
        same = query.region.contains(x)
        points[same] = x[same]
    scores = torch.cat([query.network(part) for part in points.split(_chunk(query))])
    spec = query.specification
    rows = torch.einsum("bso,bo->bs", spec.C.expand(len(scores), -1, -1), scores) + spec.d
    worst, row = rows.min(1)
    inside = query.region.contains(points)
    margins = torch.where(inside, worst, torch.inf)
    witnesses: list[Counterexample | None] = [None] * len(points)
    near = (margins <= _DOUBT * scores.abs().amax(1)).nonzero().flatten()
    for part in near.split(_chunk(query)) if len(near) else ():
        found = confirm(_one_row(query, part, row[part]), points[part])
        for i, witness in zip(part.tolist(), found, strict=True):
            witnesses[i] = witness
            if witness is not None:
                margins[i] = witness.margin
    return Judged(points, margins, tuple(witnesses))


def _one_row(query: Query, index: Tensor, row: Tensor) -> Query:
    """The query about the inputs ``index``, each with the row ``row`` only: one is enough to be broken."""
    one = query.select(index)
    pick = torch.arange(len(index))
    spec = one.specification
    tensors = (t.expand(len(index), *t.shape[1:])[pick, row].unsqueeze(1) for t in (spec.C, spec.d, spec.targets))
    return Query(one.network, one.region, Specification(*tensors))


def _chunk(query: Query) -> int:
    """How many inputs at once, so that their values fit into the cache rather than fill the memory."""
    widest = max(torch.Size(node.shape).numel() for node in query.network.nodes)
    return max(1, _VALUES // (8 * widest))
