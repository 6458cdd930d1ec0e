"""Real processes that die in the middle of a run, or find no room: nothing is lost, nothing is there twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support.demo import demo_network

import verify
from verify.demo import demo_digits_path, demo_network_path

COMMAND = [
    *(sys.executable, "-m", "verify.cli.main", "run", str(demo_network_path("mlp"))),
    *("--data", str(demo_digits_path()), "--epsilon", "0.03", "--clip", "0", "1", "--quiet", "--workers", "2"),
]
KILLS = 20
FSIZE = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); from verify.cli.main import main; "


def answers(folder) -> dict[int, verify.Record]:
    return {i: replace(record, seconds=0.0) for i, record in verify.read_run(folder).records.items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    subprocess.run([*COMMAND, "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return answers(folder)


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_twenty_times_ends_like_one_that_is_not(tmp_path, undisturbed):
    folder, chance, kills = tmp_path / "run", random.Random(5), 0
    while kills < KILLS:
        before = size(folder)
        process = subprocess.Popen([*COMMAND, "--out", str(folder), "--resume"], stdout=subprocess.DEVNULL)
        # Moments between the first new line of the journal, or before there is any, and a little later.
        patience = time.monotonic() + chance.uniform(0.5, 30)
        lines = chance.randrange(0, 3)
        while process.poll() is None and time.monotonic() < patience and size(folder) - before < 200 * lines:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    subprocess.run([*COMMAND, "--out", str(folder), "--resume"], check=True, stdout=subprocess.DEVNULL)
    assert answers(folder) == undisturbed


def size(folder) -> int:
    journal = folder / "journal.jsonl"
    return journal.stat().st_size if journal.exists() else 0


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files is a matter of POSIX")
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(tmp_path, undisturbed):
    folder = tmp_path / "run"
    folder.mkdir()
    verify.save_network(demo_network(), folder / "network.reluproof")  # which the limit would not let through
    words = [*COMMAND[3:], "--out", str(folder), "--resume"]
    full = subprocess.run(
        [sys.executable, "-c", FSIZE + f"sys.exit(main({words!r}))"], capture_output=True, text=True, check=False
    )
    assert full.returncode == 2 and full.stdout == ""
    assert "File too large" in full.stderr and "make room, then resume" in full.stderr
    assert len(full.stderr.splitlines()) == 1
    subprocess.run([*COMMAND, "--out", str(folder), "--resume"], check=True, stdout=subprocess.DEVNULL)
    assert answers(folder) == undisturbed
