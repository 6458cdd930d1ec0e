"""``reluproof attack``: tables, files, exit codes, one clear line for a mistake."""

from __future__ import annotations

import json

import numpy as np
import pytest

from verify.cli.main import main
from verify.demo import demo_digits_path, demo_network_path

NET, DIGITS = str(demo_network_path("mlp")), str(demo_digits_path())
ASK = ["attack", NET, "--data", DIGITS, "--clip", "0", "1", "--steps", "10"]


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_it_exits_0_when_nothing_is_found_and_prints_the_diagnosis(capsys):
    code, out, err = run(capsys, *ASK, "--index", "0:4", "--epsilon", "0.02")
    assert code == 0 and err == ""
    assert "asked: an x within [0, 1] with |x - input|_inf <= 0.02 that is not classified as its label" in out
    assert "apgd: clean error 0.0%, attacked error 0.0% (0 of 4 falsified, 4 unknown)" in out
    assert out.count("none found") == 4 and "unbounded epsilon" in out and "FAILED" not in out


def test_it_exits_1_when_something_is_found_and_writes_it(capsys, tmp_path):
    code, out, _ = run(
        capsys, *ASK, "--index", "43:46", "--epsilon", "0.1", "--no-diagnosis", "--out", tmp_path / "a" / "b",
        "--json", tmp_path / "report.json",
    )  # fmt: skip
    assert code == 1 and "class 9 by apgd, run 1" in out and "diagnosis" not in out
    with np.load(tmp_path / "a" / "b" / "counterexamples.npz") as saved, np.load(DIGITS) as digits:
        assert saved["indices"].tolist() == [44] and saved["labels"].tolist() == [4]
        assert saved["predictions"].tolist() == [9] and saved["inputs"].dtype == np.float32
        original = digits["x"][44].astype(np.float32) / np.float32(255)
        assert np.abs(saved["inputs"][0].astype(float) - original.astype(float)).max() <= 0.1
        assert saved["distances"][0] <= 0.1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["attack"] == "apgd" and report["region"]["epsilon"] == "0.1" and report["diagnosis"] == []
    assert [one["verdict"] for one in report["results"]] == ["unknown", "falsified", "unknown"]
    assert len(report["results"][1]["counterexample"]["x"]) == 784


def test_json_to_the_terminal_is_all_that_is_printed(capsys):
    _, out, _ = run(capsys, *ASK, "--index", "0", "--epsilon", "0.02", "--json")
    assert json.loads(out)["options"]["method"] == "apgd"


def test_inf_asks_for_the_nearest_example(capsys):
    code, out, _ = run(
        capsys, *ASK, "--index", "0:2", "--epsilon", "inf", "--norm", "l2", "--method", "deepfool", "--no-diagnosis"
    )
    assert code == 1 and "nearest to the input in |.|_l2" in out and "median distance" in out


def test_a_surrogate_is_tried_too(capsys):
    _, out, _ = run(capsys, *ASK, "--index", "0:3", "--epsilon", "0.05", "--surrogate", demo_network_path("cnn"))
    assert "broken by examples of cnn.onnx and not by apgd" in out


def test_an_input_that_is_wrong_already_is_found(capsys, tmp_path):
    np.savez(tmp_path / "wrong.npz", x=np.load(DIGITS)["x"][:1], y=np.array([5]))
    code, out, _ = run(capsys, "attack", NET, "--data", tmp_path / "wrong.npz", "--epsilon", "0.01", "--clip", "0", "1")
    assert code == 1 and "misclassified as it is" in out and "clean error 100.0%" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epsilon", "0.1", "--method", "nope"], "unknown attack 'nope': choose from fgsm"),
        (["--epsilon", "-1"], "epsilon is -1: it must not be negative"),
        (["--epsilon", "wide"], "epsilon is 'wide'"),
        (["--epsilon", "0.1", "--norm", "l7"], "unknown norm 'l7'"),
        (["--epsilon", "0.1", "--steps", "0"], "steps is 0"),
        (["--epsilon", "0.1", "--loss", "nope"], "unknown loss 'nope'"),
        (["--epsilon", "0.1", "--index", "900"], "900"),
        (["--epsilon", "0.1", "--surrogate", "none.onnx"], "none.onnx"),
        (["--epsilon", "0.1", "--out", "/dev/null/x"], "cannot make the folder '/dev/null/x'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, arguments, words):
    code, out, err = run(capsys, *ASK[:-2], "--index", "0", "--no-diagnosis", *arguments)
    assert code == 2 and out == "" and err.startswith("reluproof: error: ") and words in err and err.count("\n") == 1
