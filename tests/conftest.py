"""What every test shares: one thread a worker, and the reference data, which CI must have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# The tests run in several processes; more threads each would only fight over the cores.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # which the command line takes as a wish, here and in processes of its own

_DEFAULT = Path(__file__).parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of public reference data. In CI (``CI=true``) a missing folder is a failure, elsewhere a skip."""
    folder = Path(os.environ.get("RELUPROOF_REFERENCE_DATA") or _DEFAULT)
    if folder.is_dir():
        return folder
    message = f"no reference data at {folder}; set RELUPROOF_REFERENCE_DATA"
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def signed(tmp_path_factory):
    """A project with a policy, its evidence and its signed-off ledger (support.projects)."""
    from support import projects  # brings onnx, which most tests do without

    folder = tmp_path_factory.mktemp("signed")
    projects.sign_off(folder)
    return folder
