"""Workers on this machine: child processes that take one task at a time, and are replaced when they die."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from verify.dataset.question import Question
from verify.dataset.task import Done, Failed, Task
from verify.errors import WorkerFailed
from verify.workers import Helper

TASK = "verify.dataset.task:serve"
_BIRTHS = 3  # one may be killed by accident
_CLOSED = "the pool was closed"


class Pool(Protocol):
    """Something that performs tasks elsewhere. ``size``: how many at once."""

    size: int

    def put(self, number: int, task: Task) -> None:
        """Have the task done; its outcome will carry ``number``."""

    def get(self, end: float | None = None) -> tuple[int, Done | Failed] | None:
        """The outcome of some task, once there is one; None where there is none at the time ``end`` (of perf_counter).

        Raises what ends the run: a contradiction, or no worker at all.
        """


def seconds_to(end: float | None) -> float | None:
    """How long to wait until then."""
    return None if end is None else max(0.0, end - time.perf_counter())


@contextmanager
def local_pool(question: Question, workers: int, limit: float | None) -> Iterator[Pool]:
    """``workers`` processes of one thread each, for the time of a ``with`` statement.

    A worker that answers nothing for ``limit`` seconds is killed: that is a failure of its task.
    """
    pool = _Local(question, workers, limit)
    try:
        yield pool
    finally:
        pool.close()


class _Local:
    """Threads that each hold one child process; a task goes to whichever is free."""

    def __init__(self, question: Question, workers: int, limit: float | None) -> None:
        self.size = workers
        self._question, self._limit = question, limit
        self._tasks: queue.SimpleQueue[tuple[int, Task] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[int, Done | Failed | BaseException]] = queue.SimpleQueue()
        self._children: dict[int, Helper] = {}
        self._closed = False
        self._threads = [threading.Thread(target=self._work, args=(k,), daemon=True) for k in range(workers)]
        for thread in self._threads:
            thread.start()

    def put(self, number: int, task: Task) -> None:
        self._tasks.put((number, task))

    def get(self, end: float | None = None) -> tuple[int, Done | Failed] | None:
        try:
            number, outcome = self._outcomes.get(timeout=seconds_to(end))
        except queue.Empty:
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        return number, outcome

    def close(self) -> None:
        """Kill the children, whatever they are doing."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        for child in list(self._children.values()):
            child.close()
        for thread in self._threads:
            thread.join()

    def _work(self, k: int) -> None:
        """Hand tasks to a child until there are none."""
        while (item := self._tasks.get()) is not None and not self._closed:
            number, task = item
            try:
                self._outcomes.put((number, self._ask(k, task)))
            except BaseException as error:  # raised again by the thread that waits for the outcomes
                self._outcomes.put((number, error))
        if k in self._children:
            self._children.pop(k).close()

    def _ask(self, k: int, task: Task) -> Done | Failed:
        if k not in self._children:
            self._children[k] = self._born()
        child = self._children[k]
        if self._closed:  # while it was born: whoever closed the pool has not seen it
            child.close()
            return Failed(_CLOSED)
        child.put(task)
        try:
            outcome = child.get(self._limit)
        except WorkerFailed as gone:
            self._children.pop(k).close()
            return Failed(str(gone).split("\n", 1)[0])
        if outcome is None:
            self._children.pop(k).close()
            return Failed(f"no answer within {self._limit:.0f} s, the worker was killed")
        assert isinstance(outcome, Done | Failed)
        return outcome

    def _born(self) -> Helper:
        """A child that has been told the question; WorkerFailed where none can be started, which ends the run."""
        for _ in range(_BIRTHS):
            child = Helper(TASK)
            while not (child.wait(1.0) or child.stillborn or self._closed):
                pass
            if child.ready:
                child.put(self._question)
                return child
            child.close()
            if self._closed:
                raise WorkerFailed(_CLOSED)
        raise WorkerFailed(
            f"{_BIRTHS} worker processes in a row ended before they could be spoken to: is there memory left?"
        )
