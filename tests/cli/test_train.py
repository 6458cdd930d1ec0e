"""``reluproof train``: a line an epoch, files that the other commands read, one clear line for a mistake."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.modules import stripes

from verify.cli.main import main

CONFIG = """
architecture = "support.modules:mlp"
epsilon = 0.1
epochs = 3
batch = 16
rate = 5e-3
warm_up = 0.5
ramp = 1.0
watched_steps = 2
"""


@pytest.fixture
def files(tmp_path):
    data = stripes(80)
    np.savez(tmp_path / "stripes.npz", x=data.inputs.numpy(), y=data.labels.numpy())
    (tmp_path / "run.toml").write_text(CONFIG)
    return tmp_path


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_it_prints_an_epoch_a_line_and_writes_what_certify_reads(capsys, files):
    data = files / "stripes.npz"
    code, out, err = run(
        capsys, "train", files / "run.toml", "--data", data, "--out", files / "out", "--hold-out", "16", "--test", data
    )
    assert code == 0 and err == ""
    assert (
        "train support.modules:mlp by ibp on 64 inputs; errors are about x within [0, 1] with |x - input|_inf <= 0.1"
        in out
    )
    assert [line.split()[0] for line in out.splitlines() if "%" in line and "e-0" in line] == ["1", "2", "3"]
    assert "80 inputs of" in out and "certified (interval bounds)" in out
    report = json.loads((files / "out" / "training.json").read_text())
    assert report["config"]["architecture"] == "support.modules:mlp" and len(report["epochs"]) == 3
    assert report["test"]["count"] == 80 and report["epochs"][2]["errors"]["count"] == 16
    assert (files / "out" / "config.toml").read_text() == CONFIG
    network = files / "out" / "network.onnx"
    ask = ["--data", data, "--index", "0:4", "--epsilon", "0.1", "--clip", "0", "1", "--method", "interval", "--json"]
    _, out, _ = run(capsys, "certify", network, *ask)
    assert json.loads(out)["network"]["identity"] == report["network"]["identity"]


def test_a_run_is_not_overwritten_but_resumed(capsys, files):
    ask = ["train", files / "run.toml", "--data", files / "stripes.npz", "--out", files / "out"]
    assert run(capsys, *ask)[0] == 0
    before = (files / "out" / "network.onnx").read_bytes()
    code, _, err = run(capsys, *ask)
    assert code == 2 and "is the checkpoint of another run: resume it, or give another folder" in err
    code, out, _ = run(capsys, *ask, "--resume", "--json")
    assert code == 0 and json.loads(out)["test"] is None
    assert (files / "out" / "network.onnx").read_bytes() == before


@pytest.mark.parametrize(
    ("config", "arguments", "words"),
    [
        (None, [], "cannot be read"),
        ("method = 'magic'", [], "method is 'magic': give one of"),
        ("architecture = 'nets'\nbatch = 16", [], "unknown architecture 'nets'"),
        (CONFIG, ["--hold-out", "80"], "hold-out is 80: give a number from 0 to 79"),
        (CONFIG, ["--resume"], "no checkpoint to resume from"),
        (CONFIG, ["--test", "nothing.npz"], "nothing.npz: no such file"),
        (CONFIG + "device = 'cuda'", [], "device is 'cuda'"),
        (CONFIG, ["--scale", "2"], "outside clip [0, 1]"),
        (
            CONFIG + "clip = []",
            ["--scale", "1e30", "--workers", "1"],
            "step 1 (epoch 1, radius 0): the gradient's norm is inf",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, files, config, arguments, words):
    path = files / ("run.toml" if config else "none.toml")
    if config:
        path.write_text(config)
    code, _, err = run(capsys, "train", path, "--data", files / "stripes.npz", "--out", files / "new", *arguments)
    assert code == 2 and words in err and err.count("\n") == 1 and err.startswith("reluproof: error: ")
    assert not (files / "new" / "network.onnx").exists()
