"""What is answered: margins, verdicts, and how each number is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from torch import Tensor

from verify.errors import SoundnessError


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
        """The word printed beside a number."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Counterexample:
    """A point that was evaluated: inside the region exactly, and of margin <= 0 in exact real arithmetic.

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
    """``lower <= margin_target <= upper`` over the region, and how the lower end is known."""

    target: int
    lower: float
    upper: float
    verdict: Verdict
    evidence: Evidence
    method: str
    seconds: float


@dataclass(frozen=True)
class MarginTable:
    """Margins of B inputs and S rows by one method. ``lower`` from bounds, ``upper`` from evaluated points, (B, S).

    ``seconds`` is the time of the whole batch. Raises SoundnessError where a lower bound lies above an upper one.
    """

    method: str
    targets: Tensor
    lower: Tensor
    upper: Tensor
    evidence: Evidence
    seconds: float
    reason: str = "incomplete method"
    relus: dict[str, tuple[int, int, int]] = field(
        default_factory=dict
    )  # layer: (active, inactive, unstable), all inputs

    def __post_init__(self) -> None:
        crossed = (self.lower > self.upper).nonzero()
        if len(crossed):
            i, s = (int(v) for v in crossed[0])
            raise SoundnessError(
                f"{self.method}: input {i}, target {int(self.targets[i, s])}: the lower bound {float(self.lower[i, s])!r} "
                f"({self.evidence.label}) lies above {float(self.upper[i, s])!r}, the value at an evaluated point; "
                "no number of this run can be trusted"
            )

    def rows(self, i: int = 0) -> tuple[MarginRow, ...]:
        """The rows of input ``i``, in target order."""
        seconds = self.seconds / len(self.lower)
        return tuple(
            MarginRow(
                int(t),
                float(lo),
                float(hi),
                row_verdict(float(lo), float(hi)),
                self.evidence,
                self.method,
                seconds,
            )
            for t, lo, hi in zip(self.targets[i], self.lower[i], self.upper[i], strict=True)
        )


@dataclass(frozen=True)
class Result:
    """The answer for one input: verdict, margins per target, and the counterexample when there is one."""

    verdict: Verdict
    margins: tuple[MarginRow, ...]
    counterexample: Counterexample | None
    label: int
    predicted: int
    method: str
    evidence: Evidence
    seconds: float
    reason: str = ""  # why the verdict is unknown; empty otherwise
    relus: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def lower(self) -> float:
        """Smallest lower bound over the targets."""
        return min(row.lower for row in self.margins)

    @property
    def upper(self) -> float:
        """Smallest upper bound over the targets."""
        return min(row.upper for row in self.margins)


def row_verdict(lower: float, upper: float) -> Verdict:
    """The verdict of one row; no tolerance: only ``lower > 0`` verifies and only ``upper <= 0`` falsifies."""
    if lower > 0:
        return Verdict.VERIFIED
    return Verdict.FALSIFIED if upper <= 0 else Verdict.UNKNOWN
