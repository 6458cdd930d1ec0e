"""The words that all formats share: names made printable, shares, lists of inputs, and the sentence on top."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from verify.gate.outcome import Change, CheckOutcome, GateOutcome, Held, Line, Status

SOURCES = {
    "cache": "checked again from the cache",
    "transfer": "transferred from an older network",
    "baseline": "taken from the baseline",
    "fresh": "computed",
}
"""Where an answer came from, in words, in the order in which they are named."""

_MEANING = {
    Status.PASSED: "every threshold holds",
    Status.FAILED: "a threshold does not hold",
    Status.UNDECIDED: "time was up before every threshold was decided",
}

_INPUTS = 50  # groups of indices that a complaint names

# Beside control characters: what turns the direction of text or ends a line, and what XML 1.0 has no place for.
_UNPRINTABLE = {
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
    0x2028,
    0x2029,
    0xFFFE,
    0xFFFF,
}
_VISIBLE = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNPRINTABLE} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}


def printable(text: object) -> str:
    """On one line, with every control character written as an escape: what a terminal, XML and a log may be given."""
    return str(text).translate(_VISIBLE)


def shortened(text: str, most: int) -> str:
    """At most ``most`` characters, the last of them an ellipsis where some were cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def location(policy: Path) -> str:
    """The policy's path as code hosts want it: relative to the current folder where it is below that."""
    below = policy.is_absolute() and policy.is_relative_to(Path.cwd())
    return (policy.relative_to(Path.cwd()) if below else policy).as_posix()


def uri(policy: Path) -> str:
    """The same as a URI reference."""
    place = location(policy)
    return ("file://" if place.startswith("/") else "") + quote(os.fsencode(place))


def share(part: int, whole: int) -> str:
    """A share in per cent, rounded down: 100.00% means all of them."""
    if whole == 0:
        return "-"
    hundredths = part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def slack(value: float) -> str:
    """By how much a threshold holds, with its sign; a dash where that is no number."""
    return f"{value:+.6g}" if math.isfinite(value) else "-"


def ranges(indices: Sequence[int], most: int | None = None) -> str:
    """Indices in order, neighbours joined: ``0-4, 7``; after ``most`` groups it says how many inputs are left out."""
    groups: list[list[int]] = []
    for index in sorted(set(indices)):
        if groups and index == groups[-1][-1] + 1:
            groups[-1] = [groups[-1][0], index]
        else:
            groups.append([index, index])
    shown = groups if most is None else groups[:most]
    texts = [f"{first}" if first == last else f"{first}-{last}" for first, last in shown]
    left_out = sum(last - first + 1 for first, last in groups[len(shown) :])
    return ", ".join([*texts, f"and {left_out} more"] if left_out else texts)


def counted(number: int, noun: str) -> str:
    """``1 input``, ``2 inputs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def changes(check: CheckOutcome, *, lost: bool) -> list[Change]:
    """The inputs that lost their certificate, or those that gained one."""
    return [change for change in check.changes or () if change.lost is lost]


def changed(check: CheckOutcome) -> str:
    """How many inputs lost and gained a certificate, in a column; a dash without a baseline."""
    if check.changes is None:
        return "-"
    lost, gained = len(changes(check, lost=True)), len(changes(check, lost=False))
    return ", ".join([f"{lost} lost"] * (lost > 0) + [f"{gained} gained"] * (gained > 0)) or "none"


def sources(check: CheckOutcome) -> str:
    """Where the answers of a check come from, in words."""
    order = [*SOURCES, *sorted(set(check.sources) - set(SOURCES))]
    found = [f"{check.sources[name]} {SOURCES.get(name, name)}" for name in order if check.sources[name]]
    return printable(", ".join(found)) or "no answers"


def region(check: CheckOutcome) -> str:
    """Around each input, as it is claimed: norm, epsilon, clip and semantics."""
    asked = check.check
    clip = "" if asked.clip is None else f" within [{asked.clip[0]}, {asked.clip[1]}]"
    return printable(f"{asked.norm} {asked.epsilon}{clip}, {asked.semantics} arithmetic")


def requirement(held: Held) -> str:
    """One threshold in a sentence: what was wanted, what was found, by how much it holds."""
    by = f" (slack {slack(held.slack)})" if math.isfinite(held.slack) else ""
    return printable(f"{held.name}: wanted {held.wanted}, found {held.found}{by}")


def complaint(held: Held) -> str:
    """A threshold that does not hold, with the inputs that stand in its way."""
    inputs = f"; inputs {ranges(held.inputs, _INPUTS)}" if held.inputs else ""
    return f"{held.status.value}: {requirement(held)}{inputs}"


def reason(line: Line | None) -> str:
    """Why an input is what it is, where that is known."""
    return printable(f" ({line.reason})") if line is not None and line.reason else ""


def thresholds(outcome: GateOutcome, status: Status) -> list[tuple[CheckOutcome, Held]]:
    """The thresholds with this status, in the order of the policy."""
    return [(check, held) for check in outcome.checks for held in check.thresholds if held.status is status]


def headline(outcome: GateOutcome) -> str:
    """The verdict of the gate and how many thresholds stand behind it."""
    total = sum(len(check.thresholds) for check in outcome.checks)
    failed, undecided = (len(thresholds(outcome, status)) for status in (Status.FAILED, Status.UNDECIDED))
    if failed or undecided:
        parts = [f"{failed} failed"] * (failed > 0) + [f"{undecided} undecided"] * (undecided > 0)
        found = f"of {counted(total, 'threshold')} {' and '.join(parts)}"
    else:
        found = f"{counted(total, 'threshold')} of {counted(len(outcome.checks), 'check')} held"
    return f"{outcome.status.value}: {found}"


def meaning(outcome: GateOutcome) -> str:
    """What the exit code means."""
    if outcome.status is Status.FAILED and not thresholds(outcome, Status.FAILED):
        return f"{_MEANING[Status.UNDECIDED]}, which this policy counts as failed"
    return _MEANING[outcome.status]
