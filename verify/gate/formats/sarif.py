"""SARIF 2.1.0, for code scanning: a rule for each kind of threshold, a result for each that does not hold and each lost input."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from verify import __version__
from verify.gate.formats.rules import INPUT_LOST, LOST, RULES, Rule, rule
from verify.gate.formats.words import changes, complaint, location, meaning, printable, reason, uri
from verify.gate.outcome import CheckOutcome, GateOutcome, Line, Status

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST = 25_000
"""Results in one run: code scanning on GitHub refuses a file that has more."""


def sarif(outcome: GateOutcome) -> str:
    """The outcome as SARIF text. What holds is no result, so an empty list means that the gate passed.

    Results keep their fingerprints from run to run, as long as check, threshold and input keep their names.
    """
    named = {held.name for check in outcome.checks for held in check.thresholds}
    rules = {**RULES, INPUT_LOST: LOST, **{name: rule(name) for name in sorted(named - set(RULES))}}
    order = list(rules)
    results = [*_threshold_results(outcome, order), *_input_results(outcome, order)]
    run = {
        "tool": {
            "driver": {
                "name": "reluproof",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(name, found) for name, found in rules.items()],
            }
        },
        # One category for each policy: the files of two policies replace each other's results otherwise.
        "automationDetails": {"id": f"reluproof gate/{printable(location(outcome.policy.file))}/"},
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": outcome.exit_code,
                "exitCodeDescription": meaning(outcome),
                "toolExecutionNotifications": _notifications(outcome, len(results)),
            }
        ],
        "results": results[:MOST],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, allow_nan=False) + "\n"


def _rule(name: str, found: Rule) -> dict[str, Any]:
    return {
        "id": printable(name),
        "name": "".join(word.capitalize() for word in printable(name).split("_")),
        "shortDescription": {"text": found.title},
        "fullDescription": {"text": found.meaning},
        "help": {"text": found.remedy.replace("`", ""), "markdown": found.remedy},
        "defaultConfiguration": {"level": "error"},
    }


def _threshold_results(outcome: GateOutcome, order: list[str]) -> list[dict[str, Any]]:
    undecided = "error" if outcome.policy.undecided == "fail" else "warning"
    levels = {Status.FAILED: "error", Status.UNDECIDED: undecided}
    found = [
        _result(
            outcome,
            order,
            name=held.name,
            level=levels[held.status],
            message=f"{printable(check.check.name)}, {complaint(held)}",
            place=(check.check.name,),
        )
        for check in outcome.checks
        for held in check.thresholds
        if held.status in levels
    ]
    return sorted(found, key=_severity)


def _input_results(outcome: GateOutcome, order: list[str]) -> list[dict[str, Any]]:
    """One for each input that lost its certificate: an error where a threshold fails by it, else a note."""
    found = []
    for check in outcome.checks:
        failing = {i for held in check.thresholds if held.status is Status.FAILED for i in held.inputs}
        lines = {line.index: line for line in check.lines}
        for change in changes(check, lost=True):
            found.append(
                _result(
                    outcome,
                    order,
                    name=INPUT_LOST,
                    level="error" if change.index in failing else "note",
                    message=_lost_message(check, change.index, change.now, lines.get(change.index)),
                    place=(check.check.name, str(change.index)),
                )
            )
    return sorted(found, key=_severity)


def _severity(result: dict[str, Any]) -> int:
    return ("error", "warning", "note").index(result["level"])


def _lost_message(check: CheckOutcome, index: int, now: str, line: Line | None) -> str:
    where = f"{printable(check.check.name)}, input {index}"
    return f"{where}: verified in the baseline, now {printable(now)}{reason(line)}"


def _result(
    outcome: GateOutcome, order: list[str], *, name: str, level: str, message: str, place: tuple[str, ...]
) -> dict[str, Any]:
    """``place``: the check, and the input where the result is about one."""
    key = hashlib.sha256(json.dumps([name, *place]).encode()).hexdigest()
    return {
        "ruleId": printable(name),
        "ruleIndex": order.index(name),
        "level": level,
        "message": _message(message),
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(outcome.policy.file)},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [
                    {
                        "name": printable(place[-1]),
                        "fullyQualifiedName": printable("/".join(place)),
                        "kind": "check" if len(place) == 1 else "input",
                    }
                ],
            }
        ],
        # The first is the one that GitHub tracks results by.
        "partialFingerprints": {"primaryLocationLineHash": key[:32], "reluproof/v1": key},
    }


def _notifications(outcome: GateOutcome, results: int) -> list[dict[str, Any]]:
    texts = [f"{check.check.name}: {note}" for check in outcome.checks for note in check.notes]
    if results > MOST:
        texts.append(f"{results - MOST} of {results} results are left out; the JSON report has all inputs")
    return [{"level": "note", "message": _message(printable(text))} for text in texts]


def _message(text: str) -> dict[str, str]:
    """A message in which nothing is a placeholder or a link: brackets are escaped as the standard asks."""
    return {"text": text.translate({ord("{"): "{{", ord("}"): "}}", ord("["): r"\[", ord("]"): r"\]"})}
