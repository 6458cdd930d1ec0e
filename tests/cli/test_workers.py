"""A command uses as many cores as are idle, unless somebody says otherwise; what cannot be is refused."""

from __future__ import annotations

import os

import pytest
import torch

from verify.cli.main import main
from verify.cli.workers import idle_cores, use_workers


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
    assert use_workers(3) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert use_workers(None) == 5  # torch has read that by itself
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 99.0, 99.0))
    assert use_workers(None) == 1
    assert given == [3, 1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--workers", "0"], "workers is 0: give a whole number of at least 1"),
        (["--device", "xyz"], "device is 'xyz': only cpu is supported"),
        (["--device", "cuda"], "device is 'cuda': only cpu is supported"),
    ],
)
def test_what_cannot_be_is_misuse(words, complaint, capsys):
    assert main(["demo", *words]) == 2
    assert capsys.readouterr().err.startswith(f"reluproof: error: {complaint}")
