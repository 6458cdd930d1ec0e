"""``reluproof plot``: the picture lies where it was asked for; a mistake is one line, and leaves no file."""

from __future__ import annotations

import pytest

from verify.cli.main import main
from verify.demo import demo_digits_path, demo_network_path

MLP, CNN, DIGITS = str(demo_network_path("mlp")), str(demo_network_path("cnn")), str(demo_digits_path())
ASK = ["--data", DIGITS, "--epsilon", "0.1", "--clip", "0", "1"]


def run(capsys, *arguments):
    code = main(["plot", *[str(a) for a in arguments]])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_surface_draws_a_panel_for_each_network(capsys, tmp_path):
    file = tmp_path / "around.svg"
    code, out, err = run(capsys, "surface", MLP, CNN, *ASK, "--index", "44", "--points", "5", "--out", file)
    assert (code, err) == (0, "") and "around input 44 of class 4" in out and f"written to {file}" in out
    assert "mlp.onnx: margin from" in out and "cnn.onnx: margin from" in out
    text = file.read_text()
    assert "mlp.onnx" in text and "cnn.onnx" in text


def test_gallery_draws_what_the_attack_did(capsys, tmp_path):
    file = tmp_path / "gallery.svg"
    code, out, _ = run(capsys, "gallery", MLP, *ASK, "--index", "43:46", "--steps", "5", "--out", file)
    assert code == 0 and "apgd: clean error 0.0%, attacked error 33.3%" in out
    assert "class 4, called 4" in file.read_text() and "called 9" in file.read_text()
    assert "mlp.onnx: apgd" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["surface", MLP, *ASK, "--index", "0:2", "--out", "a.png"], "around one input, 2 are chosen"),
        (["surface", MLP, *ASK, "--norm", "l2", "--out", "a.png"], "not 'l2': leave --norm out"),
        (["surface", MLP, *ASK, "--quantity", "height", "--out", "a.png"], "unknown quantity 'height'"),
        (["surface", MLP, "none.onnx", *ASK, "--out", "a.png"], "none.onnx"),
        (["gallery", MLP, *ASK, "--index", "all", "--steps", "1", "--out", "a.png"], "100 images do not fit"),
        (["gallery", "none.onnx", *ASK, "--out", "a.pdf"], "cannot draw into 'a.pdf'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and err.startswith("reluproof: error: ") and words in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
