"""Assertions of robustness pass where certify verifies, and fail with what a reader needs."""

from __future__ import annotations

from importlib.metadata import entry_points

import numpy as np
import pytest
from support.demo import demo_data, demo_network
from torch import nn

from verify.demo import demo_digits_path, demo_network_path
from verify.testing import Limits, assert_certified, assert_not_falsified, limits

pytest_plugins = ["pytester"]
ASK = {"clip": (0, 1), "method": "crown"}


def digit(k: int):
    data = demo_data()
    return data.inputs[k], int(data.labels[k])


def test_what_is_verified_passes_and_gives_the_result():
    assert assert_certified(demo_network(), *digit(0), epsilon=0.02, **ASK).lower > 0
    assert assert_not_falsified(demo_network(), *digit(0), epsilon=0.02, **ASK).lower > 0


def test_what_is_falsified_fails_with_target_margin_and_counterexample(tmp_path):
    file = tmp_path / "sub" / "found.npy"
    for assertion in (assert_certified, assert_not_falsified):
        with limits(Limits(counterexample=file)), pytest.raises(AssertionError) as failed:
            assertion(demo_network(), *digit(44), epsilon="0.07", **ASK)
        words = str(failed.value)
        assert (
            "within linf 0.07" in words and "falsified" in words and "label 4" in words and f"kept in {file}" in words
        )
        x, _ = digit(44)
        assert float(np.abs(np.load(file) - x.double().numpy()).max()) <= 0.07


def test_what_is_unknown_is_not_certified_and_not_falsified():
    with pytest.raises(AssertionError, match=r"unknown \(incomplete method\) by interval"):
        assert_certified(demo_network(), *digit(0), epsilon=0.07, clip=(0, 1), method="interval")
    assert_not_falsified(demo_network(), *digit(0), epsilon=0.07, clip=(0, 1), method="interval")


@pytest.mark.parametrize("model", [demo_network_path("mlp"), str(demo_network_path("mlp"))])
def test_a_file_will_do(model):
    assert_certified(model, *digit(1), epsilon=0.01, **ASK)


def test_a_torch_module_will_do():
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    x, _ = digit(0)
    assert_certified(module, x, int(module(x.unsqueeze(0)).argmax()), epsilon=0, method="linear")


INSTALLED = any(entry.name == "reluproof" for entry in entry_points(group="pytest11"))
PLUGINS = [
    "-p",
    "no:xdist",
    *([] if INSTALLED else ["-p", "verify.pytest_plugin"]),
]  # from a checkout alone it has to be named
SUITE = f"""
import verify
from verify.testing import assert_certified
data = verify.load_data({str(demo_digits_path())!r})

def ask(k, epsilon, method):
    how = {{"epsilon": epsilon, "clip": (0, 1), "method": method}}
    assert_certified({str(demo_network_path("mlp"))!r}, data.inputs[k], int(data.labels[k]), **how)

def test_holds():
    ask(0, 0.02, "crown")

def test_breaks():
    ask(44, 0.07, "crown")

def test_takes_long():
    ask(33, 0.23, "complete")
"""


def test_the_plugin_sets_the_time_and_keeps_the_counterexample(pytester):
    pytester.makepyfile(SUITE)
    found = pytester.runpytest(*PLUGINS, "--reluproof-timeout", "1")
    found.assert_outcomes(passed=1, failed=2)
    found.stdout.fnmatch_lines(["*not certified within linf 0.23: unknown (timeout) by complete*"])
    kept = list((pytester.path / "reluproof-counterexamples").iterdir())
    assert len(kept) == 1 and "test_breaks" in kept[0].name
    assert np.load(kept[0]).shape == (1, 28, 28)


def test_a_timeout_that_is_none_is_refused(pytester):
    found = pytester.runpytest(*PLUGINS, "--reluproof-timeout", "0")
    assert found.ret == 4
    found.stderr.fnmatch_lines(["*--reluproof-timeout is 0: give a positive number of seconds*"])
