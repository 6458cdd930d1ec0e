"""What ``reluproof gate`` prints on a terminal: plain, aligned, no colours."""

from __future__ import annotations

from verify.gate.formats.words import (
    changed,
    changes,
    counted,
    headline,
    location,
    meaning,
    printable,
    ranges,
    reason,
    region,
    share,
    slack,
    sources,
)
from verify.gate.outcome import CheckOutcome, GateOutcome
from verify.wording import seconds, table

_MOST = 20  # lines of single inputs under one heading: the files that the gate writes have all of them


def text(outcome: GateOutcome) -> str:
    """Checks, thresholds, what changed, where the answers come from, and what the exit code means.

    No line begins with a name of the policy: a continuous integration would take some for commands.
    """
    compared = "no baseline" if outcome.baseline is None else f"baseline {printable(outcome.baseline)}"
    asked = f"policy {printable(location(outcome.policy.file))}, {compared}, {seconds(outcome.seconds)}"
    end = f"exit {outcome.exit_code}: {meaning(outcome)}"
    parts = [asked, _checks(outcome), _thresholds(outcome), *_changes(outcome), _origins(outcome)]
    return "\n\n".join([*parts, f"gate {headline(outcome)}\n{end}"]) + "\n"


def _checks(outcome: GateOutcome) -> str:
    header = ["status", "check", "inputs", "verified", "falsified", "unknown", "error", "certified accuracy", "change"]
    rows = [
        [
            check.status.value,
            printable(check.check.name),
            str(len(check.lines)),
            *(str(check.states[state]) for state in ("verified", "falsified", "unknown", "error")),
            share(check.states["verified"], len(check.lines)),
            changed(check),
        ]
        for check in outcome.checks
    ]
    claims = [
        f"  claim of {printable(c.check.name)}: {region(c)}, network {printable(c.network)}" for c in outcome.checks
    ]
    return "\n".join([table(header, rows, left=2), "", *claims])


def _thresholds(outcome: GateOutcome) -> str:
    rows = [
        [held.status.value, *map(printable, (check.check.name, held.name, held.wanted, held.found)), slack(held.slack)]
        for check in outcome.checks
        for held in check.thresholds
    ]
    found = table(["status", "check", "threshold", "wanted", "found", "slack"], rows, left=5)
    ways = [
        f"  in the way of {printable(held.name)} in {printable(check.check.name)}: {ranges(held.inputs, _MOST)}"
        for check in outcome.checks
        for held in check.thresholds
        if held.inputs
    ]
    return "\n".join([found, *([""] if ways else []), *ways])


def _changes(outcome: GateOutcome) -> list[str]:
    """What was lost, gained and shrunk; nothing is said where there is no baseline."""
    parts = []
    for check in outcome.checks:
        lost, gained = changes(check, lost=True), changes(check, lost=False)
        lines = {line.index: line for line in check.lines}
        if lost:
            rows = [f"  lost   input {c.index}: now {printable(c.now)}{reason(lines.get(c.index))}" for c in lost]
            parts.append(_heading(check, f"{counted(len(lost), 'input')} lost the certificate", rows))
        if gained:
            rows = [f"  gained input {c.index}: was {printable(c.before)}" for c in gained]
            parts.append(_heading(check, f"{counted(len(gained), 'input')} gained one", rows))
    shrunk = [radius for radius in outcome.radii if radius.shrunk]
    if shrunk:
        rows = [
            f"  shrunk {printable(r.model)}, input {r.index}: {printable(r.before or 'none')} to {printable(r.now or 'none')}"
            for r in shrunk
        ]
        parts.append("\n".join([f"radii of {counted(len(shrunk), 'input')} shrank", *_cut(rows)]))
    return parts


def _heading(check: CheckOutcome, what: str, rows: list[str]) -> str:
    return "\n".join([f"in {printable(check.check.name)} {what}", *_cut(rows)])


def _cut(rows: list[str]) -> list[str]:
    left_out = len(rows) - _MOST
    return [*rows[:_MOST], f"  and {left_out} more"] if left_out > 0 else rows


def _origins(outcome: GateOutcome) -> str:
    rows = []
    for check in outcome.checks:
        rows.append(f"  answers of {printable(check.check.name)}: {sources(check)}; {seconds(check.seconds)}")
        rows += [f"    note: {printable(note)}" for note in check.notes]
    return "\n".join(rows)
