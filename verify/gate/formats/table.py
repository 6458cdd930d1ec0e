"""The formats of an outcome, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from verify.gate.formats.github import workflow_commands
from verify.gate.formats.json_format import json_report
from verify.gate.formats.junit import junit
from verify.gate.formats.markdown import markdown
from verify.gate.formats.sarif import sarif
from verify.gate.formats.text import text
from verify.gate.outcome import GateOutcome

GATE_FORMATS: Mapping[str, Callable[[GateOutcome], str]] = {
    "text": text,
    "json": json_report,
    "junit": junit,
    "sarif": sarif,
    "markdown": markdown,
    "github": workflow_commands,
}
"""Each makes the whole text of a file, to be written as UTF-8; ``github`` makes lines for the log of a step."""
