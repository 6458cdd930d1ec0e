"""The benchmark runner reads both kinds of table, and its own check of witnesses accepts true ones only."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from verify.cli.main import main

FOLDER = Path(__file__).parents[2] / "benchmarks" / "vnncomp"


@pytest.fixture(scope="module")
def runner():
    """The module ``benchmarks/vnncomp/run.py``."""
    pytest.importorskip("onnxruntime")
    added = [str(FOLDER), str(FOLDER.parent)]
    sys.path[:0] = added
    try:
        spec = importlib.util.spec_from_file_location("vnncomp_run", FOLDER / "run.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["vnncomp_run"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        for path in added:
            sys.path.remove(path)


def test_tables_with_and_without_a_header_are_read(runner, reference_data):
    plain = runner.instances(reference_data / "vnncomp" / "test")
    headed = runner.instances(reference_data / "vnncomp" / "acasxu")
    assert len(plain) == 5 and {i.truth for i in plain} == {"unknown"} and plain[0].timeout == 60
    assert len(headed) == 103 and {i.truth for i in headed} <= {"sat", "unsat", "unknown"}
    assert all(i.model.exists() and i.prop.exists() for i in [*plain[:4], *headed])


@pytest.mark.parametrize(
    ("answer", "truth", "note", "mark"),
    [
        ("unsat", "unsat", "", "ok"),
        ("sat", "sat", "", "ok"),
        ("unsat", "sat", "", "WRONG"),
        ("sat", "unsat", "", "WRONG"),
        ("sat", "sat", "no", "BAD WITNESS"),
        ("unsat", "unknown", "", "new"),
        ("unknown", "sat", "", "unknown"),
        ("timeout", "unsat", "", "timeout"),
        ("error", "unsat", "why", "error"),
    ],
)
def test_an_answer_is_compared_with_the_known_one(runner, answer, truth, note, mark):
    assert runner.Outcome("i", answer, truth, 0.1, note).mark == mark


@pytest.fixture(scope="module")
def sat(reference_data, tmp_path_factory):
    """Model, property and the witness that the command line writes."""
    folder = reference_data / "vnncomp" / "test"
    witness = tmp_path_factory.mktemp("witness") / "w.txt"
    model, prop = folder / "test_sat.onnx", folder / "test_prop.vnnlib"
    assert main(["verify", str(model), str(prop), "--timeout", "60", "--witness", str(witness)]) == 1
    return model, prop, witness.read_text()


def test_a_true_witness_is_accepted(runner, sat):
    assert runner.recheck(*sat) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.replace("(X_0 -0.29", "(X_0 -0.19"), "not onnxruntime's"),
        (lambda t: t.replace("(X_3 0.", "(X_3 1."), "o"),
        (lambda t: t.replace("(Y_0 -0.02", "(Y_0 -0.03"), "not onnxruntime's"),
    ],
)
def test_a_false_witness_is_refused(runner, sat, change, said):
    model, prop, text = sat
    assert change(text) != text and said in runner.recheck(model, prop, change(text))


def test_a_point_outside_the_box_by_one_unit_in_the_last_place_is_refused(runner):
    check = sys.modules[runner.recheck.__module__]
    beyond = {"X_0": 1 + Fraction(1, 2**52)}
    assert not check.holds(["<=", "X_0", "1"], beyond) and check.holds(["<=", "1", "X_0"], beyond)


def test_an_input_that_is_fixed_at_a_decimal_may_be_the_float64_next_to_it(runner):
    check = sys.modules[runner.recheck.__module__]
    near = {"X_0": Fraction(0.1)}  # a little more than 1/10
    fixed = check.fixed_inputs("(assert (<= X_0 0.1)) (assert (>= X_0 0.1))")
    assert check.holds(["<=", "X_0", "0.1"], near, fixed)
    assert not check.holds(["<=", "X_0", "0.1"], near, check.fixed_inputs("(assert (<= X_0 0.1)) (assert (>= X_0 0))"))


def test_the_competition_script_writes_the_results_file(sat, tmp_path, monkeypatch):
    model, prop, _ = sat
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    results = tmp_path / "results.txt"
    prepare = ["bash", str(FOLDER / "prepare_instance.sh"), "v1", "test", str(model), str(prop)]
    assert subprocess.run(prepare, check=False).returncode == 0
    script = ["bash", str(FOLDER / "run_instance.sh"), "v1", "test", str(model), str(prop), str(results), "60"]
    assert subprocess.run(script, check=False, capture_output=True).returncode == 0
    assert results.read_text().startswith("sat\n((X_0 ")
    script[5] = str(tmp_path / "missing.vnnlib")
    assert subprocess.run(script, check=False, capture_output=True).returncode == 0
    assert results.read_text() == "error\n"
    assert subprocess.run([*script[:2], "v2", *script[3:]], check=False, capture_output=True).returncode == 1
