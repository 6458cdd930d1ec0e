"""Checks a VNN-COMP witness against the files, with no code of reluproof: own reader, exact numbers, onnxruntime."""

from __future__ import annotations

import gzip
import operator
import re
from collections.abc import Callable, Mapping, Set
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def recheck(model: Path, prop: Path, witness: str) -> str:
    """``""`` when the witness file's text is a counterexample of the property; else what is wrong with it.

    The point must satisfy the assertions together with what onnxruntime computes there, exactly and without tolerance;
    only an input that the file fixes at a decimal is the float64 next to it (docs/vnnlib.md). The outputs that the
    witness names must be those of onnxruntime to 1e-4.
    """
    values = {name: Fraction(text) for name, text in re.findall(r"\(\s*([XY]_\d+)\s+([^\s()]+)\s*\)", witness)}
    point = [values[f"X_{i}"] for i in range(sum(name.startswith("X") for name in values))]
    outputs = run(model, np.array([float(v) for v in point]))
    claimed = [values.get(f"Y_{j}") for j in range(len(outputs))]
    if any(c is None or abs(float(c) - y) > 1e-4 * (1 + abs(y)) for c, y in zip(claimed, outputs, strict=True)):
        return "the outputs that it names are not onnxruntime's"
    known = {f"X_{i}": v for i, v in enumerate(point)} | {f"Y_{j}": Fraction(y) for j, y in enumerate(outputs)}
    text = read(prop).decode()
    commands, fixed = parse(text), fixed_inputs(text)
    declared = {c[1] for c in commands if c[0] == "declare-const"}
    if declared != set(known):
        return f"it has {len(known)} variables, the property {len(declared)}"
    for command in commands:
        if command[0] == "assert" and not holds(command[1], known, fixed):
            return f"{str(command[1])[:120]} does not hold"
    return ""


def run(model: Path, point: np.ndarray) -> list[float]:
    """The outputs of an ONNX file at one point, by onnxruntime."""
    proto = onnx.load_model_from_string(read(model))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    shape = [n if isinstance(n, int) and n > 0 else 1 for n in entry.shape]
    kind = np.float64 if "double" in entry.type else np.float32
    return session.run(None, {entry.name: point.reshape(shape).astype(kind)})[0].astype(np.float64).flatten().tolist()


def read(file: Path) -> bytes:
    """The bytes of a file, decompressed where it is compressed."""
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def parse(text: str) -> list[Any]:
    """The commands of a VNN-LIB 1.0 text as nested lists of words."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return stack[0]


def fixed_inputs(text: str) -> set[tuple[str, str]]:
    """The inputs that a file bounds on both sides by the same decimal, with the decimal."""
    bounds = set(re.findall(r"\(\s*(<=|>=)\s+(X_\d+)\s+([^\s()]+)\s*\)", text))
    return {(name, end) for relation, name, end in bounds if relation == "<=" and (">=", name, end) in bounds}


def holds(formula: list[Any], known: Mapping[str, Fraction], fixed: Set[tuple[str, str]] = frozenset()) -> bool:
    """Whether a formula is true of exact values; ``fixed`` inputs may be the float64 next to their decimal."""
    head, *rest = formula
    if head == "and":
        return all(holds(part, known, fixed) for part in rest)
    if head == "or":
        return any(holds(part, known, fixed) for part in rest)
    if len(rest) == 2 and all(isinstance(part, str) for part in rest) and tuple(rest) in fixed:
        return known[rest[0]] in (Fraction(rest[1]), Fraction(float(Fraction(rest[1]))))
    left, right = (value(term, known) for term in rest)
    return RELATIONS[head](left, right)


def value(term: Any, known: Mapping[str, Fraction]) -> Fraction:
    """The exact value of a term."""
    if isinstance(term, str):
        return known[term] if term in known else Fraction(term)
    values = [value(part, known) for part in term[1:]]
    return -values[0] if term[0] == "-" and len(values) == 1 else reduce(ARITHMETIC[term[0]], values)
