"""What a user of the command sees: tables, JSON, exit codes, and one clear line for every mistake."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from verify.cli.main import main
from verify.demo import demo_digits_path, demo_network_path

NET, DIGITS = str(demo_network_path("mlp")), str(demo_digits_path())
ASK = [NET, "--data", DIGITS, "--clip", "0", "1"]


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_certify_prints_a_line_an_input_and_exits_0_when_all_are_verified(capsys):
    code, out, err = run(capsys, "certify", *ASK, "--index", "0:4", "--epsilon", "0.02", "--method", "crown")
    assert code == 0 and err == "" and out.count("verified") >= 5
    assert "claim: every x within [0, 1] with |x - input|_inf <= 0.02" in out
    assert "crown: 4 verified, 0 falsified, 0 unknown; 100.0% verified" in out


def test_certify_exits_1_when_one_is_falsified_and_saves_the_counterexample(capsys, tmp_path):
    file = tmp_path / "found.npz"
    code, out, _ = run(
        capsys,
        "certify",
        *ASK,
        "--index",
        "4:6",
        "--epsilon",
        "0.3",
        "--method",
        "crown",
        "--save-counterexamples",
        file,
    )
    assert code == 1 and "falsified" in out
    with np.load(file) as saved, np.load(DIGITS) as digits:
        assert len(saved["x"]) >= 1
        for i, x, label, predicted in zip(saved["index"], saved["x"], saved["label"], saved["predicted"], strict=True):
            original = digits["x"][i].astype(np.float32) / np.float32(255)
            assert np.abs(x - original.astype(np.float64)).max() <= 0.3 and label != predicted


def test_certify_exits_3_when_one_is_unknown(capsys):
    code, out, _ = run(capsys, "certify", *ASK, "--index", "0", "--epsilon", "0.07", "--method", "interval")
    assert code == 3 and "incomplete method" in out


@pytest.mark.parametrize(("share", "expected"), [("0.5", 0), ("1", 1)])
def test_fail_under_is_a_simple_gate(capsys, share, expected):
    arguments = ["certify", *ASK, "--index", "3:5", "--epsilon", "0.07", "--method", "crown", "--fail-under", share]
    assert run(capsys, *arguments)[0] == expected


def test_compare_shows_every_method_with_gap_evidence_and_relus(capsys):
    code, out, _ = run(capsys, "compare", *ASK, "--index", "3", "--epsilon", "0.03")
    assert code == 0
    for word in (
        "interval >=",
        "dual >=",
        "crown >=",
        "alpha >=",
        "lp >=",
        "milp >=",
        "gap",
        "solver claim",
        "recomputed",
    ):
        assert word in out
    assert "active/inactive/unstable" in out and "a solver's claim, not recomputed" in out


def test_compare_takes_chosen_methods_bounds_and_json(capsys):
    arguments = ["compare", *ASK, "--index", "3", "--epsilon", "8/255", "--methods", "lp", "crown"]
    code, out, _ = run(capsys, *arguments, "--pre-activation", "interval", "--json")
    data = json.loads(out)
    assert code in (0, 3) and list(data["methods"]) == ["lp", "crown"]
    assert data["region"] == {"epsilon": "8/255", "norm": "linf", "clip": ["0", "1"]} and data["semantics"] == "real"
    assert data["network"]["sha256"] and data["versions"]["torch"]
    for method in data["methods"].values():
        for row, upper, gap in zip(method["margins"], data["upper"], method["gap"], strict=True):
            assert row["lower"] <= upper and gap == pytest.approx(upper - row["lower"])


def test_json_goes_to_a_file_beside_the_table(capsys, tmp_path):
    file = tmp_path / "out.json"
    code, out, _ = run(capsys, "certify", *ASK, "--index", "0", "--epsilon", "0.02", "--json", file)
    assert code == 0 and "verified" in out
    entry = json.loads(file.read_text())["results"][0]
    assert entry["index"] == 0 and entry["verdict"] == "verified" and len(entry["margins"]) == 9


def test_info_describes_a_network(capsys):
    code, out, _ = run(capsys, "info", NET)
    assert code == 0 and "96 ReLUs in 2 layers" in out and "sha256" in out
    code, out, _ = run(capsys, "info", NET, "--json")
    assert json.loads(out)["input_shape"] == [1, 28, 28]


def test_the_demo_runs(capsys):
    code, out, _ = run(capsys, "demo")
    assert code == 0 and "recomputed" in out and "milp" in out


def test_help_starts_quickly_and_loads_nothing_heavy():
    begun = time.perf_counter()
    command = [sys.executable, "-X", "importtime", "-m", "verify.cli.main", "--help"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0 and "certify" in found.stdout
    loaded = found.stderr
    assert not any(f"| {name}\n" in loaded.replace("|   ", "| ") for name in ("torch", "numpy", "onnx", "scipy"))
    assert time.perf_counter() - begun < 5  # 0.05 s on a quiet machine; benchmarks measure, tests only guard


# --- mistakes: one line, exit code 2, no traceback ----------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Damaged and unusual files, by name."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "truncated.onnx").write_bytes(demo_network_path("mlp").read_bytes()[:1000])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "garbage.onnx").write_bytes(b"this is no network" * 50)
    (folder / "cut.onnx.gz").write_bytes(gzip.compress(demo_network_path("mlp").read_bytes())[:5000])
    (folder / "net.h5").write_bytes(b"x")
    torch.save({"0.weight": torch.ones(2, 3), "0.bias": torch.ones(2)}, folder / "weights.pt")
    torch.save(torch.nn.Linear(2, 2), folder / "module.pt")
    (folder / "cut.pt").write_bytes((folder / "weights.pt").read_bytes()[:300])
    model = onnx.load(demo_network_path("mlp"))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = np.array(onnx.numpy_helper.to_array(tensor))
            values.flat[0] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
            break
    onnx.save(model, folder / "nan.onnx")
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["x"], ["y"], name="squash")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "sigmoid.onnx")
    np.savez(folder / "flat.npz", x=np.zeros((3, 10), np.float32), y=np.zeros(3, np.int64))
    np.savez(folder / "label.npz", x=np.zeros((1, 1, 28, 28), np.float32), y=np.array([12]))
    np.savez(folder / "nan.npz", x=np.full((1, 1, 28, 28), np.nan, np.float32), y=np.array([1]))
    (folder / "nothing.npz").write_bytes(b"PK")
    return folder


def ask(model="", data="", **options):
    chosen = {"index": "0", "epsilon": "0.1", **options}
    flags = [word for key, value in chosen.items() for word in (f"--{key.replace('_', '-')}", *str(value).split())]
    return ["certify", model, "--data", data, "--clip", "0", "1", *flags]


MISTAKES = {
    "a missing network": (ask("missing.onnx"), "missing.onnx: no such file"),
    "a folder as a network": (ask("."), "is a folder"),
    "an empty network": (ask("empty.onnx"), "the file is empty"),
    "a truncated network": (ask("truncated.onnx"), "truncated.onnx"),
    "a truncated gz network": (ask("cut.onnx.gz"), "cut.onnx.gz"),
    "no network at all": (ask("garbage.onnx"), "garbage.onnx"),
    "an unknown kind of file": (ask("net.h5"), "known are .onnx"),
    "NaN weights": (ask("nan.onnx"), "NaN"),
    "an unsupported operator": (ask("sigmoid.onnx"), "Sigmoid"),
    "weights without an architecture": (ask("weights.pt"), "--arch module:callable"),
    "a pickled module": (ask("module.pt", arch="mlp"), "--arch module:callable"),
    "a truncated torch file": (ask("cut.pt", arch="mlp"), "not a readable torch file"),
    "an architecture that is not there": (ask("weights.pt", arch="no_such_nets:make"), "cannot import 'no_such_nets'"),
    "an architecture without a callable": (ask("weights.pt", arch="resnet"), "give module:callable"),
    "an architecture for ONNX": (ask(NET, DIGITS, arch="mlp"), "leave it out"),
    "missing data": (ask(NET, "missing.npz"), "missing.npz"),
    "damaged data": (ask(NET, "nothing.npz"), "nothing.npz"),
    "NaN data": (ask(NET, "nan.npz"), "must be finite"),
    "inputs of the wrong shape": (ask(NET, "flat.npz"), "takes inputs of shape ('N', 1, 28, 28), got (1, 10)"),
    "a label out of range": (ask(NET, "label.npz"), "label 12 is out of range: the network has 10 outputs, 0 to 9"),
    "an index out of range": (ask(NET, DIGITS, index="100"), "there are 100 inputs"),
    "an empty index range": (ask(NET, DIGITS, index="5:5"), "5:5"),
    "a malformed index": (ask(NET, DIGITS, index="one"), "one"),
    "a negative epsilon": (ask(NET, DIGITS, epsilon="-0.1"), "epsilon"),
    "an epsilon that is NaN": (ask(NET, DIGITS, epsilon="nan"), "epsilon is 'nan': give a finite number"),
    "an epsilon of the wrong magnitude": (ask(NET, DIGITS, epsilon="8"), "give epsilon in the data's units (8/255"),
    "an unknown method": (ask(NET, DIGITS, method="magic"), "unknown method 'magic': choose from interval"),
    "an unknown solver": (
        ask(NET, DIGITS, method="lp", solver="gurobi"),
        "unknown solver 'gurobi'; the known solvers are highs",
    ),
    "an unknown norm": (ask(NET, DIGITS, norm="l7"), "unknown norm 'l7': choose from linf, l2, l1"),
    "unknown bounds": (ask(NET, DIGITS, pre_activation="best"), "unknown pre-activation bounds 'best'"),
    "a timeout of zero": (ask(NET, DIGITS, timeout="0"), "timeout is 0"),
    "a share above one": (ask(NET, DIGITS, fail_under="90"), "give a share between 0 and 1"),
    "a JSON file that cannot be written": (
        ask(NET, DIGITS, method="interval", json="no/such/folder/x.json"),
        "cannot write",
    ),
}


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_a_mistake_is_one_clear_line(capsys, monkeypatch, files, mistake):
    monkeypatch.chdir(files)
    arguments, message = MISTAKES[mistake]
    # argparse reads "-0.1" after a flag as a number, so a negative radius reaches us as any other.
    code, out, err = run(capsys, *arguments)
    assert code == 2, (out, err)
    assert message in err and err.count("\n") == 1 and err.startswith("reluproof: error: ") and "Traceback" not in err


def test_a_solver_that_is_not_installed_is_named(capsys, monkeypatch):
    monkeypatch.setattr("solvers.base.find_spec", lambda name: None)
    code, _, err = run(capsys, *ask(NET, DIGITS, method="lp"))
    assert code == 2 and "pip install highspy" in err


def test_words_that_are_no_command_are_misuse(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["certfy"])
    assert stopped.value.code == 2 and "invalid choice" in capsys.readouterr().err


def test_a_contradiction_has_an_exit_code_of_its_own(capsys, monkeypatch):
    from verify.errors import SoundnessError

    def contradict(*_, **__):
        raise SoundnessError("two bounds exclude each other")

    monkeypatch.setattr("verify.certify.api.margin_table", contradict)
    code, _, err = run(capsys, *ask(NET, DIGITS))
    assert code == 4 and err.startswith("reluproof: contradiction:")


def test_claims_about_executions_say_so(capsys, tmp_path):
    file, folder = tmp_path / "found.json", tmp_path / "proofs"
    words = ["certify", *ASK, "--index", "0:2", "--epsilon", "0.02", "--semantics", "float32", "--json", file]
    code, out, _ = run(capsys, *words, "--certificates", folder)
    assert code == 0
    assert "claim: every x within [0, 1] with |x - input|_inf <= 0.02, float32 x, network as executed" in out
    data = json.loads(file.read_text())
    assert data["semantics"] == "float32"
    assert [r["semantics"] for r in data["results"]] == ["float32"] * 2
    code, out, _ = run(capsys, "check", folder / "0.reluproof", "--network", folder / "network.reluproof", "--json")
    assert code == 0 and '"semantics": "float32"' in out


def test_solvers_claims_are_refused_about_executions(capsys):
    words = ["certify", *ASK, "--index", "0", "--epsilon", "0.02", "--semantics", "float32", "--method", "milp"]
    code, out, err = run(capsys, *words)
    assert code == 2 and out == "" and "method 'milp' rests on a solver's claim about real arithmetic" in err


def test_compare_about_executions(capsys):
    code, out, _ = run(
        capsys, "compare", *ASK, "--index", "3", "--epsilon", "0.02", "--semantics", "float32", "--timeout", "10"
    )
    assert code == 0 and "network as executed" in out and "milp" not in out
