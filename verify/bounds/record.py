"""What a certificate needs to hear while bounds are computed; who listens lives elsewhere (verify/proof)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from verify.bounds.nouns import Bounds
from verify.bounds.relaxation import Lines


class Record(Protocol):
    """Keeps the slopes behind every reported bound of one input, in the order in which bounds were found."""

    def interval(self, relu: int) -> None:
        """Interval propagation reached the ReLU at position ``relu`` of the network."""

    def stored(self, bounds: Bounds, at: Mapping[int, Lines], *, fine: bool = False) -> dict[int, Lines]:
        """The lines with slopes rounded to those that will be stored; the bound must be computed with these."""

    def neurons(self, start: int, index: Tensor, bounds: Bounds, at: Mapping[int, Lines]) -> None:
        """Node ``start`` was bounded at its neurons ``index`` (k,) with ``at``: rows v, then -v, or shared by all."""

    def margins(self, bounds: Bounds, at: Mapping[int, Lines] | None) -> None:
        """Every row of the specification was bounded with ``at``; None: from the intervals of the last ReLUs."""
