"""The disjunctive normal form of a VNN-LIB file: what every counterexample satisfies, and the cases it can be of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from verify.errors import UnsupportedProperty
from verify.load.vnnlib_formula import Atom, Document, Formula, Or

Case: TypeAlias = tuple[Atom, ...]

MOST_CASES, MOST_ATOMS = 1_000_000, 20_000_000  # the largest competition files have about 100,000 cases


@dataclass(frozen=True)
class Cases:
    """A point is a counterexample iff it satisfies all of ``common`` and all atoms of one case of ``cases``.

    What is common is kept apart so that an image's thousands of bounds are stored once, not once a case.
    """

    common: Case
    cases: tuple[Case, ...]


def cases(document: Document) -> Cases:
    """The cases of a file. Raises UnsupportedProperty when there are more than MOST_CASES of them."""
    common: list[Atom] = []
    choices: list[list[Case]] = []
    for assertion in document.assertions:
        alternatives = _alternatives(assertion, document)
        if len(alternatives) == 1:
            common.extend(alternatives[0])
        else:
            choices.append(alternatives)
    return Cases(tuple(common), tuple(_product((), choices, document)))


def _alternatives(root: Formula, document: Document) -> list[Case]:
    """The disjunctive normal form of one formula, children before their parents, without recursion."""
    order: list[Formula] = []
    stack: list[Formula] = [root]
    while stack:
        formula = stack.pop()
        order.append(formula)
        if not isinstance(formula, Atom):
            stack.extend(formula.parts)
    found: dict[int, list[Case]] = {}
    for formula in reversed(order):
        if isinstance(formula, Atom):
            found[id(formula)] = [(formula,)]
            continue
        parts = [found[id(part)] for part in formula.parts]
        if isinstance(formula, Or):
            found[id(formula)] = list(chain.from_iterable(parts))
        else:
            always = tuple(chain.from_iterable(p[0] for p in parts if len(p) == 1))
            found[id(formula)] = _product(always, [p for p in parts if len(p) != 1], document)
    return found[id(root)]


def _product(always: Case, choices: Sequence[list[Case]], document: Document) -> list[Case]:
    """Every way to choose one case of each, ``always`` in front. Counted before it is built."""
    count, atoms = 1, len(always)
    for choice in choices:
        count, atoms = count * len(choice), atoms * len(choice) + count * sum(map(len, choice))
    if count > MOST_CASES or atoms > MOST_ATOMS:
        first = next(_atoms(choices), None)
        line, text = document.place(first.at) if first else (1, "")
        raise UnsupportedProperty(
            document.source,
            line,
            text,
            f"begins a conjunction of disjunctions that has {_shown(count)} cases",
            f"at most {MOST_CASES:,} are read; split the file into several",
        )
    result = [always]
    for choice in choices:
        result = [a + b for a in result for b in choice]
    return result


def _atoms(choices: Sequence[list[Case]]) -> chain[Atom]:
    return chain.from_iterable(chain.from_iterable(choices))


def _shown(count: int) -> str:
    return f"{count:,}" if count < 10**12 else f"about 2^{count.bit_length() - 1}"
