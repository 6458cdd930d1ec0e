"""``reluproof verify``: the first line is the answer, the exit code says it too, and the witness is a true one."""

from __future__ import annotations

import gzip
import json
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save
from support.properties import declared, unit

import verify
from verify.cli.main import main
from verify.demo import demo_network_path


@pytest.fixture
def files(tmp_path):
    """A folder with ``net.onnx``, two inputs to the outputs (relu(x0 - x1), x0 + x1)."""
    weight = np.array([[1.0, -1.0], [1.0, 1.0]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 2], weight.flatten())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, tmp_path / "net.onnx")
    (tmp_path / "holds.vnnlib").write_text(unit("(>= Y_1 2.5)"))
    (tmp_path / "broken.vnnlib").write_text(unit("(or (>= Y_1 2.5) (and (>= Y_0 0.5) (<= Y_1 0.9)))"))
    return tmp_path


@pytest.fixture
def run(files, capsys, monkeypatch):
    monkeypatch.chdir(files)

    def runner(*arguments):
        code = main(["verify", *(str(a) for a in arguments)])
        found = capsys.readouterr()
        return code, found.out, found.err

    return runner


def test_a_property_that_holds_is_unsat_and_exits_0(run, files):
    assert run("net.onnx", "holds.vnnlib", "--witness", "w.txt") == (0, "unsat\n", "")
    assert (files / "w.txt").read_text() == "unsat\n"


def test_a_property_that_is_broken_is_sat_exits_1_and_leaves_a_witness(run, files):
    assert run("net.onnx", "broken.vnnlib", "--witness", "w.txt") == (1, "sat\n", "")
    text = (files / "w.txt").read_text()
    assert re.fullmatch(r"sat\n\(\(X_0 \S+\)\n \(X_1 \S+\)\n \(Y_0 \S+\)\n \(Y_1 \S+\)\)\n", text)
    x0, x1, y0, y1 = (Fraction(v) for v in re.findall(r"_\d (\S+?)\)", text))
    assert 0 <= x0 <= 1 and 0 <= x1 <= 1 and max(x0 - x1, 0) >= 0.5 and x0 + x1 <= 0.9
    assert abs(y0 - (x0 - x1)) < 1e-6 and abs(y1 - (x0 + x1)) < 1e-6


def test_an_undecided_property_is_unknown_and_exits_3(run, monkeypatch):
    undecided = verify.Decision(verify.Verdict.UNKNOWN, None, "incomplete method", 1, 0.0)
    monkeypatch.setattr(verify, "decide", lambda *_, **__: undecided, raising=False)
    assert run("net.onnx", "broken.vnnlib") == (3, "unknown\n", "")


def test_a_search_that_ran_out_of_time_is_timeout_and_exits_3(run, files, monkeypatch):
    late = verify.Decision(verify.Verdict.UNKNOWN, None, "timeout", 1, 0.0)
    monkeypatch.setattr(verify, "decide", lambda *_, **__: late, raising=False)
    assert run("net.onnx", "broken.vnnlib", "--timeout", "3", "--witness", "w.txt") == (3, "timeout\n", "")
    assert (files / "w.txt").read_text() == "timeout\n"


def test_reading_the_files_counts_and_every_option_arrives(run, monkeypatch):
    given = {}

    def decide(network, prop, **options):
        given.update(options)
        return verify.Decision(verify.Verdict.VERIFIED, None, "", 0, 0.0)

    monkeypatch.setattr(verify, "decide", decide, raising=False)
    assert run("net.onnx", "holds.vnnlib", "--timeout", "9", "--seed", "7")[0] == 0
    assert 0 < given["timeout"] < 9 and given["seed"] == 7 and len(given["replays"]) == 2


def test_a_runtime_that_disagrees_prevents_sat(run, monkeypatch):
    class Liar:
        name = "liar"

        def __call__(self, points):
            return torch.zeros(len(points), 2, dtype=torch.float64)

    monkeypatch.setattr(verify, "replays", lambda *_: (Liar(),), raising=False)
    code, out, _ = run("net.onnx", "broken.vnnlib", "--timeout", "2")
    assert code == 3 and out.split("\n")[0] in ("unknown", "timeout")


