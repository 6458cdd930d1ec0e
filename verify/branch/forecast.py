"""How much work a search has left, told from how fast its bounds have risen with every split.

A domain whose bound rises by ``g`` with each split, and has ``lower = -v`` now, will have been split into ``2^(v/g)`` leaves by the
time that all of them are refuted. The guess is rough, but so are the differences: where one kind of search is hopeless, the other
is mostly ahead by many powers of two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST_DEPTH = 1.0  # splits below each root, on average, before anything is guessed


def work_left(roots: Tensor, open_: Tensor, leaves: int, work: float) -> float:
    """The binary logarithm of the work that is left; NaN where too little has happened to tell.

    ``roots`` (N,): the bounds of the first domains. ``open_`` (M,): those of the open ones. ``leaves``: how many domains are open
    or refuted by now, for which ``work`` was done.
    """
    if not len(open_):
        return -math.inf
    depth = math.log2(leaves / len(roots))
    if depth < LEAST_DEPTH:
        return math.nan
    gap = -float(roots.mean())
    left = (-open_).clamp(min=0)
    gain = (gap - float(left.sum()) / leaves) / depth
    if gain <= 0:
        return math.inf
    doublings = float(torch.logsumexp(left * (math.log(2.0) / gain), 0)) / math.log(2.0)
    return doublings + math.log2(work / leaves)
