"""The loop around every method: batches, restarts and targets, and an evaluation of whatever is proposed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.attack.boundary import LENGTHS
from verify.attack.judge import Judged, judge
from verify.attack.losses import Goal
from verify.attack.methods import Method
from verify.attack.options import AttackOptions
from verify.attack.question import Question
from verify.attack.report import AttackedInput
from verify.attack.starts import start_of
from verify.attack.task import Meter, Task
from verify.verdict import Counterexample, Verdict

_STRIDE = 1_000_003  # between the seeds of restarts, and its square between those of batches: none is drawn twice


def run(
    question: Question, method: Method, options: AttackOptions, deadline: float | None = None
) -> list[AttackedInput]:
    """Attack every input; deterministic, and time is looked at between steps."""
    answers: list[AttackedInput] = []
    for number, index in enumerate(torch.arange(question.count).split(options.batch)):
        answers += _Batch(question.select(index), method, options, number, deadline).answers()
    return answers


@dataclass
class _Record:
    """The best that is known about one input."""

    point: Tensor
    margin: float
    witness: Counterexample | None = None
    distance: float | None = None
    by: str = ""
    seconds: float = 0.0


class _Batch:
    """One batch under attack."""

    def __init__(
        self, question: Question, method: Method, options: AttackOptions, number: int, deadline: float | None
    ) -> None:
        self.question, self.method, self.options, self.number = question, method, options, number
        begun = time.perf_counter()
        clean = judge(question.query, question.centre, as_given=True)
        self.predicted = question.query.network(question.centre).argmax(1)
        self.correct = torch.tensor([witness is None for witness in clean.witnesses])
        self.records = [
            _Record(point, margin, witness, None if witness is None else 0.0, "clean" if witness is not None else "")
            for point, margin, witness in zip(clean.points, clean.margins.tolist(), clean.witnesses, strict=True)
        ]
        self.meter = Meter(torch.ones(question.count, dtype=torch.long), deadline)
        self.task = search_task(question, options, self.meter)
        self.unfinished = torch.zeros(question.count, dtype=torch.bool)
        self._spend(torch.arange(question.count), begun)

    def answers(self) -> list[AttackedInput]:
        """Run all restarts and return what was found."""
        open_ = self.correct.nonzero().flatten()
        for restart in range(self.options.restarts):
            seed = self.options.seed + _STRIDE * (restart + 1) + _STRIDE**2 * self.number
            share = torch.rand(self.task.centre.shape, generator=torch.Generator().manual_seed(seed % 2**63))
            for aim in self._aims():
                if not len(open_):
                    break
                self._once(open_, restart, aim, share, seed)
                if not self.method.nearest:
                    open_ = torch.tensor(
                        [i for i in open_.tolist() if self.records[i].witness is None], dtype=torch.long
                    )
        return [self._answer(i) for i in range(self.question.count)]

    def _aims(self) -> list[Tensor | None]:
        """The classes that the runs of one restart aim at, (B,) each: the nearest first; None for whichever is nearest."""
        if not self.question.aimed:
            return [None]
        scores = self.question.query.network(self.question.centre).masked_fill(~self.question.allowed, -torch.inf)
        count = int(self.question.allowed.sum(1).max())
        return list(scores.topk(count, dim=1).indices.T)

    def _once(self, open_: Tensor, restart: int, aim: Tensor | None, share: Tensor, seed: int) -> None:
        """One run on the inputs ``open_``, and its evaluation."""
        if self.meter.late:
            self.unfinished[open_] = True
            return
        begun = time.perf_counter()
        device = self.options.device
        task = replace(self.task, goal=replace(self.task.goal, aim=None if aim is None else aim.to(device)))
        task = replace(task.select(open_.to(device)), generator=torch.Generator().manual_seed((seed + 1) % 2**63))
        start = start_of(self.options.start, restart)(task, share[open_].to(device))
        self._take(open_, judge(self.question.query.select(open_), self.method.propose(task, start)), restart)
        self.unfinished[open_] = self.meter.late
        self._spend(open_, begun)

    def _take(self, open_: Tensor, judged: Judged, restart: int) -> None:
        """Keep what is better: a counterexample before none, then the nearer or the lower one."""
        offset = (judged.points - self.question.centre[open_]).flatten(1)
        lengths = LENGTHS[self.question.norm](offset).tolist()
        for k, i in enumerate(open_.tolist()):
            record, witness, margin = self.records[i], judged.witnesses[k], float(judged.margins[k])
            if record.witness is None:
                better = witness is not None or margin < record.margin
            elif witness is None or record.distance is None:
                better = False
            else:
                better = lengths[k] < record.distance if self.method.nearest else margin < record.margin
            if better:
                record.point, record.margin, record.witness = judged.points[k], margin, witness
                record.distance = None if witness is None else lengths[k]
                record.by = f"{self.method.name}, run {restart + 1}"

    def _spend(self, index: Tensor, begun: float) -> None:
        share = (time.perf_counter() - begun) / len(index)
        for i in index.tolist():
            self.records[i].seconds += share

    def _answer(self, i: int) -> AttackedInput:
        record, witness = self.records[i], self.records[i].witness
        reason = "" if witness is not None else ("timeout" if bool(self.unfinished[i]) else "none found")
        return AttackedInput(
            label=int(self.question.labels[i]),
            predicted=int(self.predicted[i]),
            correct=bool(self.correct[i]),
            verdict=Verdict.UNKNOWN if witness is None else Verdict.FALSIFIED,
            counterexample=witness,
            margin=record.margin,
            point=record.point,
            distance=record.distance,
            queries=int(self.meter.queries[i]),
            seconds=record.seconds,
            by=record.by,
            reason=reason,
            survival=self._survival(i) if witness is not None else None,
        )

    def _survival(self, i: int) -> float | None:
        """The share of fresh transformations that leave the counterexample misclassified."""
        change = self.options.transformations
        if change is None:
            return None
        witness = self.records[i].witness
        assert witness is not None
        generator = torch.Generator().manual_seed(self.options.seed)
        copies = replace(change, samples=100).copies(witness.x.unsqueeze(0), generator)[1:].flatten(0, 1)
        one = self.question.select(torch.tensor([i]))
        goal = Goal(one.labels.expand(len(copies)), one.allowed.expand(len(copies), -1))
        return float((goal.margin(one.query.network(copies)) <= 0).double().mean())


def search_task(question: Question, options: AttackOptions, meter: Meter | None = None) -> Task:
    """The question in float32, on the device of the search."""
    meter = meter or Meter(torch.zeros(question.count, dtype=torch.long))
    small, device = torch.float32, options.device
    return Task(
        network=question.query.network.to(dtype=small, device=device),
        region=question.query.region.to(dtype=small, device=device),
        valid=question.valid.to(dtype=small, device=device),
        centre=question.centre.to(device=device, dtype=small),
        goal=Goal(question.labels, question.allowed).to(device),
        norm=question.norm,
        options=options,
        meter=meter,
        owner=torch.arange(question.count),
    )
