"""JSON: the whole outcome as plain data; ``verify/gate/gate.schema.json`` is its schema."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from verify import __version__
from verify.gate.formats.words import location
from verify.gate.outcome import CheckOutcome, GateOutcome, Held

FORMAT = 1
"""Counts up when a reader of the older format would misread the newer one."""

_STATES = ("verified", "falsified", "unknown", "error")


def json_report(outcome: GateOutcome) -> str:
    """The outcome as JSON text. Numbers are finite; null stands where there is none."""
    return json.dumps(as_data(outcome), indent=2, allow_nan=False) + "\n"


def as_data(outcome: GateOutcome) -> dict[str, Any]:
    """The outcome as dictionaries, lists, texts and finite numbers."""
    policy = outcome.policy
    data: dict[str, Any] = {
        "format": FORMAT,
        "tool": {"name": "reluproof", "version": __version__},
        "status": outcome.status.value,
        "exit_code": outcome.exit_code,
        "policy": {"file": location(policy.file), "budget": policy.budget, "undecided": policy.undecided},
        "baseline": outcome.baseline,
        "checks": [_check(check) for check in outcome.checks],
        "radii": [asdict(radius) for radius in outcome.radii],
        "versions": dict(sorted(outcome.versions.items())),
        "seconds": outcome.seconds,
    }
    plain: dict[str, Any] = _plain(data)
    return plain


def _check(found: CheckOutcome) -> dict[str, Any]:
    return {
        "name": found.check.name,
        "status": found.status.value,
        "network": found.network,
        "question": dict(found.check.facts()),
        "states": {state: found.states[state] for state in _STATES},
        "misclassified": sum(line.misclassified for line in found.lines),
        "thresholds": [_threshold(held) for held in found.thresholds],
        "sources": dict(sorted(found.sources.items())),
        "changes": None
        if found.changes is None
        else [{**asdict(change), "lost": change.lost} for change in found.changes],
        "lines": [asdict(line) for line in found.lines],
        "notes": list(found.notes),
        "seconds": found.seconds,
    }


def _threshold(held: Held) -> dict[str, Any]:
    return {**asdict(held), "status": held.status.value}


def _plain(value: Any) -> Any:
    """The same, of what JSON has: infinities and NaN become null, and what is neither number nor text is written as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
