"""The demo network and digits, loaded once."""

from __future__ import annotations

from functools import cache

import verify
from verify.demo import demo_digits_path, demo_network_path


@cache
def demo_network() -> verify.Network:
    return verify.load(demo_network_path("mlp"))


@cache
def demo_data() -> verify.Dataset:
    return verify.load_data(demo_digits_path())