def test_verbose_and_json_come_below_the_answer(run, files):
    code, out, _ = run("net.onnx", "broken.vnnlib", "-v", "--json")
    first, rest = out.split("\n", 1)
    assert code == 1 and first == "sat" and "falsified" in rest and "satisfies clause 1" in rest
    data = json.loads(rest[rest.index("{") :])
    assert data["result"] == "sat" and data["verdict"] == "falsified" and data["property"]["clauses"] == 2
    assert len(data["counterexample"]["x"]) == 2 and data["counterexample"]["runtime"] in (
        "onnxruntime",
        "onnx.reference",
    )
    assert run("net.onnx", "holds.vnnlib", "--json", "out.json")[1] == "unsat\n"
    assert json.loads((files / "out.json").read_text())["counterexample"] is None


def test_compressed_files_are_read(run, files):
    (files / "net.onnx.gz").write_bytes(gzip.compress((files / "net.onnx").read_bytes()))
    (files / "broken.vnnlib.gz").write_bytes(gzip.compress((files / "broken.vnnlib").read_bytes()))
    assert run("net.onnx.gz", "broken.vnnlib.gz")[:2] == (1, "sat\n")


NET = str(demo_network_path("mlp"))
MISTAKES = {
    "a missing network": (["no.onnx", "holds.vnnlib"], "no.onnx: no such file"),
    "a missing property": (["net.onnx", "no.vnnlib"], "no.vnnlib: no such file"),
    "a folder": (["net.onnx", "."], "is a folder"),
    "a property of another network": ([NET, "holds.vnnlib"], "declares 2 inputs X_i, the network"),
    "a network for a property": (["net.onnx", "net.onnx"], "net.onnx"),
    "several inputs in one comparison": (["net.onnx", "mixed.vnnlib"], "line 9: (<= X_0 X_1) has several inputs"),
    "a missing bound": (["net.onnx", "open.vnnlib"], "leaves input X_0 without a bound"),
    "a timeout of zero": (["net.onnx", "holds.vnnlib", "--timeout", "0"], "timeout is 0: give a positive number"),
    "a timeout that is NaN": (["net.onnx", "holds.vnnlib", "--timeout", "nan"], "timeout is nan"),
    "a witness that cannot be written": (["net.onnx", "holds.vnnlib", "--witness", "no/where/w"], "cannot write"),
    "JSON that cannot be written": (["net.onnx", "holds.vnnlib", "--json", "no/where/j"], "cannot write"),
}


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_a_mistake_is_one_line_and_no_answer(run, files, mistake):
    (files / "mixed.vnnlib").write_text(unit("(<= X_0 X_1)"))
    (files / "open.vnnlib").write_text(declared("(<= Y_0 1)"))
    arguments, message = MISTAKES[mistake]
    code, out, err = run(*arguments)
    assert code == 2 and message in err and err.count("\n") == 1 and err.startswith("reluproof: error: ")
    assert "Traceback" not in err and (out == "" or "JSON" in mistake)


@pytest.mark.parametrize(("name", "answer"), [("holds", "unsat"), ("broken", "sat")])
def test_a_property_of_the_network_as_it_is_executed(run, files, name, answer):
    words = (f"{name}.vnnlib", "--semantics", "float32", "--json", "j.json", "--certificate", "c.reluproof", "-v")
    code, out, err = run("net.onnx", *words)
    assert code == {"unsat": 0, "sat": 1}[answer] and out.startswith(answer) and err == ""
    assert "network as executed node by node in IEEE float32" in out
    assert json.loads((files / "j.json").read_text())["semantics"] == "float32"
    if answer == "unsat":
        report = verify.check.check((files / "c.reluproof").read_bytes(), (files / "net.onnx").read_bytes())
        assert report.accepted and report.semantics == "float32"
