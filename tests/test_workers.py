"""A process beside this one answers, fails as itself, and is never left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.tasks import dies, echo, noisy, refuses, refuses_untransportably, sleeps

from verify import workers
from verify.errors import UsageError, WorkerFailed
from verify.workers import Helper, checked_workers, helper


def start(task) -> Helper:
    return Helper(f"support.tasks:{task.__name__}")


def alive(pid: int) -> bool:
    """Whether the process exists, a zombie included."""
    return Path(f"/proc/{pid}").exists()


def test_messages_go_back_and_forth():
    with start(echo) as child:
        for message in ("a", {"b": 1}, b"c" * 200_000):
            child.put(message)
            assert child.get(60) == message
        assert child.ready and not child.stirred
        assert child.get(0.0) is None


def test_what_a_child_prints_is_not_a_message():
    with start(noisy) as child:
        assert child.get(60) == "done"


@pytest.mark.parametrize(
    ("task", "kind", "words"),
    [
        (refuses, UsageError, "the child's own words"),
        (refuses_untransportably, WorkerFailed, "UnsupportedOperator"),
        (dies, WorkerFailed, "exit code 7"),
    ],
)
def test_a_failure_surfaces_as_itself(task, kind, words):
    with start(task) as child, pytest.raises(kind, match=words):
        child.get(60)


def test_nothing_is_left_behind():
    with start(sleeps) as child:
        pid = child.get(60)
        assert alive(pid)
    assert not alive(pid)
    child.close()  # once more does no harm


def test_a_child_dies_with_its_parent():
    code = (
        f"import sys, os; sys.path[:] = {sys.path!r}\n"
        "from verify.workers import Helper\n"
        "child = Helper('support.tasks:sleeps')\n"
        "print(child.get(60), flush=True)\n"
        "os._exit(0)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(pid)


def test_a_child_that_cannot_start_is_done_without(monkeypatch):
    with Helper("no.such.module:task") as child:
        assert not child.wait(60) and child.stillborn
    monkeypatch.setattr(sys, "executable", "")
    assert helper("anything") is None
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert helper("anything") is None


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_number_of_workers_is_a_positive_integer(count):
    with pytest.raises(UsageError, match="workers is"):
        checked_workers(count)
    assert workers.checked_workers(3) == 3
