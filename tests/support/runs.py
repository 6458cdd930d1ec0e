"""Runs made up in memory, of any size and state, for what only reads them."""

from __future__ import annotations

import hashlib
import math
import random
from pathlib import Path
from typing import Any

import verify
from verify.dataset.record import File, Witness

REASONS = ("timeout", "incomplete method")
STAGES = ("interval", "crown", "alpha", "complete")


def made_run(folder: Path, count: int, *, epsilon: str = "1/10", **changes: Any) -> verify.Run:
    """``count`` answers of all kinds; ``changes`` are fields of input 0's record."""
    g = random.Random(0)
    records = {i: _record(i, g) for i in range(count)}
    records[0] = verify.Record(**{**records[0].__dict__, **changes})
    identity = {
        "format": 1,
        "network": _digest("network"),
        "specification": "classification",
        "region": {"epsilon": epsilon, "norm": "linf", "clip": ["0", "1"]},
        "method": "complete",
        "options": {"timeout": 20.0, "semantics": "real", "seed": 0, "trust_solver": False},
        "versions": {"python": "3.11.7", "reluproof": "0.1.0"},
        "data": {"inputs": count, "sha256": _digest("data")},
        "shard": [1, 1],
    }
    return verify.Run(folder, identity, records)


def _record(i: int, g: random.Random) -> verify.Record:
    label, target = i % 10, (i + 1 + g.randrange(9)) % 10
    facts: dict[str, Any] = {"index": i, "label": label, "predicted": label, "question": _digest(f"question {i}")}
    spent = round(g.expovariate(2), 6)
    state = g.choices(("verified", "falsified", "unknown", "error"), (84, 9, 6, 1))[0]
    if state == "verified":
        lower = math.ulp(0.0) if g.random() < 0.3 else g.expovariate(0.5)
        file = File(f"certificates/{i}.reluproof", _digest(f"certificate {i}"))
        facts |= {"stage": g.choice(STAGES), "evidence": "certified", "lower": lower, "upper": lower + g.random()}
        facts |= {"target": target, "certificate": file}
    elif state == "falsified":
        predicted = target if g.random() < 0.2 else label
        upper = -g.expovariate(1)
        witness = Witness(f"counterexamples/{i}.npy", _digest(f"counterexample {i}"), target, upper)
        facts |= {"stage": "attack", "upper": upper, "predicted": predicted, "counterexample": witness}
    elif state == "unknown":
        facts |= {"stage": "complete", "reason": g.choice(REASONS), "lower": -g.expovariate(1), "upper": g.random()}
    else:
        facts |= {"stage": "complete", "reason": "worker died (signal 9) (3 tries)", "predicted": None}
    return verify.Record(state=state, seconds=spent, **facts)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
