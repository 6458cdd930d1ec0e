"""What is asked: rows ``C f(x) + d > 0`` that must hold everywhere in a region, and the query that joins the two."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.errors import UsageError
from verify.network import Network
from verify.region import Box


@dataclass(frozen=True)
class Specification:
    """Holds for an input iff ``C f(x) + d > 0`` in every row for every x of its region; a tie does not hold.

    ``C`` (B or 1, S, n_out), ``d`` (B or 1, S), ``targets`` (B or 1, S): the class or row number that a row stands for.
    """

    C: Tensor
    d: Tensor
    targets: Tensor

    def select(self, index: Tensor) -> Specification:
        """The specifications of the inputs ``index`` (k,)."""
        return Specification(*(t if len(t) == 1 else t[index] for t in (self.C, self.d, self.targets)))


@dataclass(frozen=True)
class Query:
    """One question about B inputs: does the specification hold over each region?"""

    network: Network
    region: Box
    specification: Specification

    def select(self, index: Tensor) -> Query:
        """The same question about the inputs ``index`` (k,) only."""
        return Query(self.network, self.region.select(index), self.specification.select(index))

    def margins(self, x: Tensor) -> Tensor:
        """``C f(x) + d`` at one point per input, in the network's arithmetic: (B, *shape) -> (B, S)."""
        scores = self.network(x)
        C, d = self.specification.C.to(scores.dtype), self.specification.d.to(scores.dtype)
        return torch.einsum("bso,bo->bs", C.expand(len(scores), -1, -1), scores) + d


def classification(labels: Tensor, classes: int) -> Specification:
    """ "The label's score stays the largest": rows ``f_label - f_t`` for every class t but the label; (B,) labels."""
    if classes < 2:
        raise UsageError(f"the network has {classes} output: a classification needs at least two")
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise UsageError(
            f"label {int(wrong[0])} is out of range: the network has {classes} outputs, 0 to {classes - 1}"
        )
    everyone = torch.arange(classes).expand(len(labels), -1)
    targets = everyone[everyone != labels[:, None]].reshape(len(labels), classes - 1)
    identity = torch.eye(classes, dtype=torch.float64)
    C = identity[labels].unsqueeze(1) - identity[targets]
    return Specification(C, torch.zeros(targets.shape, dtype=torch.float64), targets)
