"""Questions whose answer is known, or that take long."""

from __future__ import annotations

import torch

from verify.load.builder import Builder
from verify.network import Network
from verify.property import Clause
from verify.region import ball
from verify.selftest.networks import weights
from verify.selftest.oracle import lowest_worst_row
from verify.specification import Query, Specification


def hard() -> tuple[Network, Clause]:
    """A question that takes long: three layers of 60, and a row that stays far above what bounds reach."""
    g = torch.Generator().manual_seed(0)
    b = Builder()
    x = b.input((1, 30))
    for _ in range(3):
        x = b.relu(
            b.affine(x, torch.randn(60, x.shape[1], generator=g).double() / 5, torch.randn(60, generator=g).double())
        )
    net = b.finish(b.affine(x, torch.randn(1, 60, generator=g).double(), torch.zeros(1).double()))
    region = ball(torch.zeros(1, 30).double(), 1)
    lowest = net(torch.rand(4096, 30, generator=g, dtype=torch.float64) * 2 - 1).min()
    d = (100.0 - lowest).reshape(1)
    return net, Clause(region, torch.ones(1, 1).double(), d, d, torch.zeros(1).bool())


def exact_clause(q: Query, gap: float, rows: int = 2) -> Clause:
    C, zero = weights(torch.Generator().manual_seed(5), rows, q.network.outputs), torch.zeros(1, rows).double()
    plain = Query(q.network, q.region, Specification(C.unsqueeze(0), zero, torch.zeros(1, rows).long()))
    d = zero[0] + (gap - lowest_worst_row(plain))
    return Clause(q.region, C, d, d, torch.zeros(rows).bool())
