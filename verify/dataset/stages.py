"""The stages that inputs go through, cheapest first: each settles what it can of a few inputs and leaves the rest open.

A stage's answers depend on its inputs alone, never on who computes them or when.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from verify.attack.pgd import PGD, lowest_margins
from verify.certificate import Certificate
from verify.certify.api import answered, predictions
from verify.certify.methods import method_named
from verify.certify.prove import prove
from verify.certify.run import proved_bounds
from verify.dataset.question import Question
from verify.errors import SoundnessError
from verify.representable import representable
from verify.specification import Query
from verify.verdict import Counterexample, Evidence, Verdict
from verify.witness import confirm, upper_margins

ATTACKS = (PGD(steps=20, starts=1), PGD(steps=40, starts=4))
"""What the attack stage does to each input: the second only where the first finds nothing."""


@dataclass(frozen=True)
class Settled:
    """The answer about one input of a task, by its place in it. ``certificate``: the file's content."""

    place: int
    verdict: Verdict
    predicted: int
    evidence: Evidence | None = None
    reason: str = ""
    lower: float | None = None
    upper: float | None = None
    target: int | None = None
    counterexample: Counterexample | None = None
    certificate: bytes | None = None


Settle: TypeAlias = Callable[[Question, Tensor, Tensor], list[Settled]]
"""A question, inputs (N, *shape) float64 and their labels (N,) -> the answers about those inputs that it settles."""


@dataclass(frozen=True)
class Stage:
    """A stage of a run. ``alone``: whether a task of it is one input; else it is a block of them."""

    name: str
    settle: Settle
    alone: bool = False


def classify(question: Question, inputs: Tensor, labels: Tensor) -> list[Settled]:
    """The inputs that are misclassified as they are."""
    query = question.of(inputs, labels)
    return _falsified(query, inputs, query.region.project(inputs))


def attack(question: Question, inputs: Tensor, labels: Tensor) -> list[Settled]:
    """The inputs with a counterexample that projected gradient descent finds."""
    query = question.of(inputs, labels)
    found: dict[int, Settled] = {}
    for how in ATTACKS:
        left = torch.tensor([k for k in range(len(labels)) if k not in found], dtype=torch.long)
        if not len(left):
            break
        part = query.select(left)
        aimed, _ = lowest_margins(part, replace(how, seed=question.options.seed))
        points = [representable(part.region, point) for point in aimed.unbind(1)]
        margins = torch.stack([upper_margins(part, point).amin(1) for point in points], 1)
        best = torch.stack(points, 1)[torch.arange(len(left)), margins.argmin(1)]
        for one in _falsified(part, inputs[left], best):
            place = int(left[one.place])
            found[place] = replace(one, place=place)
    return list(found.values())


def verify_by(method: str) -> Settle:
    """Settles the inputs whose every row ``method`` proves. Recomputed: every bound; nothing is attacked."""

    def settle(question: Question, inputs: Tensor, labels: Tensor) -> list[Settled]:
        query = question.of(inputs, labels)
        proved = proved_bounds(query, method, replace(question.options, timeout=None))
        upper = upper_margins(query, query.region.project(inputs))
        if bool((proved > upper).any()):
            raise SoundnessError(f"{method}: a lower bound lies above the margin at an evaluated point")
        lowest, row = proved.min(1)
        predicted = predictions(query.network, inputs)
        return [
            Settled(
                place=k,
                verdict=Verdict.VERIFIED,
                predicted=int(predicted[k]),
                lower=float(lowest[k]),
                upper=float(upper[k].min()),
                target=int(query.specification.targets[k, row[k]]),
                **_proof(question, query.select(torch.tensor([k])), method, int(labels[k])),
            )
            for k in (lowest > 0).nonzero().squeeze(1).tolist()
        ]

    return settle


def answer_by(method: str) -> Settle:
    """Settles every input, by ``method``, with whatever answer it has."""

    def settle(question: Question, inputs: Tensor, labels: Tensor) -> list[Settled]:
        results = answered(question.of(inputs, labels), inputs, labels, method, question.options)
        settled = []
        for k, result in enumerate(results):
            worst = min(result.margins, key=lambda row: row.lower)
            settled.append(
                Settled(
                    place=k,
                    verdict=result.verdict,
                    predicted=result.predicted,
                    evidence=result.evidence if result.verdict is Verdict.VERIFIED else None,
                    reason=result.reason,
                    lower=_finite(worst.lower),
                    upper=_finite(result.upper),
                    target=worst.target,
                    counterexample=result.counterexample,
                    certificate=None if result.certificate is None else result.certificate.data,
                )
            )
        return settled

    return settle


CLASSIFY, ATTACK = Stage("classify", classify), Stage("attack", attack)
INTERVAL, CROWN, ALPHA = (Stage(name, verify_by(name)) for name in ("interval", "crown", "alpha"))

# Bounds come before the attack, which has nothing to find where they verify; the order changes no verdict.
BEFORE: Mapping[str, tuple[Stage, ...]] = {
    "interval": (CLASSIFY,),
    "dual": (CLASSIFY, INTERVAL),
    "crown": (CLASSIFY, INTERVAL),
    "alpha": (CLASSIFY, INTERVAL, CROWN, ATTACK),
    "lp": (CLASSIFY, INTERVAL, CROWN, ATTACK),
    "milp": (CLASSIFY, INTERVAL, CROWN, ATTACK, ALPHA),
    "complete": (CLASSIFY, INTERVAL, CROWN, ATTACK, ALPHA),
    "linear": (CLASSIFY,),
}
"""The cheap stages before each method, which is the last stage and answers about every input that is left."""


def stages_of(method: str) -> tuple[Stage, ...]:
    """The stages of a run by ``method``. Raises UsageError where there is no such method."""
    name, chosen = method_named(method)
    return (*BEFORE[name], Stage(name, answer_by(name), alone=chosen.batch == 1 or name == "complete"))


def _falsified(query: Query, inputs: Tensor, points: Tensor) -> list[Settled]:
    """The inputs whose point is a counterexample."""
    predicted = predictions(query.network, inputs)
    return [
        Settled(
            place=k,
            verdict=Verdict.FALSIFIED,
            predicted=int(predicted[k]),
            upper=witness.margin,
            target=witness.target,
            counterexample=witness,
        )
        for k, witness in enumerate(confirm(query, points))
        if witness is not None
    ]


def _proof(question: Question, query: Query, method: str, label: int) -> dict[str, Any]:
    """The evidence of one verified input, with its certificate where certificates are asked for."""
    if not question.options.certificates:
        return {"evidence": Evidence.RECOMPUTED}
    found = prove(query, method, question.options, label=label)
    if isinstance(found, Certificate):
        return {"evidence": Evidence.CERTIFIED, "certificate": found.data}
    return {"evidence": Evidence.RECOMPUTED, "reason": found.reason}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
