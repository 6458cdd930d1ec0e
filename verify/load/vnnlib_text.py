"""Reads VNN-LIB 1.0: one regular expression for the words, one stack for the parentheses, no recursion."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from verify.errors import LoadError
from verify.load.vnnlib_formula import RELATIONS, And, Atom, Document, Formula, Linear, Or, compare, weighted_sum
from verify.load.vnnlib_number import exact_decimal

# A simple comparison is read as one word: the thousands of bounds of an image are nothing else.
_WORDS = re.compile(
    r"""(?P<simple>\(\s*(<=|>=|<|>)\s+([^\s();]+)\s+([^\s();]+)\s*\))
      | (?P<open>\() | (?P<close>\)) | (?P<word>[^\s();]+) | ;[^\n]*""",
    re.VERBOSE,
)
_VARIABLE = re.compile(r"([XY])_(0|[1-9]\d*)", re.ASCII)
_SAYS_NOTHING = ("set-logic", "set-info")  # SMT-LIB commands that constrain no number
_SHOWN = 200  # characters of an assertion in an error message


@dataclass(frozen=True, slots=True)
class _Command:
    """A command at the top of the file that was read."""


Item: TypeAlias = "str | Linear | Atom | And | Or | _Command"


def read_text(text: str, source: str) -> Document:
    """The document in the text of a VNN-LIB 1.0 file. Time is linear in its length, whatever its nesting.

    Raises LoadError with the line and the text of what cannot be read. Nothing is skipped but comments.
    """
    return _Reader(text, source).read()


def place_in(text: str, at: int) -> tuple[int, str]:
    """The line number, and the text from the parenthesis at ``at`` to the one that closes it, on one line."""
    depth, end = 0, at
    for match in _WORDS.finditer(text, at):
        depth += (match.lastgroup == "open") - (match.lastgroup == "close")
        end = match.end()
        if depth <= 0 or end - at > 2 * _SHOWN:
            break
    shown = " ".join(text[at:end].split())
    return text.count("\n", 0, at) + 1, shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " ..."


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self.declared: dict[str, set[int]] = {"X": set(), "Y": set()}
        self.known: dict[str, Linear] = {}  # words that have been read as an operand
        self.assertions: list[Formula] = []

    def read(self) -> Document:
        stack: list[tuple[int, list[Item]]] = []
        for match in _WORDS.finditer(self.text):
            kind = match.lastgroup
            if kind is None:  # a comment
                continue
            at = match.start()
            if kind == "open":
                stack.append((at, []))
                continue
            if not stack:
                raise self.error(at, "is outside of any command")
            if kind == "word":
                stack[-1][1].append(match[0])
            elif kind == "simple":
                left, right = self.operand(match[3], at), self.operand(match[4], at)
                stack[-1][1].append(compare(match[2], left, right, at))
            else:
                begun, items = stack.pop()
                read = self.command(items, begun) if not stack else self.expression(items, begun)
                if stack:
                    stack[-1][1].append(read)
        if stack:
            raise self.error(stack[0][0], "is never closed: the file is truncated")
        return self.document()

    def document(self) -> Document:
        for kind, found in self.declared.items():
            missing = next((i for i in range(len(found)) if i not in found), None)
            if missing is not None:
                raise LoadError(f"{self.source}: {kind}_{max(found)} is declared but {kind}_{missing} is not")
        text = self.text
        return Document(
            source=self.source,
            inputs=len(self.declared["X"]),
            outputs=len(self.declared["Y"]),
            assertions=tuple(self.assertions),
            place=lambda at: place_in(text, at),
        )

    # --- commands ------------------------------------------------------------------------------------------------

    def command(self, items: list[Item], at: int) -> Item:
        head = items[0] if items else ""
        if head == "assert":
            if len(items) != 2:
                raise self.error(at, "asserts not exactly one formula")
            self.assertions.append(self.formula(items[1], at))
        elif head == "declare-const":
            self.declare(items[1:], at)
        elif head not in _SAYS_NOTHING:
            raise self.error(at, "is no command that is read: declare-const and assert are")
        return _Command()

    def declare(self, items: list[Item], at: int) -> None:
        match = _VARIABLE.fullmatch(items[0]) if len(items) == 2 and isinstance(items[0], str) else None
        if match is None or items[1] != "Real":
            raise self.error(at, "is not read: inputs X_0, X_1, ... and outputs Y_0, Y_1, ... of type Real are")
        kind, index = match[1], int(match[2])
        if index in self.declared[kind]:
            raise self.error(at, f"declares {match[0]} again")
        self.declared[kind].add(index)
        self.known[match[0]] = Linear({(kind, index): Fraction(1)})

    # --- formulas and terms --------------------------------------------------------------------------------------

    def expression(self, items: list[Item], at: int) -> Item:
        head, arguments = items[0] if items else None, items[1:]
        if not isinstance(head, str):
            raise self.error(at, "does not begin with an operator")
        if head in ("assert", "declare-const", *_SAYS_NOTHING):
            raise self.error(at, f"is a {head} inside another command: a parenthesis is missing before it")
        if head in ("and", "or"):
            if not arguments:
                raise self.error(at, f"is an {head} of nothing")
            parts = tuple(self.formula(a, at) for a in arguments)
            return And(parts) if head == "and" else Or(parts)
        if head in RELATIONS:
            if len(arguments) != 2:
                raise self.error(at, f"compares {len(arguments)} terms: two are read")
            return compare(head, self.operand(arguments[0], at), self.operand(arguments[1], at), at)
        if head in _ARITHMETIC:
            if not arguments:
                raise self.error(at, f"is a {head} of nothing")
            result = _ARITHMETIC[head]([self.operand(a, at) for a in arguments])
            if isinstance(result, str):
                raise self.error(at, result)
            return result
        known = ", ".join(["and", "or", *RELATIONS, *_ARITHMETIC])
        raise self.error(at, f"uses {head!r}, which is not read: {known} are")

    def formula(self, item: Item, at: int) -> Formula:
        if not isinstance(item, Atom | And | Or):
            raise self.error(at, f"has {self.shown(item)} where a comparison, and or or is needed")
        return item

    def operand(self, item: Item, at: int) -> Linear:
        if isinstance(item, Linear):
            return item
        if not isinstance(item, str):
            raise self.error(at, f"has {self.shown(item)} where a number, a variable or a linear term is needed")
        known = self.known.get(item)
        if known is None:
            known = self.known[item] = Linear(constant=self.number(item, at))
        return known

    def number(self, word: str, at: int) -> Fraction:
        try:
            value = exact_decimal(word)
        except OverflowError:
            raise self.error(at, f"has the number {word[:40]}: no float64 computation can be about it") from None
        if value is None and _VARIABLE.fullmatch(word):
            raise self.error(at, f"uses {word}, which is not declared before it")
        if value is None:
            raise self.error(at, f"has {word!r} where a number or a variable X_i or Y_j is needed")
        return value

    def shown(self, item: Item) -> str:
        if isinstance(item, Atom | And | Or):
            return "a formula"
        return repr(item) if isinstance(item, str) else "a term"

    def error(self, at: int, why: str) -> LoadError:
        line, text = place_in(self.text, at)
        return LoadError(f"{self.source}, line {line}: {text} {why}")


def _sum(terms: list[Linear]) -> Linear | str:
    return weighted_sum((Fraction(1), t) for t in terms)


def _difference(terms: list[Linear]) -> Linear | str:
    first = Fraction(1 if len(terms) > 1 else -1)  # (- a) is minus a
    return weighted_sum((first if k == 0 else Fraction(-1), t) for k, t in enumerate(terms))


def _product(terms: list[Linear]) -> Linear | str:
    variable = [t for t in terms if t.terms]
    if len(variable) > 1:
        return "multiplies variables with one another: only linear terms are read"
    constant = Fraction(1)
    for t in terms:
        constant *= Fraction(1) if t.terms else t.constant
    return variable[0].times(constant) if variable else Linear(constant=constant)


def _quotient(terms: list[Linear]) -> Linear | str:
    if len(terms) != 2 or terms[1].terms:
        return "divides not by exactly one number: only linear terms are read"
    if not terms[1].constant:
        return "divides by zero"
    return terms[0].times(1 / terms[1].constant)


_ARITHMETIC: Mapping[str, Callable[[list[Linear]], Linear | str]] = {
    "+": _sum,
    "-": _difference,
    "*": _product,
    "/": _quotient,
}
