"""Parts of a box that no halving excludes: a point of them whose executions may satisfy the clause, for all that bounds tell."""

from __future__ import annotations

from torch import Tensor

from verify.bounds.backward import Rows, backward
from verify.bounds.compute import node_bounds
from verify.bounds.nouns import Bounds
from verify.network import Network
from verify.property import Clause
from verify.region import box

SCATTER = "margin within the rounding of float32"


def hopeless(network: Network, clause: Clause, x: Tensor, *, within: Bounds | None = None) -> bool:
    """Whether the bounds of the point ``x`` (1, *shape) alone leave the clause open: so will those of all parts around it.

    Never so for real arithmetic, where ties are rare and a bound at a point is as good as exact. ``within``: as
    :func:`verify.bounds.compute.node_bounds`. A hint that ends a search undecided; nothing is claimed.
    """
    if network.semantics == "real" or not len(clause.d):
        return False
    at = box(x, x)
    bounds = node_bounds(network, at, within=within)
    rows = Rows(len(network.nodes) - 1, clause.C.unsqueeze(0), clause.d.unsqueeze(0))
    return bool((backward(network, at, bounds, rows, None) <= 0).all())
