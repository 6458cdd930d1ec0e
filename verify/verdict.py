"""What is answered: margins, verdicts, and how each number is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from verify.errors import SoundnessError
from verify.network import Semantics

if TYPE_CHECKING:
    from verify.certificate import Certificate

Layers: TypeAlias = dict[str, tuple[int, int, int]]
"""By ReLU layer: how many neurons are active, inactive, unstable."""


class Verdict(str, Enum):
    """The answer to a query; an error is an exception, never a verdict."""

    VERIFIED = "verified"  # every row is proved positive over the whole region
    FALSIFIED = "falsified"  # a checked counterexample exists
    UNKNOWN = "unknown"  # neither; the result says why


class Evidence(IntEnum):
    """How a lower bound is known, weakest first, so that ``min`` gives the evidence of a combination."""

    SOLVER_CLAIM = 0  # a MILP solver's own dual bound, or anything computed from one
    RECOMPUTED = 1  # our backward pass, with every rounding error paid for
    CERTIFIED = 2  # recomputed, and the independent checker accepted the certificate

    @property
    def label(self) -> str:
        """The words printed beside a number."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Counterexample:
    """A point that was evaluated: inside the region exactly, and of margin <= 0 in exact real arithmetic, or in an execution.

    Only :func:`verify.witness.confirm` makes one. ``x`` has the network's input shape; ``margin`` is a rigorous upper
    bound of the smallest margin at x (so it is at most 0), ``target`` the class that reaches the label's score.
    ``float32_margin`` is the same margin as torch evaluates it in float32.
    """

    x: Tensor
    target: int
    predicted: int
    margin: float
    float32_margin: float


@dataclass(frozen=True)
class MarginRow:
    """``lower <= margin_target <= upper`` over the region, and how the lower end is known.

    ``proved`` is the lower bound that we recomputed; it equals ``lower`` unless ``lower`` is a solver's claim.
    """

    target: int
    lower: float
    upper: float
    proved: float
    verdict: Verdict
    evidence: Evidence
    method: str
    seconds: float


@dataclass(frozen=True)
class MarginTable:
    """Margins of B inputs and S rows by one method; all tensors (B, S).

    ``lower``: the method's bound; ``proved``: the part of it that we recomputed (equal unless a solver claims more);
    ``upper``: the lowest value at an evaluated point of the region. ``seconds`` is the time of the whole batch, ``reason``
    why rows may be open, ``layers`` the ReLU counts, summed over the inputs. ``trust_solver``: claims verify too.
    ``reasons`` and ``spent``: the reason and the seconds of each input, where the method works on them one by one.
    Raises SoundnessError where a lower bound lies above the value at an evaluated point.
    """

    method: str
    targets: Tensor
    lower: Tensor
    proved: Tensor
    upper: Tensor
    seconds: float
    reason: str
    layers: Layers = field(default_factory=dict)
    trust_solver: bool = False
    reasons: tuple[str, ...] = ()
    spent: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        crossed = (torch.maximum(self.lower, self.proved) > self.upper).nonzero()
        if len(crossed):
            i, s = (int(v) for v in crossed[0])
            how = self.evidence(i, s).label
            raise SoundnessError(
                f"{self.method}: input {i}, target {int(self.targets[i, s])}: the lower bound {float(self.lower[i, s])!r} "
                f"({how}) lies above {float(self.upper[i, s])!r}, the value at an evaluated point; "
                "no number of this run can be trusted"
            )

    def evidence(self, i: int, s: int) -> Evidence:
        """How the lower bound of one row is known."""
        return Evidence.RECOMPUTED if bool(self.lower[i, s] <= self.proved[i, s]) else Evidence.SOLVER_CLAIM

    def counted(self) -> Tensor:
        """The lower bounds that may verify a row: what was proved, or what is claimed where solvers are trusted."""
        return torch.maximum(self.lower, self.proved) if self.trust_solver else self.proved

    def verdicts(self) -> list[Verdict]:
        """The verdict of each input."""
        smallest, least = self.counted().amin(1), self.upper.amin(1)
        return [judge(float(low), float(high)) for low, high in zip(smallest, least, strict=True)]

    def reason_of(self, i: int) -> str:
        """Why input ``i`` may be open."""
        return self.reasons[i] if self.reasons else self.reason

    def seconds_of(self, i: int) -> float:
        """The seconds that input ``i`` took: its own where they are known, else an equal share."""
        return self.spent[i] if self.spent else self.seconds / len(self.lower)

    def rows(self, i: int = 0) -> tuple[MarginRow, ...]:
        """The rows of input ``i``."""
        seconds = self.seconds_of(i)
        counted = self.counted()
        return tuple(
            MarginRow(
                target=int(self.targets[i, s]),
                lower=float(self.lower[i, s]),
                upper=float(self.upper[i, s]),
                proved=float(self.proved[i, s]),
                verdict=judge(float(counted[i, s]), float(self.upper[i, s])),
                evidence=self.evidence(i, s),
                method=self.method,
                seconds=seconds,
            )
            for s in range(self.lower.shape[1])
        )


@dataclass(frozen=True)
class Result:
    """The answer for one input: verdict, margins per target, and the counterexample when there is one.

    ``evidence`` is the weakest evidence that the verdict rests on; ``reason`` says why an unknown is unknown, or why a
    certificate that was asked for is missing. ``semantics``: which functions all of it is about (docs/semantics.md).
    """

    verdict: Verdict
    margins: tuple[MarginRow, ...]
    counterexample: Counterexample | None
    label: int
    predicted: int
    method: str
    evidence: Evidence
    seconds: float
    reason: str = ""
    layers: Layers = field(default_factory=dict)
    certificate: Certificate | None = None
    semantics: Semantics = "real"

    @property
    def lower(self) -> float:
        """Smallest lower bound over the targets."""
        return min(row.lower for row in self.margins)

    @property
    def upper(self) -> float:
        """Smallest upper bound over the targets."""
        return min(row.upper for row in self.margins)


def judge(lower: float, upper: float) -> Verdict:
    """The verdict on a margin between two bounds; no tolerance: ``lower > 0`` verifies and ``upper <= 0`` falsifies."""
    if lower > 0:
        return Verdict.VERIFIED
    return Verdict.FALSIFIED if upper <= 0 else Verdict.UNKNOWN
