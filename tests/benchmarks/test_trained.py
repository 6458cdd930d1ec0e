"""The committed trained networks: they load, and interval bounds leave open what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import verify

FOLDER = Path(__file__).parents[2] / "benchmarks" / "trained"
OPEN = {"ibp_0.1": 7, "ibp_0.3": 20}  # of the first 200 test images
