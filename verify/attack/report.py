"""What an attack found: an answer for each input, and the totals."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from verify.attack.options import AttackOptions
from verify.verdict import Counterexample, Verdict


@dataclass(frozen=True)
class AttackedInput:
    """The answer for one input; ``verdict`` is FALSIFIED with a counterexample, else UNKNOWN: no attack proves anything.

    ``correct``: whether the input itself is classified as its label. One that is not is attacked, at distance 0.
    ``margin``: the smallest margin at an evaluated point, in real arithmetic where there is a counterexample and in float64
    else; ``point`` (*shape) is where. ``distance`` of the counterexample from the input, in the norm. ``queries`` counts
    evaluations of the network. ``by``: what found it. ``reason``: why an unknown is unknown. ``survival``: the
    share of random transformations that the counterexample survives, where some were asked for.
    """

    label: int
    predicted: int
    correct: bool
    verdict: Verdict
    counterexample: Counterexample | None
    margin: float
    point: Tensor
    distance: float | None
    queries: int
    seconds: float
    by: str = ""
    reason: str = ""
    survival: float | None = None

    @property
    def attacked(self) -> bool:
        """Whether a counterexample was found, the input itself included."""
        return self.counterexample is not None


@dataclass(frozen=True)
class Finding:
    """One check of the diagnosis: ``passed`` is None where it could not be made; ``words`` say what was seen."""

    check: str
    passed: bool | None
    words: str


@dataclass(frozen=True)
class AttackReport:
    """The answers for all inputs, in order, with what was asked and the diagnosis of gradient masking."""

    inputs: tuple[AttackedInput, ...]
    method: str
    norm: str
    epsilon: Fraction | None
    clip: tuple[Fraction, Fraction] | None
    options: AttackOptions
    seconds: float
    diagnosis: tuple[Finding, ...] = field(default=())

    @property
    def clean_error(self) -> float:
        """Share of the inputs that are misclassified as they are."""
        return sum(not one.correct for one in self.inputs) / len(self.inputs)

    @property
    def attacked_error(self) -> float:
        """Share of the inputs with a counterexample: a lower bound of the true robust error."""
        return sum(one.attacked for one in self.inputs) / len(self.inputs)

    @property
    def falsified(self) -> Tensor:
        """Which inputs have a counterexample, (N,) bool."""
        return torch.tensor([one.attacked for one in self.inputs])

    @property
    def points(self) -> Tensor:
        """The best point of each input, counterexample or not, (N, *shape) float64."""
        return torch.stack([one.point for one in self.inputs])

    @property
    def distances(self) -> Tensor:
        """Distance of each counterexample, (N,) float64; inf where there is none."""
        found = [torch.inf if one.distance is None else one.distance for one in self.inputs]
        return torch.tensor(found, dtype=torch.float64)

    @property
    def violations(self) -> tuple[Finding, ...]:
        """The checks that failed: signs that the network hides its gradients or that the attack was too weak."""
        return tuple(finding for finding in self.diagnosis if finding.passed is False)
