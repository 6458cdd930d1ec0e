"""The ladder of bounds: what each method says of the same inputs, how far it is from the truth, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from math import inf
from statistics import median

import verify
from verify.report.axis import Axis

_STATES = ("unknown", "falsified", "verified")
_EDGE = 2.0  # percent of the paper kept free at both ends
_AWAY = 1.5  # what lies further to the left than so many spans of the others is drawn as an arrow


@dataclass(frozen=True)
class Rung:
    """One method's answer: ``lower <= smallest margin``, how far that is below the best upper bound, and seconds.

    ``start`` and ``end`` of the bar in percent of its paper; ``beyond``: whether the lower bound lies off it, to the left.
    """

    method: str
    lower: float
    gap: float
    verdict: str
    reason: str
    evidence: str
    seconds: float
    start: float
    end: float
    beyond: bool


@dataclass(frozen=True)
class Ladder:
    """The rungs of one input, and where zero lies in percent of the bars' paper; ``state``: in the run."""

    index: int
    label: int
    state: str
    upper: float
    zero: float
    rungs: tuple[Rung, ...]


def chosen(run: verify.Run, count: int) -> tuple[verify.Record, ...]:
    """Up to ``count`` records: unknown, falsified and verified ones in turn, of each the closest calls first.

    Inputs that are misclassified as they are are left out: there is nothing to bound.
    """
    by_state = [
        sorted((r for r in run.records.values() if r.state == state and not r.misclassified), key=_closeness)
        for state in _STATES
    ]
    in_turn = chain.from_iterable(zip_longest(*by_state))
    return tuple(islice((record for record in in_turn if record is not None), count))


def ladders(
    run: verify.Run, network: verify.Network, data: verify.Dataset, *, count: int, timeout: float
) -> tuple[Ladder, ...]:
    """Ask every method about up to ``count`` inputs of ``run``, ``timeout`` seconds each.

    ``network`` and ``data`` must be those of the run. Raises SoundnessError where methods contradict each other.
    """
    asked = run.identity
    region, options = asked["region"], asked["options"]
    found = []
    for record in chosen(run, count):
        answer = verify.compare(
            network,
            data.inputs[record.index],
            record.label,
            epsilon=region["epsilon"],
            clip=None if region["clip"] is None else tuple(region["clip"]),
            norm=region["norm"],
            timeout=timeout,
            semantics=options["semantics"],
            seed=options["seed"],
        )
        found.append(ladder_of(answer, record))
    return tuple(found)


def ladder_of(answer: verify.Comparison, record: verify.Record) -> Ladder:
    """The rungs of one comparison, all drawn on one scale."""
    upper = min(answer.upper)
    lowers = [result.lower for result in answer.results.values()]
    span = max(upper, 0.0) - min(median(lowers), 0.0) or 1.0
    end = max(upper, 0.0)
    scale = Axis(max(min(*lowers, 0.0), end - _AWAY * span), end, _EDGE, 100.0 - _EDGE)
    rungs = tuple(
        Rung(
            method=method,
            lower=result.lower,
            gap=upper - result.lower,
            verdict=result.verdict.value,
            reason=result.reason,
            evidence=min(row.evidence for row in result.margins).label,
            seconds=result.seconds,
            start=scale.at(max(result.lower, scale.low)),
            end=scale.at(upper),
            beyond=result.lower < scale.low,
        )
        for method, result in answer.results.items()
    )
    return Ladder(record.index, record.label, record.state, upper, scale.at(0.0), rungs)


def _closeness(record: verify.Record) -> tuple[float, int]:
    """Small where the answer was nearly another one."""
    known = record.upper if record.state == "falsified" else record.lower
    return (inf if known is None else abs(known), record.index)
