"""What VNN-LIB asks: a property, described by what would break it, and the point that does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.region import Box
from verify.specification import Query


@dataclass(frozen=True)
class Clause:
    """One way to break a property: an x of ``region`` with ``C f(x) + d <= 0`` in every row, ``< 0`` where ``strict``.

    ``region`` holds one input. ``C`` (J, n_out) is exact. ``d`` (J,) is rounded down and ``inner_d`` (J,) up, as the
    endpoints of a region are: what is proved with ``d`` and evaluated with ``inner_d`` is true of the number that was
    written. ``strict`` (J,) bool. Without rows (J = 0) every x of the region breaks the property.
    """

    region: Box
    C: Tensor
    d: Tensor
    inner_d: Tensor
    strict: Tensor


@dataclass(frozen=True)
class Property:
    """Holds iff no clause is satisfied by any input; clauses are alternatives. None at all: it holds."""

    clauses: tuple[Clause, ...]
    source: str = ""


def rows_as_clauses(query: Query, i: int = 0) -> Property:
    """The classification question about input ``i`` of a query, as a property: one clause of one row per target."""
    one = query.select(torch.tensor([i]))
    spec = one.specification
    free = torch.zeros(1, dtype=torch.bool)
    rows: Iterator[tuple[Tensor, Tensor]] = zip(spec.C[0], spec.d[0], strict=True)
    return Property(tuple(Clause(one.region, c.unsqueeze(0), d.reshape(1), d.reshape(1), free) for c, d in rows))


@dataclass(frozen=True)
class PropertyCounterexample:
    """A point that was evaluated: inside the clause's region exactly, and satisfying its rows in exact real arithmetic.

    Only :func:`verify.witness.confirm_clause` makes one. ``x`` has the network's input shape; ``clause`` says which clause
    of the property it satisfies; ``scores`` (n_out,) are the network's outputs at x in float64.
    """

    x: Tensor
    clause: int
    scores: Tensor
