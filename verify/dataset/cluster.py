"""Workers on other machines: the processes of a Dask cluster that is already there (``scheduler="tcp://host:8786"``)."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any

from verify.dataset.pool import Pool, seconds_to
from verify.dataset.question import Question, versions
from verify.dataset.task import Done, Failed, Task, perform
from verify.errors import MissingDependency, SoundnessError, UsageError, WorkerFailed
from verify.workers import one_thread

PATIENCE = 20.0  # seconds for the scheduler to answer, and to have a worker


@contextmanager
def cluster_pool(question: Question, scheduler: str) -> Iterator[Pool]:
    """All workers of the cluster at ``scheduler``, for the time of a ``with`` statement. The network travels to each once.

    A worker that dies costs its task another try, by Dask itself and then by the run. Raises UsageError where there is no
    scheduler, or no worker, or one with other versions of what answers depend on.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingDependency('a cluster needs Dask: pip install "reluproof[cluster]"') from None
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {scheduler!r}: {error}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UsageError(
                f"the Dask scheduler at {scheduler!r} has no workers: start some with `dask worker`"
            ) from None
        _require_same_versions(client.run(versions))
        # The result of a task, not scattered data: the scheduler can make it anew when the workers that hold it die.
        yield _Cluster(client, client.submit(_itself, question, pure=False))


def _require_same_versions(theirs: dict[str, Any]) -> None:
    ours = versions()
    for worker, found in theirs.items():
        for name, version in ours.items():
            if found[name] != version:
                raise UsageError(
                    f"the worker {worker} has {name} {found[name]}, and this process {version}: install the same"
                )


def _itself(question: Question) -> Question:
    return question


def _perform(question: Question, task: Task) -> Done | Failed:
    with one_thread():
        return perform(question, task)


class _Cluster:
    """Tasks as futures; an outcome is put in a queue when its future is done."""

    def __init__(self, client: Any, question: Any) -> None:
        self.size = max(1, sum(client.nthreads().values()))
        self._executor, self._question = client.get_executor(pure=False), question
        self._done: queue.SimpleQueue[tuple[int, Future[Done | Failed]]] = queue.SimpleQueue()

    def put(self, number: int, task: Task) -> None:
        future = self._executor.submit(_perform, self._question, task)
        future.add_done_callback(lambda done: self._done.put((number, done)))

    def get(self, end: float | None = None) -> tuple[int, Done | Failed] | None:
        try:
            number, future = self._done.get(timeout=seconds_to(end))
        except queue.Empty:
            return None
        try:
            return number, future.result()
        except SoundnessError:
            raise
        except CancelledError:
            raise WorkerFailed("the Dask scheduler is gone: start it again, then resume") from None
        except Exception as error:  # of Dask's: workers that died with the task
            return number, Failed(f"{type(error).__name__}: {error}".split("\n", 1)[0])
