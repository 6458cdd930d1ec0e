"""The GitHub action and the pre-commit hook: what they declare fits together, and the steps do what a runner is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support.runner import on_path, run_action

from verify.cli.main import _COMMANDS

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"]}
FILES = {
    "json": "gate.json",
    "junit": "junit.xml",
    "sarif": "gate.sarif",
    "markdown": "gate.md",
    "html": "gate.html",
    "ledger": "ledger.json",
}

# Stands for reluproof: keeps its arguments, writes each report (unless it refuses), and ends as it is told.
FAKE = """#!/usr/bin/env bash
printf '%s\\n' "$@" > arguments.txt
if [[ $FAKE_CODE == 2 ]]; then exit 2; fi
while (($#)); do
  case $1 in --json | --junit | --sarif | --markdown | --html | --ledger) echo "$1" > "$2" ;; esac
  shift
done
echo "from the fake" >> "$GITHUB_STEP_SUMMARY"
exit "$FAKE_CODE"
"""


def command(folder, name, text):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
    return folder


def run(tmp_path, code=0, **inputs):
    environ = {**on_path(command(tmp_path / "bin", "reluproof", FAKE)), "FAKE_CODE": str(code)}
    ran = run_action(ROOT / "action.yml", tmp_path, inputs={"install": "false", **inputs}, environ=environ)
    file = tmp_path / "arguments.txt"
    return ran, file.read_text(encoding="utf-8").splitlines() if file.exists() else None


@pytest.mark.parametrize(("code", "status"), [(0, "passed"), (1, "failed"), (3, "undecided")])
def test_the_action_ends_as_the_gate_does_and_names_its_reports(tmp_path, code, status):
    ran, arguments = run(tmp_path, code)
    places = {name: f"reluproof-gate/{file}" for name, file in FILES.items()}
    assert (ran.code, ran.summary) == (code, "from the fake\n")
    assert ran.outputs == {"status": status, "exit-code": str(code), **places}
    assert arguments == ["gate", "--policy", "reluproof.toml", *(w for n, p in places.items() for w in (f"--{n}", p))]
    assert all((tmp_path / place).read_text(encoding="utf-8") == f"--{name}\n" for name, place in places.items())


def test_reports_of_an_earlier_run_do_not_pass_for_those_of_a_gate_that_wrote_none(tmp_path):
    (tmp_path / "reluproof-gate").mkdir()
    (tmp_path / "reluproof-gate" / "gate.json").write_text("old", encoding="utf-8")
    ran, _ = run(tmp_path, 2)
    assert ran.code == 2 and ran.outputs == {"status": "error", "exit-code": "2", **dict.fromkeys(FILES, "")}


def test_a_command_that_is_missing_is_an_error(tmp_path):
    ran = run_action(ROOT / "action.yml", tmp_path, inputs={"install": "false"}, environ=on_path(tmp_path))
    assert ran.code == 127 and ran.outputs["status"] == "error" and "reluproof: command not found" in ran.said


def test_inputs_reach_the_gate_as_they_are_and_are_never_run(tmp_path):
    odd = "a policy; touch x $(touch y) `touch z` *.toml"
    _, arguments = run(
        tmp_path, policy=odd, baseline="old ledger.json", reports="my reports", arguments=" --workers 2\n*  "
    )
    assert arguments[:5] == ["gate", "--policy", odd, "--baseline", "old ledger.json"]
    assert arguments[5:7] == ["--json", "my reports/gate.json"] and arguments[-3:] == ["--workers", "2", "*"]
    assert not [name for name in "xyz" if (tmp_path / name).exists()]


@pytest.mark.parametrize("reports", ["", "a\nstatus=passed"])
def test_a_folder_that_could_not_be_told_as_an_output_is_refused(tmp_path, reports):
    ran, arguments = run(tmp_path, reports=reports)
    assert ran.code == 2 and arguments is None and ran.outputs["status"] == "error"
    assert "the input 'reports' is empty or has a line break: give the name of one folder" in ran.said


def test_the_action_installs_its_own_files_and_runs_what_it_installed(tmp_path):
    """A Python that only makes the folder of the environment, with a pip that keeps its arguments."""
    python = f"""#!/usr/bin/env bash
mkdir -p "$3/bin"
printf '#!/usr/bin/env bash\\nprintf "%%s\\\\n" "$@" > pip.txt\\n' > "$3/bin/python"
cat > "$3/bin/reluproof" <<'END'
{FAKE}END
chmod +x "$3/bin/python" "$3/bin/reluproof"
"""
    environ = {**on_path(command(tmp_path / "bin", "my-python", python)), "FAKE_CODE": "0"}
    ran = run_action(ROOT / "action.yml", tmp_path, inputs={"python": "my-python"}, environ=environ)
    assert ran.code == 0 and ran.outputs["status"] == "passed", ran.said
    asked = (tmp_path / "pip.txt").read_text(encoding="utf-8").splitlines()
    assert asked[:3] == ["-m", "pip", "install"] and asked[-3:] == ["-c", str(ROOT / "constraints.txt"), str(ROOT)]


def test_what_the_action_declares_fits_together():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"inputs\.([a-z-]+)", text.split("runs:", 1)[1]))
    assert used == set(ACTION["inputs"]) and ACTION["runs"]["using"] == "composite"
    assert all(entry["description"] and isinstance(entry["default"], str) for entry in ACTION["inputs"].values())
    for name, entry in ACTION["outputs"].items():
        assert entry["description"] and entry["value"] == f"${{{{ steps.gate.outputs.{name} }}}}"
    for step in STEPS.values():
        assert step["shell"] == "bash" and "${{" not in step["run"]  # an input in a script's text would be run
        (script,) = re.findall(r'bash "\$GITHUB_ACTION_PATH/(.+)"', step["run"])
        read = set(re.findall(r"\$\{?(INPUT_[A-Z]+)", (ROOT / script).read_text(encoding="utf-8")))
        assert read == set(step["env"])


def test_the_hook_runs_the_gate_on_changes_of_what_it_reads():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    scripts = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.scripts]", 1)[1]
    assert (
        hook["entry"].split() == ["reluproof", "gate"]
        and "gate" in _COMMANDS
        and scripts.lstrip().startswith("reluproof = ")
    )
    assert hook["language"] == "python" and hook["pass_filenames"] is False
    assert hook["additional_dependencies"][0] in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for name in (
        "reluproof.toml",
        "a/reluproof.toml",
        "ledger.json",
        "a/mnist-ledger.json",
        "nets/a.onnx",
        "digits.npz",
    ):
        assert re.search(hook["files"], name), name
    for name in ("README.md", "a.py", "package.json", "not-reluproof.toml.bak", "a.onnx.txt"):
        assert not re.search(hook["files"], name), name
