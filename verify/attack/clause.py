"""Candidates that may satisfy every row of a clause: projected gradient descent on the largest row."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.network import Network
from verify.property import Clause


def candidates(network: Network, clause: Clause, *, starts: int = 16, steps: int = 40, seed: int = 0) -> Tensor:
    """Points (starts, *shape) of the clause's region, float64, most promising first; candidates, nothing is claimed.

    Descends ``max_j (C f(x) + d)_j`` in float32 from random starts.
    """
    generator = torch.Generator().manual_seed(seed)
    region = clause.region.select(torch.zeros(starts, dtype=torch.long)).to(dtype=torch.float32)
    small, C, d = network.to(dtype=torch.float32), clause.C.float(), clause.d.float()
    x = region.sample(generator)
    best, least = x, torch.full((starts,), torch.inf)
    rate = 0.5
    for _ in range(steps + 1):
        leaf = x.detach().requires_grad_()
        value = (small(leaf) @ C.T + d).amax(1) if len(d) else leaf.flatten(1)[:, 0] * 0 - 1
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        better = value.detach() < least
        least = torch.where(better, value.detach(), least)
        best = torch.where(better.reshape(-1, *[1] * (x.dim() - 1)), x, best)
        x = region.project(x - rate * region.reach() * gradient.sign())
        rate = max(rate * 0.92, 0.01)
    return best[least.argsort()].double()
