"""GitHub Actions: annotations as workflow commands, and the summary of a step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from verify.errors import UsageError
from verify.gate.formats.markdown import markdown
from verify.gate.formats.words import (
    changes,
    complaint,
    counted,
    headline,
    location,
    printable,
    ranges,
    thresholds,
)
from verify.gate.outcome import CheckOutcome, GateOutcome, Status

_SHOWN = 10  # annotations of one level that GitHub shows for a step
_INPUTS = 20  # groups of indices that an annotation names
_SUMMARY = 1024 * 1024  # bytes of a step's summary that GitHub takes


def workflow_commands(outcome: GateOutcome) -> str:
    """One workflow command a line: an error or a warning for a threshold, a notice for what a check lost or that all is well.

    GitHub shows ten of a level for a step: the tenth says how many more there are.
    """
    undecided = "error" if outcome.policy.undecided == "fail" else "warning"
    found = [("error", check.check.name, complaint(held)) for check, held in thresholds(outcome, Status.FAILED)]
    found += [(undecided, check.check.name, complaint(held)) for check, held in thresholds(outcome, Status.UNDECIDED)]
    found += [("notice", check.check.name, _lost(check)) for check in outcome.checks if changes(check, lost=True)]
    if outcome.status is Status.PASSED:
        found.insert(0, ("notice", "", headline(outcome)))
    lines = []
    for level in ("error", "warning", "notice"):
        of_level = [(title, message) for name, title, message in found if name == level]
        if len(of_level) > _SHOWN:
            rest = len(of_level) - _SHOWN + 1
            of_level = [*of_level[: _SHOWN - 1], ("", f"{rest} more of this level: see the summary")]
        lines += [_command(level, outcome, title, message) for title, message in of_level]
    return "".join(line + "\n" for line in lines)


def _lost(check: CheckOutcome) -> str:
    indices = [change.index for change in changes(check, lost=True)]
    return f"{counted(len(indices), 'input')} lost the certificate: {ranges(indices, _INPUTS)}"


def _command(level: str, outcome: GateOutcome, title: str, message: str) -> str:
    name = f"reluproof gate: {printable(title)}" if title else "reluproof gate"
    place = f"file={_property(printable(location(outcome.policy.file)))},title={_property(name)}"
    return f"::{level} {place}::{_data(message)}"


def _data(text: str) -> str:
    """Escaped as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escaped as a parameter of a workflow command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def append_step_summary(outcome: GateOutcome, environ: Mapping[str, str]) -> bool:
    """Append the Markdown to the file that ``environ["GITHUB_STEP_SUMMARY"]`` names; whether that was done.

    It is not where no file is named, and where the file would become larger than the MiB that GitHub takes: it would show
    nothing of it then. Raises UsageError where the file cannot be written.
    """
    name = environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return False
    content = markdown(outcome).encode()
    try:
        with Path(name).open("ab") as file:
            if file.tell() + len(content) > _SUMMARY:
                return False
            file.write(content)
    except OSError as error:
        raise UsageError(
            f"cannot write the step summary {name!r}: {error.strerror}; unset GITHUB_STEP_SUMMARY"
        ) from None
    return True
