"""Several clauses side by side, and how far points are from satisfying theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.network import Network
from verify.property import Clause
from verify.region import Box, L1Ball, L2Ball

_MET = -1e30  # the value of a row that is only there to make clauses equally long: always satisfied
SLACK = 2.0**-18
"""Relative to the largest score: about 64 units of float32, so a candidate that clears it survives a replay."""


@dataclass(frozen=True)
class Aim:
    """K clauses in one dtype: ``region`` of K inputs, ``C`` (K, J, n_out), ``d`` (K, J); J is the most rows of any clause.

    ``shared`` says that the K regions are one and the same; ``fine`` is the same aim in float64.
    """

    network: Network
    region: Box
    C: Tensor
    d: Tensor
    shared: bool
    fine: Aim | None = None

    @property
    def count(self) -> int:
        """Number of clauses K."""
        return len(self.d)

    def rows(self, scores: Tensor, owner: Tensor) -> Tensor:
        """``C f + d`` of the clauses ``owner`` (N,) at points with ``scores`` (N, n_out): (N, J), <= 0 where satisfied."""
        return torch.einsum("njo,no->nj", self.C[owner], scores) + self.d[owner]

    def reached(self, x: Tensor, owner: Tensor, worst: Tensor) -> Tensor:
        """Whether points whose largest row is ``worst`` (N,) satisfy their clause in float64 as well: (N,) bool.

        Ties count: rows such as "this gadget is exactly 0" are never met with slack.
        """
        hit = worst <= 0
        index = hit.nonzero().flatten()
        if len(index) and self.fine is not None:
            wide = self.fine.rows(self.fine.network(x[index].double()), owner[index])
            hit[index] = wide.amax(1) <= 0
        return hit


def slack(scores: Tensor) -> Tensor:
    """How far below 0 the rows of points with ``scores`` (N, n_out) should be, so that a float32 replay agrees: (N,)."""
    return SLACK * scores.abs().amax(1)


def aim(network: Network, clauses: Sequence[Clause]) -> Aim:
    """The clauses, all of one :func:`groups` group, as one batch in float32, and in float64 as its ``fine``."""
    most = max(1, *(len(clause.d) for clause in clauses))
    C = torch.zeros(len(clauses), most, network.outputs, dtype=torch.float64)
    d = torch.full((len(clauses), most), _MET, dtype=torch.float64)
    for k, clause in enumerate(clauses):
        C[k, : len(clause.d)] = clause.C
        d[k, : len(clause.d)] = clause.inner_d
    regions = [clause.region for clause in clauses]
    shared = all(region is regions[0] for region in regions)
    fine = Aim(network, _stacked(regions), C, d, shared)
    small = torch.float32
    return Aim(network.to(dtype=small), fine.region.to(dtype=small), C.to(small), d.to(small), shared, fine)


def groups(clauses: Sequence[Clause], most: int) -> list[list[int]]:
    """Positions of at most ``most`` clauses that one batch can take: boxes together, a ball with those of the same ball."""
    found: dict[object, list[int]] = {}
    for k, clause in enumerate(clauses):
        found.setdefault(id(clause.region) if is_round(clause.region) else Box, []).append(k)
    return [group[i : i + most] for group in found.values() for i in range(0, len(group), most)]


def is_round(region: Box) -> bool:
    """Whether the region is a ball with no corners."""
    return isinstance(region, (L1Ball, L2Ball))


def _stacked(regions: Sequence[Box]) -> Box:
    first = regions[0]
    if is_round(first) or all(region is first for region in regions):
        return first.select(torch.zeros(len(regions), dtype=torch.long))
    ends = (torch.cat([getattr(r, name) for r in regions]) for name in ("lower", "upper", "inner_lower", "inner_upper"))
    return Box(*ends)
