"""The project that the tests of the gate start from."""

from __future__ import annotations

import shutil

import pytest
from support import inline_pool

import verify.dataset.run


@pytest.fixture
def inline(monkeypatch):
    """Runs are worked on in this process."""
    monkeypatch.setattr(verify.dataset.run, "local_pool", inline_pool.inline_pool)


@pytest.fixture
def project(signed, tmp_path):
    """A copy of it that a test may break."""
    return shutil.copytree(signed, tmp_path / "project")
