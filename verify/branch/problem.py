"""One region, the clauses about it, and what is known of them before any branching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.nouns import Bounds, Interval, unstable
from verify.bounds.strided import for_search
from verify.network import Network
from verify.proof.tree import Tree
from verify.property import Clause
from verify.region import Box


@dataclass(frozen=True)
class Columns:
    """The neurons that may be split, in one row: those of ReLU r are ``index[r]`` of its flattened shape, at ``place[r]``."""

    index: dict[int, Tensor]
    place: dict[int, slice]
    count: int

    def pack(self, layers: dict[int, Tensor]) -> Tensor:
        """Values of layers (N, *shape) as (N, count)."""
        return torch.cat([layers[r].flatten(1)[:, index] for r, index in self.index.items()], 1)


@dataclass(frozen=True)
class Problem:
    """Clauses about one region: is there an x of it with ``C[k] f(x) + d[k] <= 0`` in every row, for some clause k?

    ``region`` holds one input. ``C`` (K, J, n_out), ``d`` (K, J); ``rows`` (K, J) bool says which rows a clause has.
    ``bounds``: values and slack of one input, shared; ``pre`` (K, *shape) of each clause's own, which may assume that the
    clause is satisfied. ``tree`` records how domains end, where a certificate is wanted.
    """

    network: Network
    region: Box
    bounds: Bounds
    C: Tensor
    d: Tensor
    rows: Tensor
    columns: Columns
    tree: Tree | None = None

    @property
    def count(self) -> int:
        """Number of clauses K."""
        return len(self.C)

    def to_search(self) -> Problem:
        """A float32 copy that searches read; its numbers are not bounds of anything."""
        small = Bounds(
            tuple(v.to(torch.float32) for v in self.bounds.values),
            {r: v.to(torch.float32) for r, v in self.bounds.pre.items()},
            (None,) * len(self.bounds.slack),
            self.bounds.underflow.float(),
            self.bounds.source,
            self.bounds.evidence,
        )
        network, region = for_search(self.network), self.region.to(dtype=torch.float32)
        return Problem(network, region, small, self.C.float(), self.d.float(), self.rows, self.columns)


def problem_of(network: Network, region: Box, bounds: Bounds, clauses: Sequence[Clause]) -> Problem:
    """The problem of ``clauses`` about ``region``, over bounds of one input that hold for all of it."""
    most = max(len(c.d) for c in clauses)
    C = torch.zeros(len(clauses), most, network.outputs, dtype=torch.float64)
    d, rows = torch.zeros(len(clauses), most, dtype=torch.float64), torch.zeros(len(clauses), most, dtype=torch.bool)
    for k, clause in enumerate(clauses):
        size = len(clause.d)
        C[k, :size], d[k, :size], rows[k, :size] = clause.C, clause.d, True
    pre = {
        r: Interval(v.lower.expand(len(clauses), *v.lower.shape[1:]), v.upper.expand(len(clauses), *v.upper.shape[1:]))
        for r, v in bounds.pre.items()
    }
    return with_pre(Problem(network, region, bounds, C, d, rows, Columns({}, {}, 0)), pre)


def with_pre(problem: Problem, pre: dict[int, Interval]) -> Problem:
    """The problem with other pre-activation bounds (K, *shape), and the columns that those leave unstable."""
    index, place, count = {}, {}, 0
    for r, interval in pre.items():
        free = unstable(interval).flatten(1).any(0).nonzero().squeeze(1)
        if len(free):
            index[r], place[r] = free, slice(count, count + len(free))
            count += len(free)
    bounds = replace(problem.bounds, pre=pre)
    return Problem(
        problem.network, problem.region, bounds, problem.C, problem.d, problem.rows, Columns(index, place, count)
    )
