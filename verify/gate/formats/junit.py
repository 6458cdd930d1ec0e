"""JUnit XML, for GitLab, Jenkins and their like: a suite for each check, a case for each threshold."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any
from xml.etree import ElementTree as Tree

from verify import __version__
from verify.gate.formats.words import changes, headline, location, printable, ranges, region, requirement, sources
from verify.gate.outcome import CheckOutcome, GateOutcome, Held, Status

_ELEMENTS = {Status.FAILED: "failure", Status.UNDECIDED: "error"}


def junit(outcome: GateOutcome, *, written: datetime | None = None) -> str:
    """The outcome as JUnit XML text, to be written as UTF-8. ``written``: the time it tells; now, if none is given.

    A failed threshold is a failure and an undecided one an error, also where the policy counts it as failed. Judging takes
    no time: the seconds are the suite's.
    """
    when = (datetime.now(timezone.utc) if written is None else written).strftime("%Y-%m-%dT%H:%M:%S")
    root = Tree.Element("testsuites")
    for number, check in enumerate(outcome.checks):
        root.append(_suite(outcome, check, number, when))
    Tree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, encoding="unicode")}\n'


def _suite(outcome: GateOutcome, check: CheckOutcome, number: int, when: str) -> Tree.Element:
    statuses = [held.status for held in check.thresholds]
    suite = Tree.Element(
        "testsuite",
        {
            "name": printable(check.check.name),
            "package": "reluproof.gate",
            "id": str(number),
            "hostname": "localhost",
            "timestamp": when,
            "tests": str(len(statuses)),
            "failures": str(statuses.count(Status.FAILED)),
            "errors": str(statuses.count(Status.UNDECIDED)),
            "time": f"{check.seconds:.3f}",
        },
    )
    properties = Tree.SubElement(suite, "properties")
    for name, value in _properties(outcome, check).items():
        said = value if isinstance(value, str) else json.dumps(value, default=str)
        Tree.SubElement(properties, "property", {"name": printable(name), "value": printable(said)})
    for held in check.thresholds:
        suite.append(_case(check, held))
    Tree.SubElement(suite, "system-out").text = "\n".join(_said(outcome, check))
    Tree.SubElement(suite, "system-err").text = "\n".join(printable(note) for note in check.notes)
    return suite


def _properties(outcome: GateOutcome, check: CheckOutcome) -> dict[str, Any]:
    """Which network, which question, what computed."""
    return {
        "network": check.network,
        "region": region(check),
        **check.check.facts(),
        "policy": location(outcome.policy.file),
        "baseline": outcome.baseline or "none",
        "reluproof": __version__,
        **{f"version.{name}": version for name, version in sorted(outcome.versions.items())},
    }


def _case(check: CheckOutcome, held: Held) -> Tree.Element:
    name = printable(check.check.name)
    case = Tree.Element("testcase", {"name": printable(held.name), "classname": name, "time": "0"})
    if held.status in _ELEMENTS:
        what = {"type": printable(held.name), "message": requirement(held)}
        found = Tree.SubElement(case, _ELEMENTS[held.status], what)
        found.text = requirement(held) + (f"\ninputs: {ranges(held.inputs)}" if held.inputs else "")
    return case


def _said(outcome: GateOutcome, check: CheckOutcome) -> list[str]:
    lines = [f"gate {headline(outcome)}", f"answers: {sources(check)}"]
    for lost, word in ((True, "lost"), (False, "gained")):
        found = changes(check, lost=lost)
        if found:
            lines.append(f"{word} the certificate: {ranges([change.index for change in found])}")
    return lines
