"""Certificates on the command line: written, checked, moved to another network, and every mistake in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import verify
from verify.cli.main import main
from verify.demo import demo_digits_path, demo_network_path

NET, DIGITS = str(demo_network_path("mlp")), str(demo_digits_path())
OTHER = str(demo_network_path("cnn"))
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    """A folder of certificates, made on the command line: two are verified, one is not."""
    folder = tmp_path_factory.mktemp("proofs") / "made" / "here"
    arguments = ["certify", NET, "--data", DIGITS, "--clip", "0", "1", "--index", "3:6", "--epsilon", "0.04"]
    assert main([*arguments, "--method", "crown", "--certificates", str(folder)]) in (0, 1, 3)
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:
        code = int(stop.code)
    found = capsys.readouterr()
    return code, found.out, found.err


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_certify_writes_the_network_and_a_certificate_for_each_verified_input(proofs, capsys):
    assert "network.reluproof" in names(proofs) and "3.reluproof" in names(proofs)
    assert verify.identity(verify.load(NET)) in run(capsys, "info", NET, "--json")[1]
    code, out, _ = run(
        capsys, "certify", NET, "--data", DIGITS, "--clip", "0", "1", "--index", "3:6", "--epsilon", "0.04",
        "--method", "crown", "--json", "-",
    )  # fmt: skip
    verified = [entry["index"] for entry in json.loads(out)["results"] if entry["verdict"] == "verified"]
    assert names(proofs) == sorted(["network.reluproof", *(f"{i}.reluproof" for i in verified)])
    assert verified and code in (0, 1, 3)


@pytest.mark.parametrize("arguments", [(), ("--arithmetic", "float64"), ("--json",)])
@pytest.mark.parametrize("network", ["onnx", "canonical"])
def test_check_accepts_with_exit_code_0(proofs, capsys, network, arguments):
    file = NET if network == "onnx" else proofs / "network.reluproof"
    code, out, err = run(capsys, "check", proofs / "3.reluproof", "--network", file, *arguments)
    assert (code, err) == (0, "")
    if arguments == ("--json",):
        report = json.loads(out)
        assert report["accepted"] and len(report["margins"]) == 9 and min(report["margins"].values()) > 0
    else:
        for part in ("ACCEPTED", "linf(x - centre) <= 1/25", "from 0 to 1", "label", "real arithmetic"):
            assert part in out


def test_check_rejects_with_exit_code_1_and_is_unreadable_with_2(proofs, capsys, tmp_path):
    good = proofs / "3.reluproof"
    code, out, _ = run(capsys, "check", good, "--network", OTHER)
    assert code == 1 and out.startswith("REJECTED\nthe claim is about the file")
    damaged = tmp_path / "damaged.reluproof"
    damaged.write_bytes(good.read_bytes()[:-10])
    assert run(capsys, "check", damaged, "--network", NET)[0] == 2
    assert run(capsys, "check", good, "--network", good)[0] == 2
    assert run(capsys, "check", tmp_path / "missing", "--network", NET)[0] == 2
    assert run(capsys, "check", good)[0] == 2


def test_the_checker_is_a_program_of_its_own_also_without_asserts(proofs):
    command = [sys.executable, "-O", "-X", "importtime", "-m", "verify.check", str(proofs / "3.reluproof"), "--network"]
    good = subprocess.run([*command, NET], cwd=ROOT, capture_output=True, text=True, check=False)
    assert good.returncode == 0 and good.stdout.startswith("ACCEPTED")
    loaded = {line.split("|")[-1].strip() for line in good.stderr.splitlines()}
    assert not loaded & {"torch", "onnx", "scipy", "verify.network", "verify.errors", "solvers"}
    bad = subprocess.run([*command, OTHER], cwd=ROOT, capture_output=True, text=True, check=False)
    assert bad.returncode == 1 and bad.stdout.startswith("REJECTED")


PROPERTY = """(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (or (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1) (>= Y_0 {bound}) (<= Y_1 5))
            (and (>= X_0 2) (<= X_0 3) (>= X_1 0) (<= X_1 1) (<= Y_1 {other}))))
