"""Processes beside this one: started from nothing (no fork), spoken to in pickles through their pipes, never left behind.

``multiprocessing`` would import the caller's main module again in every child, which runs scripts without a main guard a second
time and is refused inside the workers of a pool. A child of ours imports this package and nothing of the caller's.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any

from verify.errors import UsageError, WorkerFailed

_HEAD = struct.Struct("<Q")  # the length of the pickle that follows
_BOOT = "import sys; sys.path[:] = {path!r}; from verify.workers import serve; serve({task!r})"
_PATIENCE = 5.0  # seconds for a killed process to go


@dataclass(frozen=True)
class _Ready:
    """The child has imported what it needs."""


@dataclass(frozen=True)
class _Failed:
    """What the child's task raised."""

    error: BaseException
    where: str


@dataclass(frozen=True)
class _Gone:
    """The child's pipe is closed: nothing more will come."""


class Helper:
    """A child process that runs ``task``, named ``module:function``; the function gets a :class:`Line` to this process.

    Use it in a ``with`` statement, whose end kills the child; a child whose parent is gone ends by itself. The child's
    torch has one thread.
    """

    def __init__(self, task: str) -> None:
        environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT.format(path=sys.path, task=task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ready, self._gone, self._born = False, False, threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ready(self) -> bool:
        """Whether the child has said that it can be spoken to."""
        return self._ready

    def wait(self, seconds: float) -> bool:
        """Whether the child is ready, within so many seconds."""
        self._born.wait(seconds)
        return self._ready

    @property
    def stillborn(self) -> bool:
        """Whether the child ended before it could be spoken to: this machine starts none, and one must do without."""
        return self._gone and not self._ready

    @property
    def stirred(self) -> bool:
        """Whether something waits to be read by :meth:`get`."""
        return not self._inbox.empty()

    def put(self, message: object) -> None:
        """Send ``message``. A child that is gone gets nothing; the next :meth:`get` says what became of it."""
        with contextlib.suppress(OSError):
            _write(self._to, message)

    def get(self, timeout: float | None = None) -> Any:
        """The next message, or None after ``timeout`` seconds without one.

        Raises what the child's task raised, and WorkerFailed where the child ended without a word.
        """
        try:
            message = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(message, _Failed):
            raise message.error from WorkerFailed(f"in a worker process:\n{message.where}")
        if isinstance(message, _Gone):
            code = self._process.wait(_PATIENCE)
            raise WorkerFailed(
                f"a worker process ended with exit code {code} before its answer: it was killed, for want of memory "
                "perhaps; try with 1 worker"
            )
        return message

    def close(self) -> None:
        """Kill the child and let go of its pipes. Nothing happens the second time."""
        self._process.kill()
        self._process.wait(_PATIENCE)
        self._reader.join(_PATIENCE)
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()

    def _read(self) -> None:
        try:
            for message in _messages(self._from):
                if isinstance(message, _Ready):
                    self._ready = True
                    self._born.set()
                elif self._ready:  # a failure before that is one to start: the caller does without
                    self._inbox.put(message)
        except Exception as error:
            self._inbox.put(
                _Failed(WorkerFailed(f"a worker's message cannot be read: {error}"), traceback.format_exc())
            )
        finally:
            self._gone = True
            self._born.set()
            self._inbox.put(_Gone())


class Line:
    """A child's side: messages of the parent come out of :meth:`get`, and :meth:`put` answers."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._sink = sink
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def get(self) -> Any:
        """The parent's next message, once there is one."""
        return self._inbox.get()

    def waiting(self) -> Iterator[Any]:
        """The messages that are there already."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._inbox.get_nowait()

    def put(self, message: object) -> None:
        """Send ``message`` to the parent."""
        _write(self._sink, message)

    def _read(self, source: IO[bytes]) -> None:
        try:
            for message in _messages(source):
                self._inbox.put(message)
        finally:
            os._exit(0)  # the parent is gone, in whatever way: nobody waits for what this process is doing


def helper(task: str) -> Helper | None:
    """A :class:`Helper`, or None where no process can be started."""
    if not sys.executable:
        return None
    try:
        return Helper(task)
    except OSError:
        return None


def checked_workers(workers: int) -> int:
    """``workers`` itself; raises UsageError for anything but an int of at least 1."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise UsageError(f"workers is {workers!r}: give a whole number of at least 1")
    return workers


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch uses one thread meanwhile: the other cores belong to the processes beside this one."""
    import torch

    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def serve(task: str) -> None:
    """A child's life: run the function ``module:function`` on a line to the parent, and report what it raises."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and takes its children along
    # The pipes are this module's alone: whatever else prints must not be taken for a message.
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    line = Line(source, sink)
    module, name = task.split(":")
    try:
        function = getattr(import_module(module), name)
        import torch

        torch.set_num_threads(1)
        line.put(_Ready())
        function(line)
    except BaseException as error:  # also SystemExit: whatever it was, the parent decides
        line.put(_Failed(_portable(error), traceback.format_exc()))
    sys.stdout.flush()
    os._exit(0)  # no teardown: the pipe is flushed, and nothing else is owned


def _portable(error: BaseException) -> BaseException:
    """The error, or where it cannot travel between processes, one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return WorkerFailed(f"a worker process failed: {type(error).__name__}: {error}")
    return error


def _write(sink: IO[bytes], message: object) -> None:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    sink.write(_HEAD.pack(len(data)))
    sink.write(data)
    sink.flush()


def _messages(source: IO[bytes]) -> Iterator[Any]:
    """What comes through the pipe until it is closed."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        while len(head := source.read(_HEAD.size)) == _HEAD.size:
            (size,) = _HEAD.unpack(head)
            data = source.read(size)
            if len(data) < size:
                return
            yield pickle.loads(data)
