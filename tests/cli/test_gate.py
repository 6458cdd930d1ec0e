"""``gate`` and ``check --ledger`` from the command line: exit codes, files, one line for each mistake, and the action for real."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from support import inline_pool, projects
from support.runner import on_path, run_action

import verify.dataset.run
from verify.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(signed, tmp_path, monkeypatch):
    """The current folder is a copy of a project that was signed off."""
    monkeypatch.setattr(verify.dataset.run, "local_pool", inline_pool.inline_pool)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.chdir(shutil.copytree(signed, tmp_path / "project"))
    return tmp_path / "project"


def lines(capsys):
    out, err = capsys.readouterr()
    return out, err.strip().splitlines()


def test_a_gate_that_passes_exits_0_and_writes_what_it_is_asked_to(project, capsys):
    files = {name: project / f"out.{name}" for name in ("json", "junit", "sarif", "markdown", "html", "ledger")}
    assert main(["gate", *(word for name, file in files.items() for word in (f"--{name}", str(file)))]) == 0
    out, _ = lines(capsys)
    assert "gate passed" in out and "6 checked again from the cache" in out and "::" not in out
    assert json.loads(files["json"].read_text())["status"] == "passed"
    assert files["ledger"].read_text() == (project / "ledger.json").read_text()
    assert all(file.stat().st_size for file in files.values())


def test_a_gate_that_fails_exits_1_and_annotates_on_github(project, capsys, monkeypatch):
    projects.change_weights(project, 50.0)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project / "summary.md"))
    assert main(["gate"]) == 1
    out, _ = lines(capsys)
    assert "gate failed" in out and "::error file=reluproof.toml" in out
    assert "lost" in (project / "summary.md").read_text()


def test_a_gate_without_time_exits_3(project, capsys):
    shutil.rmtree("evidence")
    file = Path("reluproof.toml")
    file.write_text(f"budget = 1e-9\n{file.read_text()}")
    assert main(["gate"]) == 3
    assert "gate undecided" in lines(capsys)[0]


def test_a_first_ledger_is_signed_off_without_a_baseline(project, capsys):
    Path("ledger.json").unlink()
    assert main(["gate"]) == 2
    assert "--no-baseline" in lines(capsys)[1][0]
    assert main(["gate", "--no-baseline", "--ledger", "ledger.json"]) == 0
    assert main(["gate"]) == 0


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lambda: Path("reluproof.toml").unlink(), "the policy cannot be read"),
        (lambda: Path("reluproof.toml").write_text("[[check]]\n"), "check 1: name is missing"),
        (lambda: Path("ledger.json").write_text("{}"), "no ledger of format"),
        (lambda: Path("ledger.json").write_bytes(b"\xff"), "no ledger"),
        (lambda: (shutil.rmtree("evidence"), Path("evidence").touch()), "the cache of evidence"),
        (lambda: Path("model.onnx").unlink(), "model.onnx"),
        (lambda: Path("model.onnx").write_bytes(b"no model"), "model.onnx"),
        (lambda: Path("digits.npz").unlink(), "digits.npz"),
        (lambda: projects.change_policy("51", "51000"), "51000"),
        (lambda: projects.change_policy("verified = [0, 1]", "verified = [3]"), "input 3 must be verified"),
        (lambda: projects.change_policy('baseline = "ledger.json"', ""), "compares with a baseline, and there is none"),
        (lambda: projects.change_policy('name = "digits"', 'name = "other"'), "has no check 'other'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_misuse_exits_2_with_one_line(project, capsys, breaks, words):
    breaks()
    assert main(["gate"]) == 2
    out, err = lines(capsys)
    assert out == "" and len(err) == 1 and words in err[0] and err[0].startswith("reluproof: error: ")


def test_a_report_that_cannot_be_written_is_said(project, capsys):
    assert main(["gate", "--junit", "no/such/folder/out.xml"]) == 2
    assert "cannot write 'no/such/folder/out.xml'" in lines(capsys)[1][0]


def test_a_policy_may_name_a_state_dict_and_the_module_that_it_belongs_to(project, capsys):
    """A module of the working directory, and data that it makes."""
    Path("gate_nets.py").write_text(
        "import torch\n"
        "def net():\n    return torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))\n"
        "def data():\n    return [(torch.full((2,), k / 3), k % 2) for k in range(3)]\n"
    )
    module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    torch.save(module.state_dict(), "model.pt")
    Path("reluproof.toml").write_text(
        '[[check]]\nname = "own"\nmodel = "model.pt"\narch = "gate_nets:net"\ninput_shape = [2]\n'
        'data = "gate_nets:data"\nepsilon = 0.01\n[check.thresholds]\nunknown = 0\n'
    )
    assert main(["gate"]) == 0
    assert "3 computed" in lines(capsys)[0]


def test_a_ledger_is_checked_as_a_whole(project, capsys):
    assert main(["check", "--ledger", "ledger.json"]) == 0
    assert lines(capsys)[0].startswith("ACCEPTED\nconfirmed by their evidence: 4 verified, 2 falsified")
    projects.forge(project, 44, state="verified")
    assert main(["check", "--ledger", "ledger.json", "--json", "out.json"]) == 1
    assert "REJECTED" in lines(capsys)[0]
    assert json.loads(Path("out.json").read_text())["accepted"] is False
    assert main(["check", "--ledger", "none.json"]) == 2


def test_a_certificate_is_still_checked_by_the_program_of_its_own(project, capsys):
    """And it accepts the evidence of the cache, with nothing of ours between the user's file and the verdict."""
    assert main(["check", str(projects.evidence(project, 0)), "--network", "model.onnx"]) == 0
    out, _ = lines(capsys)
    assert out.startswith("ACCEPTED\n") and "for all x with linf(x - centre) <= 7/100" in out


def test_the_action_runs_the_real_gate(project):
    """As a runner does, in a shell, with the command on the path."""
    folder = project / "bin"
    folder.mkdir()
    (folder / "reluproof").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m verify.cli.main "$@"\n')
    (folder / "reluproof").chmod(0o755)
    environ = {**on_path(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = run_action(ROOT / "action.yml", project, inputs={"install": "false"}, environ=environ)
    assert ran.code == 0 and ran.outputs["status"] == "passed", ran.said
    assert "reluproof gate passed" in ran.summary
    assert (project / ran.outputs["ledger"]).read_text() == (project / "ledger.json").read_text()
