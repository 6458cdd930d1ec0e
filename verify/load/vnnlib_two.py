"""Reads VNN-LIB 2.0 through the grammar of the PyPI package vnnlib: one network, one input and one output tensor.

The package parses and checks; its tree is walked here and its numbers are read from their text, exactly. Its own
normal form (``vnnlib.compat``) is not used: it takes a conjunction of inputs and a disjunction of outputs apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

from verify.errors import LoadError, MissingDependency, UnsupportedProperty
from verify.load.vnnlib_formula import And, Document, Formula, Linear, Or, compare, weighted_sum
from verify.load.vnnlib_number import exact_decimal

_TYPES = ("Real", "F32", "F64")
_ONE = "one network with one input and one output tensor of type real, float32 or float64 is supported"
_RELATIONS = {
    "LessEqual": "<=",
    "GreaterEqual": ">=",
    "LessThan": "<",
    "GreaterThan": ">",
    "Equal": "==",
    "NotEqual": "!=",
}


def read_two(text: str, source: str) -> Document:
    """The document in the text of a VNN-LIB 2.0 file; elements of a tensor are numbered in row-major order.

    Raises MissingDependency without the package, LoadError with the parser's line and reason, and UnsupportedProperty
    for several networks, hidden nodes, equivalences, several tensors and types that are not real numbers.
    """
    vnnlib = _package(source)
    try:
        query = vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException as error:
        raise LoadError(f"{source}: {_reason(str(error))}") from error
    if len(query.networks) != 1:
        names = [n.name for n in query.networks]
        raise UnsupportedProperty(source, 1, str(names), f"are {len(names)} networks", _ONE)
    network = query.networks[0]
    walk = _Walk(source)
    for what, found in (
        ("hidden nodes", [h.name for h in network.hidden]),
        ("the network that it is equal to", network.equal_to),
        ("the network that it is isometric to", network.isometric_to),
    ):
        if found:
            raise UnsupportedProperty(source, 1, f"network {network.name}", f"names {what}, {found}", _ONE)
    inputs, outputs = _size(network.inputs, "input", source), _size(network.outputs, "output", source)
    try:
        assertions = tuple(walk.formula(a.expr) for a in query.assertions)
    except RecursionError:
        raise LoadError(f"{source}: is nested too deeply to be read") from None
    return Document(source, inputs, outputs, assertions, walk.place)


def _package(source: str) -> ModuleType:
    try:
        import vnnlib
    except ImportError:
        raise MissingDependency(
            f"{source} is VNN-LIB 2.0, which the package vnnlib reads and which is not installed: pip install 'reluproof[vnnlib]'"
        ) from None
    if not hasattr(vnnlib, "parse_query_string"):  # version 0.0.1 is another program of the same name
        raise MissingDependency(
            f"{source} is VNN-LIB 2.0: the installed vnnlib does not read it: pip install 'vnnlib>=1.0.2'"
        )
    module: ModuleType = vnnlib
    return module


def _reason(message: str) -> str:
    """What the parser says, on one line."""
    try:
        first = json.loads(message)["errors"][0]
    except (ValueError, LookupError, TypeError):
        return f"not VNN-LIB 2.0: {message}"
    return f"line {first.get('line', '?')}: {first.get('offendingSymbol', '')}: {first.get('message', '')} {first.get('hint', '')}"


def _size(tensors: Sequence[Any], kind: str, source: str) -> int:
    if len(tensors) != 1:
        names = [t.name for t in tensors]
        raise UnsupportedProperty(source, 1, str(names), f"are {len(names)} {kind} tensors", _ONE)
    (tensor,) = tensors
    if tensor.dtype.name not in _TYPES:
        raise UnsupportedProperty(source, 1, f"{kind} {tensor.name}", f"has type {tensor.dtype.name}", _ONE)
    return math.prod(tensor.shape)


class _Walk:
    """From the package's tree to ours; remembers where every comparison stood."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.places: list[tuple[int, str]] = []

    def place(self, at: int) -> tuple[int, str]:
        return self.places[at]

    def formula(self, node: Any) -> Formula:
        name = type(node).__name__
        if name in ("And", "Or"):
            parts = tuple(self.formula(part) for part in node.args)
            return And(parts) if name == "And" else Or(parts)
        if name not in _RELATIONS:
            raise self.error(node, "is no comparison, and or or")
        self.places.append((_line(node), " ".join(str(node).split())))
        return compare(_RELATIONS[name], self.linear(node.lhs), self.linear(node.rhs), len(self.places) - 1)

    def linear(self, node: Any) -> Linear:
        name = type(node).__name__
        if name == "Var":
            if node.kind.name not in ("Input", "Output"):
                raise self.error(node, f"is a {node.kind.name.lower()} variable: {_ONE}")
            kind = "X" if node.kind.name == "Input" else "Y"
            return Linear({(kind, _flat(node.indices, node.shape)): Fraction(1)})
        if name in ("Float", "Int"):
            return Linear(constant=self.number(node))
        if name == "Negate":
            return self.linear(node.expr).times(Fraction(-1))
        if name == "Plus":
            return weighted_sum((Fraction(1), self.linear(part)) for part in node.args)
        if name == "Minus":
            rest = ((Fraction(-1), self.linear(part)) for part in node.rest)
            return weighted_sum([(Fraction(1), self.linear(node.head)), *rest])
        if name == "Multiply":
            return self.product([self.linear(part) for part in node.args], node)
        raise self.error(node, f"is of the kind {name}, which is not read")

    def product(self, factors: Sequence[Linear], node: Any) -> Linear:
        variable = [f for f in factors if f.terms]
        if len(variable) > 1:
            raise self.error(node, "multiplies variables with one another: only linear terms are read")
        constant = math.prod((f.constant for f in factors if not f.terms), start=Fraction(1))
        return variable[0].times(constant) if variable else Linear(constant=constant)

    def number(self, node: Any) -> Fraction:
        try:
            value = exact_decimal(node.lexeme)
        except OverflowError:
            value = None
        if value is None:
            raise self.error(node, "is no decimal that a float64 computation can be about")
        return value

    def error(self, node: Any, why: str) -> LoadError:
        return LoadError(f"{self.source}, line {_line(node)}: {' '.join(str(node).split())} {why}")


def _flat(indices: Sequence[int], shape: Sequence[int]) -> int:
    """The number of an element in row-major order."""
    flat = 0
    for index, size in zip(indices, shape, strict=True):
        flat = flat * size + index
    return flat


def _line(node: Any) -> int:
    """The first line that the package knows under a node; it keeps lines of variables and numbers only."""
    stack = [node]
    while stack:
        one = stack.pop()
        line = getattr(one, "line", None)
        if isinstance(line, int):
            return line
        stack.extend(reversed(one.children()))
    return 1
