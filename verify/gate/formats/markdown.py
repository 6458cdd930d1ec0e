"""Markdown for a comment on a pull request and for the summary of a step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from verify.gate.formats.rules import rule
from verify.gate.formats.words import (
    changed,
    changes,
    headline,
    location,
    meaning,
    printable,
    ranges,
    reason,
    region,
    share,
    shortened,
    slack,
    sources,
    thresholds,
)
from verify.gate.outcome import GateOutcome, Status
from verify.wording import seconds

LIMIT = 65_536
"""Characters of a comment that GitHub takes."""

_ROWS = 200  # of one table
_OPEN = 10  # rows of single inputs that are shown without being asked for
_CELL = 200  # characters of a cell, before they are escaped

# Written as character references, to which Markdown gives no meaning; so is the dot that would make a link.
_SPECIAL = re.compile(r"[^\w .,/+=()%;-]|_")
_LINK = re.compile(r"(www)\.", re.IGNORECASE)


@dataclass(frozen=True)
class _Section:
    """A table under a title; ``folded``: shown only when it is asked for."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    folded: bool = False

    @property
    def before(self) -> str:
        title = f"<details><summary>{self.title}</summary>" if self.folded else f"### {self.title}"
        return f"{title}\n\n{_line(self.header)}|{' --- |' * len(self.header)}\n"

    @property
    def after(self) -> str:
        return "\n</details>\n\n" if self.folded else "\n"

    @property
    def least(self) -> int:
        """Characters without any row."""
        return len(self.before + _left_out(len(self.rows)) + self.after)

    def shown(self, room: int) -> str:
        """The section with as many rows as ``room`` characters hold, and how many are left out."""
        lines = []
        for row in self.rows[:_ROWS]:
            line = _line(row)
            room -= len(line)
            if room < 0:
                break
            lines.append(line)
        left_out = len(self.rows) - len(lines)
        return self.before + "".join(lines) + (_left_out(left_out) if left_out else "") + self.after


def markdown(outcome: GateOutcome) -> str:
    """Verdict, checks, what failed, what to do, what changed, where the answers come from: at most :data:`LIMIT` characters.

    A table that is too long says how many lines were left out.
    """
    mark = {Status.PASSED: "✅", Status.FAILED: "❌", Status.UNDECIDED: "❔"}[outcome.status]
    compared = "no baseline" if outcome.baseline is None else f"compared with {_code(outcome.baseline)}"
    head = f"## {mark} reluproof gate {headline(outcome)}\n\n{_code(location(outcome.policy.file))}, {compared}.\n\n"
    tail = (
        f"### Next\n\n{_next(outcome)}\n\n"
        f"{seconds(outcome.seconds)} in all; exit {outcome.exit_code}: {meaning(outcome)}.\n"
    )
    sections = _sections(outcome)
    room = LIMIT - len(head) - len(tail) - sum(section.least for section in sections)
    texts = []
    for section in sections:
        texts.append(section.shown(room))
        room -= max(len(texts[-1]) - section.least, 0)
    return head + "".join(texts) + tail


def _sections(outcome: GateOutcome) -> list[_Section]:
    """Of tables, those that are not empty, the most important first."""
    found = [
        _wanting("Failed", outcome, Status.FAILED),
        _wanting("Undecided", outcome, Status.UNDECIDED),
        _checks(outcome),
        *(_changes(outcome, lost=lost) for lost in (True, False)),
        _shrunk(outcome),
        _wanting("Held", outcome, Status.PASSED),
        _origins(outcome),
        _notes(outcome),
    ]
    return [section for section in found if section.rows]


def _wanting(title: str, outcome: GateOutcome, status: Status) -> _Section:
    rows = [
        (*map(_code, (check.check.name, held.name, held.wanted, held.found)), slack(held.slack), _inputs(held.inputs))
        for check, held in thresholds(outcome, status)
    ]
    header = ("check", "threshold", "wanted", "found", "slack", "inputs in its way")
    return _Section(f"{title} thresholds ({len(rows)})", header, rows, folded=status is Status.PASSED)


def _inputs(indices: Sequence[int]) -> str:
    return ranges(indices, 20)


def _checks(outcome: GateOutcome) -> _Section:
    rows = [
        (
            check.status.value,
            _code(check.check.name),
            _code(region(check)),
            str(len(check.lines)),
            *(str(check.states[state]) for state in ("verified", "falsified", "unknown", "error")),
            share(check.states["verified"], len(check.lines)),
            changed(check),
        )
        for check in outcome.checks
    ]
    header = (
        *("status", "check", "claim", "inputs", "verified", "falsified", "unknown", "error"),
        *("certified accuracy", "change"),
    )
    return _Section(f"Checks ({len(rows)})", header, rows)


def _changes(outcome: GateOutcome, *, lost: bool) -> _Section:
    rows = []
    for check in outcome.checks:
        lines = {line.index: line for line in check.lines}
        rows += [
            (
                _code(check.check.name),
                str(change.index),
                _code(change.before),
                _code(change.now + reason(lines.get(change.index))),
            )
            for change in changes(check, lost=lost)
        ]
    title = f"{'Lost' if lost else 'Gained'} certificates ({len(rows)})"
    return _Section(title, ("check", "input", "before", "now"), rows, folded=len(rows) > _OPEN)


def _shrunk(outcome: GateOutcome) -> _Section:
    rows = [
        (_code(radius.model), str(radius.index), _code(radius.before or "none"), _code(radius.now or "none"))
        for radius in outcome.radii
        if radius.shrunk
    ]
    header = ("model", "input", "verified at, before", "now")
    return _Section(f"Radii that shrank ({len(rows)})", header, rows, folded=len(rows) > _OPEN)


def _origins(outcome: GateOutcome) -> _Section:
    rows = [
        (_code(check.check.name), _code(check.network), _code(sources(check)), seconds(check.seconds))
        for check in outcome.checks
    ]
    return _Section("Where the answers come from", ("check", "network", "answers", "time"), rows, folded=True)


def _notes(outcome: GateOutcome) -> _Section:
    rows = [(_code(check.check.name), _code(note)) for check in outcome.checks for note in check.notes]
    return _Section(f"Notes ({len(rows)})", ("check", "note"), rows)


def _next(outcome: GateOutcome) -> str:
    """What the reader should do: the remedy of each kind of threshold that does not hold, once."""
    if outcome.status is Status.PASSED:
        return "Nothing to do. To compare with this outcome from now on, commit the ledger that `--ledger` wrote."
    names = [held.name for status in (Status.FAILED, Status.UNDECIDED) for _, held in thresholds(outcome, status)]
    remedies = list(dict.fromkeys(rule(name).remedy for name in names))
    if thresholds(outcome, Status.UNDECIDED):
        remedies.append("For what is undecided, raise the policy's `budget`: what is settled is in the cache.")
    return "\n".join(f"* {remedy}" for remedy in remedies)


def _left_out(lines: int) -> str:
    return f"\n{lines} more lines are left out: the JSON report has all.\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _code(text: object) -> str:
    """Text of others in a cell: no Markdown, no HTML, no link, no mention of anyone."""
    cut = shortened(printable(text), _CELL)
    escaped = _SPECIAL.sub(lambda found: f"&#{ord(found.group())};", cut)
    unlinked = _LINK.sub(r"\1&#46;", escaped)
    return f"<code>{unlinked}</code>"
