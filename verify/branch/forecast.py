"""How much work a search has left, told from how fast its bounds have risen with every split.

A domain whose bound rises by ``g`` with each split, and has ``lower = -v`` now, will have been split into ``2^(v/g)`` leaves by the
time that all of them are refuted. The guess is rough, but so are the differences: where one kind of search is hopeless, the other
is mostly ahead by many powers of two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from verify.branch.domains import Domains

LEAST_LEAVES = 2  # of a clause that is to tell something; the others are taken for as hard as those


def work_left(roots: Domains, open_: Domains, splits: Tensor, work: float) -> float:
    """The binary logarithm of the work that is left for the clauses of ``open_``; NaN where too little has happened to tell.

    ``roots``: the first domains, one a clause. ``splits`` (K,): by clause, how many domains were split, all of which took ``work``.
    """
    if not len(open_):
        return -math.inf
    gap = torch.zeros(len(splits), dtype=torch.float64).index_add(0, roots.clause, roots.lower.neg())
    here = (-open_.lower).clamp(min=0)
    left = torch.zeros_like(gap).index_add(0, open_.clause, here)
    leaves = splits + 1
    told = torch.isin(torch.arange(len(splits)), open_.clause) & (leaves >= LEAST_LEAVES)
    if not bool(told.any()):
        return math.nan
    # The share of the gap that a split closes: a leaf that was refuted has come all the way.
    share = (1.0 - left / (leaves * gap)) / leaves.log2()
    gain = (gap * torch.where(told, share, share[told].mean()))[open_.clause]
    if bool((gain <= 0).any()):
        return math.inf
    doublings = float(torch.logsumexp(here * (math.log(2.0) / gain), 0)) / math.log(2.0)
    return doublings + math.log2(work / float(leaves.sum()))
