"""``verify.decide``: the question of a property, from the quickest attack to branch and bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.attack.clause import candidates
from verify.attack.search import Search, quick, thorough
from verify.bounds.nouns import Bounds
from verify.branch.cascade import Attack, SplitInputs, Stage, decide_region
from verify.branch.inputs import by_input_splits
from verify.branch.outcome import Limits
from verify.branch.relu import Confirm
from verify.certificate import Certificate, Refused
from verify.executed import meant
from verify.network import Network, Semantics
from verify.proof.recorder import Recorder, places
from verify.property import Clause, Property, PropertyCounterexample
from verify.representable import representable
from verify.verdict import Verdict
from verify.witness import Replay, confirm_clause
from verify.workers import checked_workers


@dataclass(frozen=True)
class Decision:
    """The answer about a property. VERIFIED: it holds. FALSIFIED: ``counterexample`` breaks it. UNKNOWN: ``reason`` says why."""

    verdict: Verdict
    counterexample: PropertyCounterexample | None
    reason: str
    domains: int
    seconds: float
    certificate: Certificate | Refused | None = None
    semantics: Semantics = "real"


def _nobody(_: list[int]) -> None:
    """No record is kept."""


def decide(
    network: Network,
    prop: Property,
    *,
    timeout: float | None = None,
    seed: int = 0,
    replays: Sequence[Replay] = (),
    workers: int = 1,
    certificate: bool = False,
    semantics: Semantics = "real",
) -> Decision:
    """Does the property hold? Complete but for the limits: time (seconds) and memory, which end the search UNKNOWN.

    ``workers``: cores that may be used at once. From 2 on, hard questions are searched in two ways at once, the second in a
    process of its own; which answers first depends on the machine, what they answer does not. Raises UsageError for none.

    With ``certificate``, a decision that is VERIFIED carries one, or says why it does not: the search then rounds slopes
    to what is stored, and uses only what a certificate can say.

    ``semantics``: ``float32`` asks about the network as it is executed, for float32 inputs (docs/semantics.md). Raises
    UsageError where nothing can be claimed about that.

    Recomputed: every bound that verifies, in float64 with its rounding; every counterexample is evaluated exactly and by
    every runtime of ``replays``, with float32 by those alone, or torch. Trusted: nothing.
    """
    network = meant(network, semantics)
    records: list[Recorder] = []

    def recorder(numbers: list[int]) -> Recorder:
        counts = [len(prop.clauses[k].d) for k in numbers]
        records.append(Recorder(network, places(numbers, counts)))
        return records[-1]

    decision = decide_known(
        network,
        prop,
        timeout=timeout,
        seed=seed,
        replays=replays,
        workers=workers,
        record_for=recorder if certificate else _nobody,
    )
    if not certificate or decision.verdict is not Verdict.VERIFIED:
        return decision
    from verify.proof.certificate import certified  # brings the checker, which most decisions do without

    return replace(decision, certificate=certified(network, prop.clauses, records))


def decide_known(
    network: Network,
    prop: Property,
    *,
    timeout: float | None = None,
    seed: int = 0,
    replays: Sequence[Replay] = (),
    workers: int = 1,
    known: Bounds | None = None,
    record_for: Callable[[list[int]], Recorder | None] = _nobody,
) -> Decision:
    """:func:`decide`, for a caller who has bounds of every node over the region that all clauses share: ``known``.

    ``record_for``: who hears of the bounds about the clauses of these numbers, all about one region.

    Recomputed: as there. Trusted: that ``known`` holds.
    """
    start = time.perf_counter()
    checked_workers(workers)
    limits = Limits(deadline=None if timeout is None else start + timeout, seed=seed)
    judge = _Judge(network, prop, tuple(replays), seed)
    found = judge.attack(range(len(prop.clauses)), quick(seed=seed, deadline=limits.deadline))
    domains, reason = 0, ""
    for numbers in _by_region(prop):
        if found is not None:
            break
        stage = Stage(
            limits,
            judge.points(numbers),
            judge.again(numbers),
            judge.inputs(numbers),
            record=record_for(numbers),
            workers=workers,
            known=known,
        )
        outcome = decide_region(network, [prop.clauses[k] for k in numbers], stage)
        domains, found = domains + outcome.domains, outcome.counterexample
        if outcome.verdict is Verdict.UNKNOWN:
            reason = outcome.reason
    verdict = Verdict.FALSIFIED if found is not None else Verdict.UNKNOWN if reason else Verdict.VERIFIED
    seconds = time.perf_counter() - start
    reason = reason if verdict is Verdict.UNKNOWN else ""
    return Decision(verdict, found, reason, domains, seconds, semantics=network.semantics)


def _by_region(prop: Property) -> list[list[int]]:
    """The numbers of the clauses, those of one region together."""
    together: dict[int, list[int]] = {}
    for k, clause in enumerate(prop.clauses):
        together.setdefault(id(clause.region), []).append(k)
    return list(together.values())


@dataclass(frozen=True)
class _Judge:
    """Says of proposed points whether one is a counterexample of the property."""

    network: Network
    prop: Property
    replays: tuple[Replay, ...]
    seed: int

    def attack(self, numbers: Sequence[int], search: Search) -> PropertyCounterexample | None:
        """Attack the clauses ``numbers`` of the property."""
        clauses = [self.prop.clauses[k] for k in numbers]
        for k, points in zip(numbers, candidates(self.network, clauses, search), strict=True):
            found = self._confirmed(k, points)
            if found is not None:
                return found
        return None

    def again(self, numbers: Sequence[int]) -> Attack:
        """The thorough attack on some of the clauses ``numbers``, given by their positions, within a deadline."""
        return lambda open_, deadline: self.attack(
            [numbers[i] for i in open_.tolist()], thorough(seed=self.seed, deadline=deadline)
        )

    def inputs(self, numbers: Sequence[int]) -> SplitInputs:
        """Input branch and bound on one of the clauses ``numbers``, given by its position."""
        return lambda i, limits: by_input_splits(
            self.network, self.prop.clauses[numbers[i]], limits, number=numbers[i], replays=self.replays
        )

    def points(self, numbers: Sequence[int]) -> Confirm:
        """The judge of points that bounding forms propose about the clauses ``numbers``."""
        clauses = [self.prop.clauses[k] for k in numbers]
        small = self.network.to(dtype=torch.float32)
        C, d = [c.C.float() for c in clauses], [c.d.float() for c in clauses]

        def judge(x: Tensor, clause: Tensor) -> PropertyCounterexample | None:
            """Points (N, *shape), and which clause each was proposed for."""
            if not len(x):
                return None
            scores = small(x.float())
            worst = torch.stack([(C[k] @ y + d[k]).amax() for k, y in zip(clause.tolist(), scores, strict=True)])
            i = int(worst.argmin())
            k = int(clause[i])
            if worst[i] <= 0:
                return self._confirmed(numbers[k], representable(clauses[k].region, x[i : i + 1]))
            return None

        return judge

    def _confirmed(self, number: int, points: Tensor) -> PropertyCounterexample | None:
        clause: Clause = self.prop.clauses[number]
        return confirm_clause(self.network, clause, points, number=number, replays=self.replays)
