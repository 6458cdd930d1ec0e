"""Backward bounds of scattered neurons: the few that a forward pass leaves unstable, others in every box.

Each wanted (box, neuron) pair becomes an input with two rows of its own, ``v`` and ``-v``, so that the price is that of the
pairs alone. The forward pass uses parallel lines everywhere; CROWN's choice of the lower line often settles what is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward
from verify.bounds.compute import neuron_rows
from verify.bounds.nouns import Bounds, Interval
from verify.bounds.relaxation import Lines
from verify.bounds.scope import CACHE_BYTES, Scope
from verify.network import Network
from verify.operators import Add


def scattered_bounds(scope: Scope, lines: Mapping[int, Lines]) -> Interval:
    """The interval of node ``scope.start``, its wanted neurons tightened by the backward pass with ``lines``.

    Recomputed: everything, as in :func:`verify.bounds.backward.backward`. Trusted: that ``bounds`` hold. The result is
    the intersection with the known interval; raises SoundnessError where the two exclude each other.
    """
    network, bounds, start = scope.network, scope.bounds, scope.start
    known = bounds.values[start]
    lower, upper = known.lower.flatten(1).clone(), known.upper.flatten(1).clone()
    rows = neuron_rows(scope, scope.index)
    widest = max(math.prod(node.shape) for node in network.nodes[: start + 1])
    at_once = max(64, CACHE_BYTES // (6 * widest * lower.element_size()))
    pairs = scope.wanted.nonzero()
    for owner, place in (p.unbind(1) for p in pairs.split(at_once) if len(p)):
        coefficient, constant = rows.coefficient[0, place].unsqueeze(1), rows.constant[0, place].unsqueeze(1)
        both = Rows(rows.start, torch.cat([coefficient, -coefficient], 1), torch.cat([constant, -constant], 1))
        own = {r: line.select(owner) for r, line in lines.items()}
        found = backward(network, scope.region.select(owner), _selected(network, bounds, owner), both, own)
        neuron = scope.index[place]
        lower[owner, neuron], upper[owner, neuron] = found[:, 0], -found[:, 1]
    tight = Interval(lower.reshape(known.lower.shape), upper.reshape(known.upper.shape))
    return known.intersect(tight, where=f"backward bounds of node {network.nodes[start].name!r}")


def _selected(network: Network, bounds: Bounds, owner: Tensor) -> Bounds:
    """What a backward pass reads of the bounds; intervals are only read where nodes are added."""
    joins = any(isinstance(node.operator, Add) for node in network.nodes)
    return Bounds(
        tuple(v.select(owner) for v in bounds.values) if joins else (),
        {},
        tuple(None if s is None else s[owner] for s in bounds.slack),
        bounds.underflow[owner],
        bounds.source,
        bounds.evidence,
    )
