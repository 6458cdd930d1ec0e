"""torch gets as many threads as cores are idle, unless somebody says otherwise."""

from __future__ import annotations

import os

import pytest
import torch

from verify.cli.main import main
from verify.cli.threads import idle_cores, use_threads


@pytest.mark.parametrize(
    ("cores", "load", "idle"), [(2, 0.0, 2), (2, 0.4, 2), (2, 0.7, 1), (2, 9.0, 1), (16, 3.2, 13), (None, 0.0, 1)]
)
def test_busy_cores_are_left_alone(cores, load, idle, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert idle_cores() == idle


def test_a_wish_is_followed(monkeypatch):
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    use_threads(3)
    use_threads(None)  # the tests run with OMP_NUM_THREADS set, which is a wish too
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 99.0, 99.0))
    use_threads(None)
    assert given == [3, 1]


def test_no_threads_at_all_is_misuse(capsys):
    assert main(["demo", "--threads", "0"]) == 2
    assert capsys.readouterr().err == "reluproof: error: threads is 0: give at least 1\n"
