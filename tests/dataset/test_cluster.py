"""A real Dask scheduler with two workers, each a process of its own: the records are those of one worker here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import inline_pool
from support.demo import demo_data, demo_network

import verify
import verify.dataset.run

INPUTS = range(60)
WHERE = {"epsilon": "0.03", "clip": (0, 1), "method": "complete", "index": INPUTS}
DASK = [sys.executable, "-m", "dask"]


@pytest.fixture
def cluster(tmp_path):
    """The scheduler's address, and the workers' processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(Path(verify.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    quiet = {"env": environment, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = [*DASK, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = [*DASK, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    processes = [subprocess.Popen(words, **quiet) for words in (scheduler, worker, worker)]
    yield address, processes[1:]
    for process in processes:
        process.kill()
        process.wait()


def answers(found: verify.Run) -> dict[int, verify.Record]:
    return {i: replace(record, seconds=0.0) for i, record in found.records.items()}


def test_a_cluster_that_loses_a_worker_gives_the_same_records(tmp_path, cluster, monkeypatch):
    address, workers = cluster
    killed = []

    def accident(progress: verify.Progress) -> None:
        if progress.stage == "crown" and not killed:
            killed.append(time.time())
            workers[0].send_signal(signal.SIGKILL)

    how = verify.Execution(scheduler=address, listen=accident)
    found = verify.run(demo_network(), demo_data(), tmp_path / "cluster", execution=how, **WHERE)
    assert killed
    monkeypatch.setattr(verify.dataset.run, "local_pool", inline_pool.inline_pool)
    alone = verify.run(demo_network(), demo_data(), tmp_path / "alone", **WHERE)
    assert answers(found) == answers(alone)


def test_an_address_without_a_scheduler_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("verify.dataset.cluster.PATIENCE", 0.5)
    how = verify.Execution(scheduler="tcp://127.0.0.1:9")
    with pytest.raises(verify.UsageError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        verify.run(demo_network(), demo_data(), tmp_path / "run", execution=how, **WHERE)
