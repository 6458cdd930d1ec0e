"""The disjunctive normal form of a VNN-LIB file: what every counterexample satisfies, and the cases it can be of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from verify.errors import UnsupportedProperty
from verify.load.vnnlib_formula import And, Atom, Document, Formula, Or

Case: TypeAlias = tuple[Atom, ...]

MOST_CASES = 1_000_000  # the largest competition files have about 100,000
MOST_WRITTEN = 20_000_000  # atoms written down on the way, which bounds time and memory


@dataclass(frozen=True)
class Cases:
    """A point is a counterexample iff it satisfies all of ``common`` and all atoms of one case of ``cases``.

    What is common is kept apart so that an image's thousands of bounds are stored once, not once a case.
    """

    common: Case
    cases: tuple[Case, ...]


def cases(document: Document) -> Cases:
    """The cases of a file. Raises UnsupportedProperty when they are too many: MOST_CASES, MOST_WRITTEN."""
    writer = _Writer(document)
    common: list[Atom] = []
    choices: list[list[Case]] = []
    for part in _flat(And(document.assertions)):
        if isinstance(part, Atom):
            common.append(part)
        else:
            alternatives = writer.alternatives(part)
            if len(alternatives) == 1:
                common.extend(alternatives[0])
            else:
                choices.append(alternatives)
    return Cases(tuple(common), tuple(writer.product((), choices)))


def _flat(formula: And | Or) -> list[Formula]:
    """The parts of nested conjunctions (disjunctions) as those of one, in order."""
    parts: list[Formula] = []
    stack: list[Formula] = [formula]
    while stack:
        one = stack.pop()
        if type(one) is type(formula) and not isinstance(one, Atom):
            stack.extend(reversed(one.parts))
        else:
            parts.append(one)
    return parts


class _Writer:
    """Writes normal forms and counts what it writes, since they can be exponentially longer than the file."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.written = 0

    def alternatives(self, root: Formula) -> list[Case]:
        """The disjunctive normal form of a formula: children before their parents, without recursion."""
        order: list[tuple[Formula, int]] = []  # with how many parts; parents before children, last part first
        stack: list[Formula] = [root]
        while stack:
            formula = stack.pop()
            parts = [] if isinstance(formula, Atom) else _flat(formula)
            order.append((formula, len(parts)))
            stack.extend(parts)
        results: list[list[Case]] = []
        for formula, count in reversed(order):
            if isinstance(formula, Atom):
                results.append([(formula,)])
                continue
            found = results[len(results) - count :]
            del results[len(results) - count :]
            if isinstance(formula, Or):
                self.spend(formula, sum(map(len, found)), 0)
                results.append(list(chain.from_iterable(found)))
            else:
                always = tuple(chain.from_iterable(part[0] for part in found if len(part) == 1))
                results.append(self.product(always, [part for part in found if len(part) != 1]))
        return results[0]

    def product(self, always: Case, choices: Sequence[list[Case]]) -> list[Case]:
        """Every way to choose one case of each choice, with ``always`` in front; counted before it is built."""
        result = [always]
        for choice in choices:
            count = len(result) * len(choice)
            atoms = len(result) * sum(map(len, choice)) + len(choice) * sum(map(len, result))
            self.spend(choice[0][0] if choice and choice[0] else None, count, atoms)
            result = [a + b for a in result for b in choice]
        return result

    def spend(self, where: Formula | None, count: int, atoms: int) -> None:
        self.written += atoms + count
        if count <= MOST_CASES and self.written <= MOST_WRITTEN:
            return
        while where is not None and not isinstance(where, Atom):
            where = where.parts[0]
        line, text = (1, "the file") if where is None else self.document.place(where.at)
        raise UnsupportedProperty(
            self.document.source,
            line,
            text,
            "is in disjunctions whose combinations are too many to write down",
            f"up to {MOST_CASES:,} cases of {MOST_WRITTEN:,} comparisons in all are read; split the file into several",
        )
