"""Open inputs settled side by side: this process and its helpers each take the next one as soon as they are free."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

from verify.bounds.nouns import Bounds
from verify.branch.decide import Decision, decide_known
from verify.network import Network
from verify.property import Property
from verify.workers import Helper, Line, helper, one_thread

TASK = "verify.certify.team:settle_beside"


@dataclass(frozen=True)
class Job:
    """One question: a property of the team's network, what is known of its region, and the seconds that it may take."""

    prop: Property
    known: Bounds | None
    seconds: float | None
    seed: int

    def settled(self, network: Network, workers: int = 1) -> Decision:
        """The decision about it."""
        return decide_known(network, self.prop, timeout=self.seconds, seed=self.seed, workers=workers, known=self.known)


class Team:
    """This process and up to ``workers - 1`` others, which start with the first batch of jobs and stay for the next.

    Use it in a ``with`` statement, whose end takes the processes down.
    """

    def __init__(self, network: Network, workers: int) -> None:
        self._network, self._workers = network, workers
        self._helpers: list[Helper] = []
        self._told: set[int] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Team:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._helpers = []
        self._stack.close()

    def settled(self, jobs: Sequence[Job]) -> list[Decision]:
        """The decisions about ``jobs``, in their order: the same whoever made them, but for the limits of time.

        Raises what a helper's work raises; no decision comes of a helper that failed.
        """
        if self._workers == 1 or len(jobs) < 2:
            return [job.settled(self._network, self._workers) for job in jobs]
        self._start()
        run = _Run(self._network, jobs)
        threads = [threading.Thread(target=self._serve, args=(run, h), daemon=True) for h in self._helpers]
        for thread in threads:
            thread.start()
        try:
            with one_thread():
                run.work()
        finally:
            run.drain()  # after an error here nobody starts another
        for thread in threads:
            thread.join()
        run.check()
        return [run.done[k] for k in range(len(jobs))]

    def _start(self) -> None:
        while len(self._helpers) < self._workers - 1 and (child := helper(TASK)) is not None:
            self._helpers.append(self._stack.enter_context(child))

    def _serve(self, run: _Run, child: Helper) -> None:
        """Hand jobs to ``child`` until there are none, or it fails."""
        try:
            while not child.wait(1.0):
                if child.stillborn or run.jobs.empty():
                    return
            if id(child) not in self._told:
                self._told.add(id(child))
                child.put(self._network)
            while (k := run.next()) is not None:
                child.put(run.asked[k])
                run.done[k] = child.get()
        except BaseException as error:  # raised again by the thread that waits for the results
            run.errors.append(error)
            run.drain()


class _Run:
    """One batch of jobs: those that nobody has taken, the decisions, and what went wrong."""

    def __init__(self, network: Network, asked: Sequence[Job]) -> None:
        self.network, self.asked = network, asked
        self.jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        for k in range(len(asked)):
            self.jobs.put(k)
        self.done: dict[int, Decision] = {}
        self.errors: list[BaseException] = []

    def next(self) -> int | None:
        """A job that nobody has taken yet."""
        try:
            return self.jobs.get_nowait()
        except queue.Empty:
            return None

    def drain(self) -> None:
        """Let nobody take another job."""
        while self.next() is not None:
            pass

    def work(self) -> None:
        """This process's part."""
        while (k := self.next()) is not None:
            self.done[k] = self.asked[k].settled(self.network)

    def check(self) -> None:
        """Raise the first error of a helper."""
        if self.errors:
            raise self.errors[0]


def settle_beside(line: Line) -> None:
    """A helper's task: the network, then job after job, each answered by its decision."""
    network: Network = line.get()
    while True:
        job: Job = line.get()
        line.put(job.settled(network))
