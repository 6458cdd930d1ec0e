"""A pool that does its tasks at once in this process, for tests of everything around it; and tasks that break their worker."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from verify.dataset.pool import Pool
from verify.dataset.question import Question
from verify.dataset.task import Done, Failed, Task, perform
from verify.workers import Line

DEADLY = 0.123456789  # an input that begins with this kills whoever looks at it


@contextmanager
def inline_pool(question: Question, workers: int, limit: float | None) -> Iterator[Pool]:
    yield _Inline(question, workers)


class _Inline:
    def __init__(self, question: Question, size: int) -> None:
        self.size, self._question = size, question
        self._waiting: deque[tuple[int, Task]] = deque()

    def put(self, number: int, task: Task) -> None:
        self._waiting.append((number, task))

    def get(self, end: float | None = None) -> tuple[int, Done | Failed] | None:
        if end is not None and time.perf_counter() >= end:
            return None
        number, task = self._waiting.pop()  # the last first: order must not matter
        return number, perform(self._question, task)


def deadly(line: Line) -> None:
    """A worker that is killed by the deadly input."""
    question = line.get()
    while True:
        task = line.get()
        if bool((task.inputs.flatten(1)[:, 0] == DEADLY).any()):
            os.kill(os.getpid(), signal.SIGKILL)
        line.put(perform(question, task))


def accident(line: Line) -> None:
    """A worker that is killed while it works on its second task, once: the folder named in the environment remembers."""
    question, mark = line.get(), os.environ["RELUPROOF_TEST_MARK"]
    for count in range(10**6):
        task = line.get()
        if count == 1:
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        line.put(perform(question, task))


def silent(line: Line) -> None:
    """A worker that never answers."""
    line.get()
    line.get()
    signal.pause()
