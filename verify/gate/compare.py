"""What changed since the baseline: certificates lost and gained, and radii that shrank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import verify
from verify.gate.ledger import Account, Ledger
from verify.gate.outcome import Change, Line, RadiusChange
from verify.gate.policy import Check


@dataclass(frozen=True)
class Comparison:
    """Of one check with its account in the baseline, all by index.

    ``shared``: the inputs that ask the same question in both; ``other``: those that ask another one; ``gone``: those that only the
    baseline has. ``verified`` of ``total`` lines were verified there. ``contradicted``: verified in one and falsified in the
    other though network and question are the same.
    """

    changes: tuple[Change, ...]
    shared: frozenset[int]
    other: tuple[int, ...]
    gone: tuple[int, ...]
    contradicted: tuple[int, ...]
    verified: int
    total: int


def compared(lines: Sequence[Line], network: str, before: Account) -> Comparison:
    """The lines beside those of the baseline. ``network``: the identity of the one that the lines are about."""
    known = {line.index for line in lines}
    both = [(line, before.lines[line.index]) for line in lines if line.index in before.lines]
    shared = [(now, then) for now, then in both if now.question == then.question]
    differ = [(now, then) for now, then in shared if (now.state == "verified") != (then.state == "verified")]
    return Comparison(
        changes=tuple(Change(now.index, then.state, now.state) for now, then in differ),
        shared=frozenset(now.index for now, _ in shared),
        other=tuple(now.index for now, then in both if now.question != then.question),
        gone=tuple(index for index in before.lines if index not in known),
        contradicted=tuple(
            now.index
            for now, then in differ
            if network == before.network and {now.state, then.state} == {"verified", "falsified"}
        ),
        verified=sum(line.state == "verified" for line in before.lines.values()),
        total=len(before.lines),
    )


_Family: TypeAlias = tuple[Any, ...]
"""What checks have in common that differ in their radius alone."""


def radius_changes(checks: Iterable[tuple[Check, Sequence[Line]]], ledger: Ledger) -> tuple[RadiusChange, ...]:
    """Where the largest radius changed at which an input is verified, over checks that differ in their radius."""
    now: dict[_Family, dict[int, str]] = defaultdict(dict)
    then: dict[_Family, dict[int, str]] = defaultdict(dict)
    seen: dict[_Family, set[int]] = defaultdict(set)
    for check, lines in checks:
        family, before = _family(check.facts()), ledger.account(check)
        for line in lines:
            old = before.lines.get(line.index)
            if old is None or old.question != line.question:
                continue
            seen[family].add(line.index)
            for radii, one in ((now, line), (then, old)):
                if one.state == "verified":
                    radii[family][line.index] = _larger(radii[family].get(line.index), check.epsilon)
    changes = []
    for family, indices in seen.items():
        for index in sorted(indices):
            a, b = then[family].get(index), now[family].get(index)
            if a != b:
                shrunk = b is None or (a is not None and _value(b) < _value(a))
                changes.append(RadiusChange(family[0], index, a, b, shrunk))
    return tuple(changes)


def _family(facts: Mapping[str, Any]) -> _Family:
    return (facts["model"], facts["data"], facts["norm"], str(facts["clip"]), facts["semantics"])


def _value(epsilon: str) -> Any:
    return verify.parse_decimal(epsilon)


def _larger(a: str | None, b: str) -> str:
    return b if a is None or _value(b) > _value(a) else a
