"""A policy says what it means, and whatever it cannot mean is refused in one line that names file, key and remedy."""

from __future__ import annotations

import pytest

import verify
from verify.gate.policy import Thresholds

GOOD = """
budget = 60
undecided = "fail"
cache = "evidence"
[[check]]
name = "a"
model = "m.onnx"
data = "d.npz"
epsilon = 0.1
clip = [0, 1]
[check.thresholds]
certified_accuracy = 0.9
"""


def read(folder, text):
    file = folder / "reluproof.toml"
    file.write_text(text)
    return verify.read_policy(file)


def test_a_policy_is_read_exactly(tmp_path):
    policy = read(tmp_path, GOOD)
    (check,) = policy.checks
    assert (policy.budget, policy.undecided, policy.cache) == (60.0, "fail", tmp_path / "evidence")
    assert (check.epsilon, check.clip, check.timeout) == ("0.1", ("0", "1"), 60.0)
    assert check.thresholds == Thresholds(certified_accuracy=0.9)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("budget = 60", "budget = 0", r"budget is 0: give a positive number of seconds"),
        ("budget = 60", "buget = 60", r"unknown key 'buget': choose from budget"),
        ('"fail"', '"ignore"', r"undecided is 'ignore': give \"fail\" or \"report\""),
        ('name = "a"\n', "", r"check 1: name is missing"),
        ('model = "m.onnx"\n', "", r"check 1 \(a\): model is missing"),
        ("epsilon = 0.1", 'epsilon = "many"', r"epsilon"),
        ("epsilon = 0.1", "epsilon = [1]", r"epsilon is \[1\]: give a decimal"),
        ("clip = [0, 1]", "clip = [0]", r"clip is \[0\]: give two numbers"),
        ("clip = [0, 1]", 'norm = "l3"', r"norm is 'l3'"),
        ("clip = [0, 1]", 'method = "guess"', r"method is 'guess': choose from auto, interval"),
        ("clip = [0, 1]", "timeout = -1", r"timeout is -1"),
        ("clip = [0, 1]", "retry = 1", r"retry is 1: give true or false"),
        ("clip = [0, 1]", "seed = true", r"seed is True: give a whole number"),
        ("certified_accuracy = 0.9", "certified_accuracy = 90", r"thresholds: certified_accuracy is 90: give a share"),
        ("certified_accuracy = 0.9", "acuracy = 0.9", r"thresholds: unknown key 'acuracy'"),
        ("certified_accuracy = 0.9", "verified = []", r"verified is \[\]: give inputs"),
        ("certified_accuracy = 0.9", "", r"it has no thresholds, so nothing could fail it"),
        ("[[check]]", "[[chek]]", r"the policy has no checks"),
        ("budget = 60", "budget = ", r"no TOML file"),
    ],
)
def test_what_a_policy_cannot_mean_is_refused(tmp_path, old, new, words):
    text = GOOD.replace(old, new)
    assert text != GOOD
    with pytest.raises(verify.ReluproofError, match=f"reluproof.toml.*{words}"):
        read(tmp_path, text)


def test_two_checks_of_one_name_are_refused(tmp_path):
    again = GOOD[GOOD.index("[[check]]") :]
    with pytest.raises(verify.UsageError, match="two checks are called 'a'"):
        read(tmp_path, GOOD + again)


def test_a_policy_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(verify.LoadError, match="cannot be read"):
        verify.read_policy(tmp_path / "none.toml")