"""


@pytest.fixture
def question(tmp_path):
    """A network of two inputs (f_0 = |x_0 - x_1|, f_1 = x_0 + x_1) and properties: one that holds, one that does not."""
    import torch

    from verify.load.builder import Builder

    b = Builder()
    x = b.input((1, 2))
    h = b.relu(b.affine(x, torch.tensor([[1.0, -1], [-1, 1], [1, 0], [0, 1]]).double(), torch.zeros(4).double()))
    net = b.finish(b.affine(h, torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).double(), torch.zeros(2).double()))
    (tmp_path / "holds.vnnlib").write_text(PROPERTY.format(bound="1.1", other="1.9"))
    (tmp_path / "fails.vnnlib").write_text(PROPERTY.format(bound="0.9", other="1.9"))
    return net, tmp_path


@pytest.fixture
def onnx_file(question):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    net, folder = question
    first, second = (net.nodes[k].operator for k in (1, 3))
    arrays = {
        "w": first.weight, "b": first.bias.reshape(-1), "v": second.weight, "c": second.bias.reshape(-1)
    }  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "v", "c"], ["y"], transB=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(a.numpy().astype(np.float32), name) for name, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def test_verify_writes_a_certificate_of_what_holds(question, onnx_file, capsys):
    _, folder = question
    file = folder / "proof.reluproof"
    code, out, err = run(capsys, "verify", onnx_file, folder / "holds.vnnlib", "--certificate", file)
    assert (code, out.strip(), err) == (0, "unsat", "")
    for arithmetic in ("float64", "exact"):
        code, out, _ = run(capsys, "check", file, "--network", onnx_file, "--arithmetic", arithmetic)
        assert code == 0 and "clause 1" in out, out
    none = folder / "none.reluproof"
    code, out, _ = run(capsys, "verify", onnx_file, folder / "fails.vnnlib", "--certificate", none)
    assert (code, out.splitlines()[0], none.exists()) == (1, "sat", False)


def test_transfer_keeps_what_holds_and_lists_what_does_not(proofs, onnx_file, capsys, tmp_path):
    old = proofs / "3.reluproof"
    code, out, _ = run(capsys, "transfer", NET, old, "--out", tmp_path / "same")
    assert code == 0 and "1 of 1 certificates still hold" in out
    assert run(capsys, "check", tmp_path / "same" / "3.reluproof", "--network", NET)[0] == 0
    code, out, _ = run(capsys, "transfer", onnx_file, old, "--out", tmp_path / "other", "--json", "-")
    [entry] = json.loads(out)["certificates"]
    assert code == 3 and not entry["holds"] and entry["reason"]
    assert names(tmp_path / "other") == []


@pytest.mark.parametrize("what", ["missing", "no certificate", "a folder that cannot be", "an unwritable certificate"])
def test_mistakes_are_one_line_and_exit_code_2(what, proofs, question, onnx_file, capsys, tmp_path):
    (tmp_path / "file").write_bytes(b"not a certificate")
    commands = {
        "missing": ["transfer", NET, tmp_path / "nowhere", "--out", tmp_path / "x"],
        "no certificate": ["transfer", NET, tmp_path / "file", "--out", tmp_path / "x"],
        "a folder that cannot be": ["transfer", NET, proofs / "3.reluproof", "--out", tmp_path / "file" / "x"],
        "an unwritable certificate": [
            "verify", onnx_file, question[1] / "holds.vnnlib", "--certificate", tmp_path / "no" / "x",
        ],
    }  # fmt: skip
    code, _, err = run(capsys, *commands[what])
    assert code == 2 and len(err.strip().splitlines()) == 1 and err.startswith("reluproof: error: ")
