"""``run``, ``merge``, ``radius`` and ``explain`` from the command line: what is printed, and one line for each mistake."""

from __future__ import annotations

import json

import pytest

from verify.cli.main import main
from verify.demo import demo_digits_path, demo_network_path

NET, DIGITS = str(demo_network_path("mlp")), str(demo_digits_path())
ASK = [NET, "--data", DIGITS, "--clip", "0", "1", "--workers", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run of two blocks."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert (
        main(["run", *ASK, "--index", "0:60", "--epsilon", "0.05", "--method", "crown", "--out", str(out), "--quiet"])
        == 0
    )
    return out


def test_run_says_what_became_of_the_inputs(capsys, folder):
    words = ["run", *ASK, "--index", "0:60", "--epsilon", "0.05", "--method", "crown", "--out", str(folder), "--resume"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "60 of 60 inputs: " in out and "error under attack between" in out and "resumed: 60 inputs" in out
    assert err == ""  # nothing was left to do, so there was nothing to show


def test_counterexamples_of_images_are_drawn(capsys, folder):
    pytest.importorskip("matplotlib")
    words = ["run", *ASK, "--index", "0:60", "--epsilon", "0.05", "--method", "crown", "--out", str(folder), "--resume"]
    assert main(words) == 0
    drawn = "counterexamples drawn" in capsys.readouterr().out
    assert drawn == (folder / "counterexamples.png").exists() == any((folder / "counterexamples").glob("*.npy"))


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys, tmp_path):
    assert main(["run", *ASK, "--index", "0:5", "--epsilon", "0.01", "--out", str(tmp_path / "run")]) == 0
    err = capsys.readouterr().err
    assert "classify 1/1  verified 0 " in err and "attacked" in err and "\r" not in err


def test_merge_prints_the_whole(capsys, folder, tmp_path):
    assert main(["merge", str(folder), "--out", str(tmp_path / "whole")]) == 0
    assert "60 of 60 inputs: " in capsys.readouterr().out


def test_radius_and_its_picture(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "radii.json", tmp_path / "radii.svg"
    words = ["--index", "44", "--most", "0.05", "--resolution", "0.01", "--method", "alpha", "--json", str(file)]
    assert main(["radius", *ASK, *words]) == 0
    assert "broken from" in capsys.readouterr().out
    assert json.loads(file.read_text())["radii"][0]["index"] == 44
    assert main(["plot", "radii", str(file), "--out", str(picture)]) == 0
    assert picture.read_text().startswith("<?xml")


def test_explain_names_layers_and_neurons(capsys):
    ask = ["explain", *ASK, "--index", "33", "--epsilon", "0.2", "--timeout", "0.1"]
    assert main([*ask, "--more", "0"]) == 0
    out = capsys.readouterr().out
    assert "unstable" in out and "may lose" in out and "complete stopped after" in out
    assert main([*ask, "--more", "0.1"]) == 0
    assert "it does not decide it either: timeout" in capsys.readouterr().out


MISTAKES = {
    "no folder can be made": (
        ["run", *ASK, "--epsilon", "0.1", "--out", "/dev/null/x"],
        "cannot make the folder '/dev/null/x'",
    ),
    "a shard that is none": (
        ["run", *ASK, "--epsilon", "0.1", "--out", "x", "--shard", "half"],
        "shard is 'half': give K/N",
    ),
    "a bad radius": (["run", *ASK, "--epsilon", "one", "--out", "x"], "one"),
    "merging nothing that is a run": (["merge", "missing", "--out", "x"], "cannot read the journal"),
    "radii of no grid": (["radius", *ASK, "--most", "0.1", "--resolution", "0"], "resolution is 0"),
    "explaining several": (["explain", *ASK, "--index", "0:2", "--epsilon", "0.1"], "explain takes one input"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line(capsys, monkeypatch, tmp_path, mistake):
    monkeypatch.chdir(tmp_path)
    arguments, message = MISTAKES[mistake]
    code = main(arguments)
    err = capsys.readouterr().err
    assert code == 2 and message in err and err.count("\n") == 1 and err.startswith("reluproof: error: ")


def test_a_run_in_a_folder_of_another_is_one_clear_line(capsys, folder):
    words = ["--index", "0:60", "--epsilon", "0.06", "--method", "crown", "--out", str(folder), "--resume"]
    assert main(["run", *ASK, *words]) == 2
    assert "holds another run (region.epsilon: 1/20, now 3/50)" in capsys.readouterr().err
