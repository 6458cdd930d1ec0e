"""A worker's side: a task comes in, its answers go out, and an input that cannot be answered breaks nothing but itself."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from torch import Tensor

from verify.dataset.question import Question
from verify.dataset.stages import Settled, stages_of
from verify.errors import SoundnessError
from verify.workers import Line


@dataclass(frozen=True)
class Task:
    """The inputs (N, *shape), float64, with their labels, that one stage of a run is asked about."""

    stage: str
    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Done:
    """What a task settled, and the processor seconds that it took."""

    settled: tuple[Settled, ...]
    seconds: float


@dataclass(frozen=True)
class Failed:
    """Why a task has no answer: it raised, or its worker is gone."""

    cause: str


def perform(question: Question, task: Task) -> Done | Failed:
    """The answers of one task. An error of any kind is its answer; only a contradiction is raised, since it ends the run."""
    begun = time.process_time()
    stage = next(stage for stage in stages_of(question.method) if stage.name == task.stage)
    try:
        settled = stage.settle(question, task.inputs, task.labels)
    except SoundnessError:
        raise
    except Exception as error:  # whatever it is, it becomes the record of the inputs that it struck
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})")
    return Done(tuple(settled), time.process_time() - begun)


def serve(line: Line) -> None:
    """A worker's life: the question first, then one task after another."""
    question = line.get()
    while True:
        line.put(perform(question, line.get()))
