"""A browser for each worker, and a finished run of digits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.browser import Browser, Page, browser, browser_path
from support.demo import demo_data, demo_network
from support.inline_pool import inline_pool

import verify
import verify.dataset.run


@pytest.fixture(scope="session")
def chromium(tmp_path_factory) -> Browser:
    """A running Chromium. In CI (``CI=true``) a missing one is a failure, elsewhere a skip."""
    path = browser_path()
    if path is None:
        message = "no Chromium is installed (on Debian: apt-get install chromium)"
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail(message)
        pytest.skip(message)
    with browser(path, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(chromium) -> Page:
    """A new tab, whose console must stay silent, whatever the test does."""
    opened = Page(chromium)
    yield opened
    opened.run("0")  # what the console said before has been heard now
    assert opened.messages == []


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> dict[str, verify.Run]:
    """Runs of the demo digits at three radii; the last has counterexamples of each kind and open inputs."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify.dataset.run, "local_pool", inline_pool)
        return {
            epsilon: verify.run(
                demo_network(),
                demo_data(),
                folder / f"mlp-{epsilon}",
                epsilon=epsilon,
                clip=(0, 1),
                method="alpha",
                index=range(60),
            )
            for epsilon in ("0.03", "0.05", "0.1")
        }


@pytest.fixture(scope="session")
def written(digits, tmp_path_factory) -> Path:
    """The report of one run with pictures and a ladder."""
    return verify.report(
        digits["0.1"],
        tmp_path_factory.mktemp("written") / "report.html",
        data=demo_data(),
        network=demo_network(),
        ladder=3,
        timeout=0.5,
    )
