"""``verify.run``: a whole data set through the stages, every answer journalled before the next is asked for."""

from __future__ import annotations

import hashlib
import io
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from verify.certify.api import batch_of, read_options
from verify.certify.methods import method_named
from verify.dataset.cluster import cluster_pool
from verify.dataset.journal import Journal, Passed, Past
from verify.dataset.pool import Pool, local_pool
from verify.dataset.progress import Progress, tally
from verify.dataset.question import Ball, Question, Selection, digests_of, run_facts
from verify.dataset.record import File, Record, Witness
from verify.dataset.result import CERTIFICATES, COUNTEREXAMPLES, NETWORK, Run
from verify.dataset.stages import Settled, Stage, stages_of
from verify.dataset.summary import write_summary
from verify.dataset.task import Failed, Task
from verify.errors import UsageError
from verify.executed import meant
from verify.files import keep, made
from verify.load.dataset import Dataset
from verify.network import Network
from verify.proof.canonical import canonical

TRIES = 3  # of a task before its inputs are tried one by one, and of a single input before its record says error
LIMIT = 3.0, 120.0  # a worker that is silent for so many times an input's timeout and so many seconds is killed


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where and how a run is worked on, none of which changes an answer.

    ``workers``: processes at once on this machine, or ``scheduler``: the address of a Dask cluster's. ``resume``: go on with
    the run that the folder holds. ``shard``: (K, N), the K-th of N parts. ``listen``: called with a :class:`Progress` after
    every task. ``budget``: seconds after which the call stops where it is, inputs it has not settled without a record.
    """

    workers: int = 1
    scheduler: str | None = None
    resume: bool = False
    shard: tuple[int, int] = (1, 1)
    listen: Callable[[Progress], None] | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and not self.budget > 0:
            raise UsageError(f"budget is {self.budget}: give a positive number of seconds")


def run(
    network: Network,
    data: Dataset,
    out: str | Path,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    method: str = "auto",
    index: Sequence[int] | None = None,
    execution: Execution | None = None,
    **options: Any,
) -> Run:
    """Certify the inputs ``index`` (default: all) of ``data``; everything is kept in the folder ``out``.

    ``epsilon``, ``clip``, ``norm``, ``method`` and the further options are those of :func:`verify.certify`; ``timeout`` is
    that of the last stage for each input. Raises UsageError for what does not fit, for a folder that holds another run,
    and where another process is at work in it.
    """
    how = execution or Execution()
    end = None if how.budget is None else time.perf_counter() + how.budget
    typed = read_options(options)
    name, _ = method_named(method)
    question = Question(meant(network, typed.semantics), Ball(epsilon, norm, clip), name, typed)
    wanted = tuple(range(len(data)) if index is None else index)
    chosen = data.select(wanted)
    selection = Selection(wanted, how.shard)
    chosen = replace(chosen, inputs=batch_of(network, chosen.inputs))
    question.of(chosen.inputs, chosen.labels)  # whatever does not fit is said before anything is written
    folder = made(out)
    facts = question.facts()
    digests = digests_of(facts, chosen.inputs, chosen.labels)
    with Journal(folder, run_facts(facts, data, selection), resume=how.resume) as journal:
        if not (folder / NETWORK).exists():
            keep(folder / NETWORK, canonical(question.network))
        work = _Work(question, selection, chosen, digests, journal, how)
        notes = _notes(journal.past)
        with work.pool() as pool:
            for stage in stages_of(question.method):
                if not work.through(stage, pool, end):
                    notes += (f"the budget of {how.budget:g} s was spent; resume goes on",)
                    break
        done = Run(folder, journal.past.run, dict(sorted(work.records.items())), tuple(work.passed), notes)
        write_summary(done)  # while the folder is ours
    return done


@dataclass
class _Job:
    """Positions of the selection that one task asks about, and how often that failed; ``block``: of a whole block, its name."""

    positions: tuple[int, ...]
    block: int | None = None
    failures: int = 0


class _Work:
    """What one call of :func:`run` knows: the records so far, and the blocks that each stage has passed."""

    def __init__(
        self,
        question: Question,
        selection: Selection,
        chosen: Dataset,
        digests: Sequence[str],
        journal: Journal,
        how: Execution,
    ) -> None:
        self.question, self.selection, self.chosen, self.journal, self.how = question, selection, chosen, journal, how
        self.records = dict(journal.past.records)
        self.passed = list(journal.past.passed)
        self.tally = tally(self.records.values(), sum(len(block) for block in selection.blocks()))
        self.digests = digests

    def pool(self) -> AbstractContextManager[Pool]:
        """The workers."""
        if self.how.scheduler is not None:
            return cluster_pool(self.question, self.how.scheduler)
        timeout = self.question.options.timeout
        limit = None if timeout is None else LIMIT[0] * timeout + LIMIT[1]
        return local_pool(self.question, self.how.workers, limit)

    def through(self, stage: Stage, pool: Pool, end: float | None) -> bool:
        """Have every input that is open go through ``stage``; False where the time ``end`` came first, and work was left."""
        jobs = deque(self._jobs(stage))
        asked, settled = len(jobs), 0
        running: dict[int, _Job] = {}
        begun, number = time.perf_counter(), 0
        while jobs or running:
            while jobs and len(running) < 2 * pool.size:  # one in hand and one waiting: no worker is ever idle
                running[number] = job = jobs.popleft()
                pool.put(number, self._task(stage, job))
                number += 1
            answer = pool.get(end)
            if answer is None:
                return False
            done, outcome = answer
            job = running.pop(done)
            if isinstance(outcome, Failed):
                again = self._after(job, stage, outcome)
                jobs.extendleft(again)
                settled += not again
                asked += max(0, len(again) - 1)
            else:
                self._write(stage, job, outcome.settled, outcome.seconds)
                settled += 1
            if self.how.listen is not None:
                self.how.listen(Progress(self.tally, stage.name, settled, asked, time.perf_counter() - begun))
        return True

    def _jobs(self, stage: Stage) -> list[_Job]:
        """What ``stage`` has to do: inputs that no earlier stage settled, in their blocks, or one by one.

        A block that a crash left half written goes through the stage with all of its inputs once more, since bounds may
        depend on what is computed beside them; the records that it has stay as they are.
        """
        passed = {(p.stage, p.block) for p in self.passed}
        jobs = []
        for block in self.selection.blocks():
            first = self.selection.index[block[0]]
            if (stage.name, first) in passed:
                continue
            known = {i: self.records.get(self.selection.index[i]) for i in block}
            left = [i for i in block if known[i] is None]
            if stage.alone:
                jobs += [_Job((i,)) for i in left]
            elif left:
                here = [i for i in block if (r := known[i]) is None or (r.stage == stage.name and r.state != "error")]
                jobs.append(_Job(tuple(here), first))
        return jobs

    def _task(self, stage: Stage, job: _Job) -> Task:
        rows = torch.tensor(job.positions)
        return Task(stage.name, self.chosen.inputs[rows], self.chosen.labels[rows])

    def _after(self, job: _Job, stage: Stage, failed: Failed) -> list[_Job]:
        """What is tried next when a task failed: the same again, then its inputs one by one, then nothing more."""
        job.failures += 1
        if job.failures < TRIES:
            return [job]
        if len(job.positions) > 1:
            return [_Job((i,)) for i in job.positions]
        (i,) = job.positions
        self._add(
            [
                Record(
                    index=self.selection.index[i],
                    label=int(self.chosen.labels[i]),
                    predicted=None,
                    state="error",
                    stage=stage.name,
                    question=self.digests[i],
                    reason=f"{failed.cause} ({TRIES} tries)",
                )
            ]
        )
        return []

    def _write(self, stage: Stage, job: _Job, settled: Sequence[Settled], seconds: float) -> None:
        """Journal the answers of a task, their files first."""
        share = seconds / len(job.positions)
        new = [self._record(stage, job.positions[one.place], one, share) for one in settled]
        self._add(new, () if job.block is None else (Passed(stage.name, job.block, seconds),))

    def _add(self, records: Sequence[Record], passed: Sequence[Passed] = ()) -> None:
        new = [record for record in records if record.index not in self.records]
        self.journal.add(new, passed)
        self.records |= {record.index: record for record in new}
        self.tally = self.tally.plus(new)
        self.passed += passed

    def _record(self, stage: Stage, i: int, one: Settled, seconds: float) -> Record:
        index = self.selection.index[i]
        folder = self.journal.path.parent
        witness, certificate = None, None
        if one.counterexample is not None:
            content = io.BytesIO()
            np.save(content, one.counterexample.x.numpy())
            file = _kept(folder, f"{COUNTEREXAMPLES}/{index}.npy", content.getvalue())
            found = one.counterexample
            witness = Witness(file.name, file.sha256, found.predicted, found.margin)
        if one.certificate is not None:
            certificate = _kept(folder, f"{CERTIFICATES}/{index}.reluproof", one.certificate)
        return Record(
            index=index,
            label=int(self.chosen.labels[i]),
            predicted=one.predicted,
            state=one.verdict.value,
            stage=stage.name,
            question=self.digests[i],
            reason=one.reason,
            evidence="" if one.evidence is None else one.evidence.label,
            lower=one.lower,
            upper=one.upper,
            target=one.target,
            seconds=round(seconds, 6),
            counterexample=witness,
            certificate=certificate,
        )


def _kept(folder: Path, name: str, content: bytes) -> File:
    made((folder / name).parent)
    keep(folder / name, content)
    return File(name, hashlib.sha256(content).hexdigest())


def _notes(past: Past) -> tuple[str, ...]:
    """What was noticed when the journal was opened."""
    notes = []
    if past.records:
        notes.append(f"resumed: {len(past.records)} inputs were settled before")
    if past.torn:
        notes.append(f"the journal's last line was torn by a crash: {past.torn} bytes dropped")
    return tuple(notes)
