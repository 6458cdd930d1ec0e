"""A small runner of GitHub actions: runs the steps of a composite action as a runner would, for tests of action.yml."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Ran:
    """The action's outputs, the exit code of the step that failed (else 0), what was printed, and the step summary."""

    outputs: dict[str, str]
    code: int
    said: str
    summary: str


def run_action(action: Path, workspace: Path, *, inputs: dict[str, str], environ: dict[str, str]) -> Ran:
    """Run ``action``'s steps in ``workspace``, with only ``environ`` and what a runner sets as environment.

    An input that the action does not know is refused. Of expressions it knows ``inputs.NAME``, ``steps.ID.outputs.NAME``,
    texts, ``||`` and ``==``.
    """
    described = yaml.safe_load(action.read_text(encoding="utf-8"))
    given = {name: entry["default"] for name, entry in described["inputs"].items()}
    if unknown := set(inputs) - set(given):
        raise ValueError(f"inputs that the action does not know: {unknown}")
    known = {f"inputs.{name}": value for name, value in {**given, **inputs}.items()}
    temporary = workspace / ".runner"
    temporary.mkdir()
    summary = temporary / "summary.md"
    code, said = 0, ""
    for step in described["runs"]["steps"]:
        if "if" in step and _value(step["if"], known) != "true":
            continue
        output, script = temporary / f"{step['id']}.txt", temporary / f"{step['id']}.sh"
        output.touch()
        script.write_text(step["run"], encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=workspace,
            env={
                **environ,
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(action.parent),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_WORKSPACE": str(workspace),
                "RUNNER_TEMP": str(temporary),
                **{name: _filled(text, known) for name, text in step["env"].items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        said += done.stdout.decode()
        for line in output.read_text(encoding="utf-8").splitlines():
            name, value = line.split("=", 1)
            known[f"steps.{step['id']}.outputs.{name}"] = value
        if done.returncode:
            code = done.returncode
            break
    outputs = {name: _filled(entry["value"], known) for name, entry in described["outputs"].items()}
    return Ran(outputs, code, said, summary.read_text(encoding="utf-8") if summary.exists() else "")


def _filled(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: _value(found.group(1), known), text)


def _value(expression: str, known: dict[str, str]) -> str:
    """An unknown name is an empty text, as on a runner."""
    if "==" in expression:
        left, right = (_value(side, known) for side in expression.split("=="))
        return str(left == right).lower()
    terms = [term.strip() for term in expression.split("||")]
    values = [term[1:-1] if term.startswith("'") else known.get(term, "") for term in terms]
    return next((value for value in values if value), "")


def on_path(folder: Path) -> dict[str, str]:
    """An environment in which ``folder`` is searched for commands first."""
    return {"PATH": f"{folder}{os.pathsep}{os.defpath}"}
