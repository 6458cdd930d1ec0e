"""Outcomes of gates, made by hand: one for each thing that a format must be able to say, and names that hurt."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from verify.gate.outcome import Change, CheckOutcome, GateOutcome, Held, Line, RadiusChange, Status
from verify.gate.policy import Check, Policy, Thresholds

# What XML, HTML, Markdown, workflow commands or a terminal would take for more than a name.
HOSTILE = "::error::a|b <b>&\"'`*_x_*` @someone #1 [l](www.x.org) https://x.org\n\x00\x1b[31m\ud800\u202e\ufffe%0A,"

HELD = {
    "certified_accuracy": ("at least 0.95", "0.9", -0.05),
    "certified_error": ("at most 0.05", "0.1", -0.05),
    "attacked_error": ("at most 0.01", "0.02", -0.01),
    "clean_error": ("at most 0", "0.01", -0.01),
    "unknown": ("at most 0", "1", -1.0),
    "verified": ("0, 1, 2", "all but 2", -1.0),
    "lost": ("at most 0", "1", -1.0),
    "drop": ("at most 0.01", "0.05", -0.04),
    "errors": ("none", "1", -1.0),
    "evidence": ("none rejected", "1 kept files did not hold up", -1.0),
    "baseline": ("the same questions", "1 ask another question", -1.0),
    "of a later version": ("this", "that", -math.inf),
}
"""A failing threshold of each kind: what was wanted, what was found, the slack."""


def held(name="certified_accuracy", status=Status.PASSED, *, inputs=()):
    wanted, found, slack = HELD[name]
    return Held(name, status, wanted, found, slack if status is not Status.PASSED else -slack, inputs)


def line(index, state="verified", **facts):
    known = {"label": 3, "predicted": 3, "question": "c" * 64, "evidence": "certified", "lower": 0.5, "target": 1}
    return Line(**{**known, "index": index, "state": state, **facts})


def check(*thresholds, name="digits", states=("verified",) * 4, step=1, changes=None, notes=(), model="mlp.onnx"):
    lines = tuple(line(k * step, state, reason="timeout" * (state == "unknown")) for k, state in enumerate(states))
    return CheckOutcome(
        check=Check(name=name, model=model, data="digits.npz", epsilon="0.1", clip=("0", "1"), thresholds=Thresholds()),
        network="a" * 64,
        lines=lines,
        thresholds=thresholds or (held(),),
        sources=Counter(cache=max(len(lines) - 1, 0), fresh=min(len(lines), 1)),
        changes=changes,
        seconds=1.25,
        notes=notes,
    )


def gate(*checks, undecided="report", baseline=None, radii=(), file="policies/reluproof.toml", versions=None):
    return GateOutcome(
        policy=Policy(file=Path(file), checks=tuple(c.check for c in checks), undecided=undecided),
        checks=checks,
        radii=radii,
        baseline=baseline,
        versions={"python": "3.11.7", "torch": "2.13.0"} if versions is None else versions,
        seconds=2.5,
    )


def lost(*indices):
    return tuple(Change(index, "verified", "falsified") for index in indices)


MANY = 10_000

OUTCOMES = {
    "passed": gate(check(), check(held("unknown"), held("errors"), name="noise")),
    "without checks": gate(),
    "without inputs": gate(check(states=())),
    **{f"failed by {name}": gate(check(held(name, Status.FAILED, inputs=(2,)), held("errors"))) for name in HELD},
    "undecided": gate(check(held(status=Status.UNDECIDED), states=("verified", "unknown"))),
    "undecided fails": gate(check(held(status=Status.UNDECIDED)), undecided="fail"),
    "lost and gained": gate(
        check(
            held("lost", Status.FAILED, inputs=(1,)),
            held(),
            states=("verified", "falsified", "unknown", "error"),
            changes=(*lost(1), Change(2, "verified", "unknown"), Change(0, "unknown", "verified")),
            notes=("a certificate of the cache was rejected",),
        ),
        baseline="ledger.json",
        radii=(RadiusChange("mlp.onnx", 1, "0.1", None, True), RadiusChange("mlp.onnx", 0, None, "0.1", False)),
    ),
    "hostile names": gate(
        check(
            Held(HOSTILE, Status.FAILED, HOSTILE, HOSTILE, math.nan, (0,)),
            Held(HOSTILE, Status.UNDECIDED, HOSTILE, HOSTILE, math.inf, (0,)),
            name=HOSTILE,
            model=HOSTILE,
            states=("falsified",),
            changes=lost(0),
            notes=(HOSTILE,),
        ),
        baseline=HOSTILE,
        radii=(RadiusChange(HOSTILE, 0, HOSTILE, None, True),),
        file="a folder/pölicy,:%.toml",
        versions={"torch": HOSTILE, HOSTILE: [math.inf, {"deep": -math.inf}]},
    ),
    "ten thousand lost": gate(
        check(
            held("lost", Status.FAILED, inputs=tuple(range(0, 2 * MANY, 2))),
            states=("falsified",) * MANY,
            step=2,  # no two neighbours, so that their list is as long as it can be
            changes=lost(*range(0, 2 * MANY, 2)),
        ),
        baseline="ledger.json",
        radii=tuple(RadiusChange("mlp.onnx", index, "0.1", "0.05", True) for index in range(MANY)),
    ),
    "many long names": gate(
        *(
            check(held("drop", Status.FAILED), name=f"{k}" + "<" * 5000, model="|" * 5000, changes=lost(0, 1))
            for k in range(300)
        ),
        baseline="&" * 5000,
    ),
}
"""Everything that a format is asked to say, by name."""
