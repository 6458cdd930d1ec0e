"""What the gate found, as the page shows it: thresholds, what changed since the baseline, radii."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verify.gate.outcome import CheckOutcome, GateOutcome, Held

_SHOWN = 20  # indices of one threshold that are listed


@dataclass(frozen=True)
class Threshold:
    """One threshold; ``slack``: by how much it holds, with its sign; ``inputs``: those that stand in its way, in words."""

    name: str
    status: str
    wanted: str
    found: str
    slack: str
    inputs: str


@dataclass(frozen=True)
class GateCheck:
    """One check: its thresholds, and the indices and states of inputs that lost or gained a certificate.

    ``compared``: whether there was a baseline for it.
    """

    name: str
    status: str
    thresholds: tuple[Threshold, ...]
    compared: bool
    lost: tuple[tuple[int, str], ...]
    gained: tuple[tuple[int, str], ...]
    sources: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Gate:
    """The whole outcome; ``radii``: model, index, before, now, and whether it shrank."""

    status: str
    baseline: str | None
    checks: tuple[GateCheck, ...]
    radii: tuple[tuple[str, int, str, str, bool], ...]


def gate_of(outcome: GateOutcome) -> Gate:
    """The outcome in words."""
    radii = sorted(outcome.radii, key=lambda one: (not one.shrunk, one.model, one.index))
    return Gate(
        status=outcome.status.value,
        baseline=outcome.baseline,
        checks=tuple(_check(one) for one in outcome.checks),
        radii=tuple((one.model, one.index, one.before or "none", one.now or "none", one.shrunk) for one in radii),
    )


def _check(outcome: CheckOutcome) -> GateCheck:
    changes = outcome.changes or ()
    return GateCheck(
        name=outcome.check.name,
        status=outcome.status.value,
        thresholds=tuple(_threshold(held) for held in outcome.thresholds),
        compared=outcome.changes is not None,
        lost=tuple((change.index, change.now) for change in changes if change.lost),
        gained=tuple((change.index, change.before) for change in changes if not change.lost),
        sources=tuple(sorted(outcome.sources.items())),
    )


def _threshold(held: Held) -> Threshold:
    listed = ", ".join(str(index) for index in held.inputs[:_SHOWN])
    more = len(held.inputs) - _SHOWN
    inputs = f"{listed} and {more} more" if more > 0 else listed
    return Threshold(held.name, held.status.value, held.wanted, held.found, f"{held.slack:+.4g}", inputs)
