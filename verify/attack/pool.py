"""The best candidates met so far, for each clause."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pool:
    """For each of K clauses, ``points`` (K, k, *shape) in order of their largest row ``margin`` (K, k), the least first."""

    points: Tensor
    margin: Tensor

    def with_more(self, points: Tensor, margin: Tensor, keep: int) -> Pool:
        """The best ``keep`` of these and of ``points`` (K, m, *shape) with their ``margin`` (K, m)."""
        return best(torch.cat([self.points, points], 1), torch.cat([self.margin, margin], 1), keep)


def best(points: Tensor, margin: Tensor, keep: int) -> Pool:
    """The ``keep`` points of least margin: (K, m, *shape) and (K, m) -> a pool."""
    least, index = margin.topk(min(keep, margin.shape[1]), dim=1, largest=False)
    which = torch.arange(len(points)).unsqueeze(1)
    return Pool(points[which, index], least)
