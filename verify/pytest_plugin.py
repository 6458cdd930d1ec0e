"""The pytest plugin: ``--reluproof-timeout SECONDS`` for :mod:`verify.testing`, and a file for each counterexample."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from verify.testing import Limits, limits

_FOLDER = "reluproof-counterexamples"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("reluproof", "robustness certificates")
    group.addoption(
        "--reluproof-timeout", type=float, metavar="SECONDS", help="for each assert_certified (default: no limit)"
    )
    group.addoption(
        "--reluproof-counterexamples",
        metavar="DIR",
        default=_FOLDER,
        help=f"where the counterexamples of failing assertions are kept (default: {_FOLDER} below the root folder)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a timeout that is none before any test runs."""
    timeout = config.getoption("--reluproof-timeout")
    if timeout is not None and not timeout > 0:
        raise pytest.UsageError(f"--reluproof-timeout is {timeout:g}: give a positive number of seconds")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The limits hold while a test runs; its counterexample is named after it."""
    config = item.config
    name = re.sub(r"[^\w.-]+", "_", item.nodeid).strip("_")
    file = config.rootpath / Path(config.getoption("--reluproof-counterexamples")) / f"{name}.npy"
    with limits(Limits(config.getoption("--reluproof-timeout"), file)):
        return (yield)
