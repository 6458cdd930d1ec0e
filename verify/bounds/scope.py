"""What a way to tighten bounds is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from verify.bounds.backward import Rows
from verify.bounds.nouns import Bounds, Interval
from verify.bounds.record import Record
from verify.bounds.relaxation import Lines
from verify.network import Network
from verify.region import Box
from verify.verdict import Evidence

CACHE_BYTES = 4 * 2**20  # rows of small networks are chunked so that a step stays in the processor's cache


@dataclass(frozen=True)
class Scope:
    """What a tightener may look at: the question, and the bounds of the nodes before ``start``."""

    network: Network
    region: Box
    bounds: Bounds
    start: int  # the node whose interval is wanted; every node before it is known
    index: Tensor  # which of its neurons, positions in its flattened value: all that some input wants
    wanted: Tensor  # (B, k) bool: which of them each input wants; the others' bounds are not used
    record: Record | None = None  # of one input alone


Chooser = Callable[[Scope, Rows], Mapping[int, Lines]]
"""The lines for some rows over a scope: those of ``v``, then of ``-v``."""

Tightener = Callable[[Scope], tuple[Interval, Evidence]]
"""Bounds of the neurons ``index`` of node ``start``: an Interval of (B, k) tensors, and how they are known."""
