"""Checks a VNN-COMP witness against the files, with no code of reluproof: own reader, exact numbers, onnxruntime."""

from __future__ import annotations

import gzip
import operator
import re
from collections.abc import Callable, Mapping
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

    The point must satisfy the assertions together with what onnxruntime computes there, exactly and without tolerance.
    Only a comparison of one input with a decimal takes, besides the decimal, the float64 next to it. The outputs that
    the file names must be those of onnxruntime to 1e-4.
    """
    values = {name: Fraction(text) for name, text in re.findall(r"\(\s*([XY]_\d+)\s+([^\s()]+)\s*\)", witness)}
    point = [values[f"X_{i}"] for i in range(sum(name.startswith("X") for name in values))]
    outputs = run(model, np.array([float(v) for v in point]))
    claimed = [values.get(f"Y_{j}") for j in range(len(outputs))]
    if any(c is None or abs(float(c) - y) > 1e-4 * (1 + abs(y)) for c, y in zip(claimed, outputs, strict=True)):
        return "the outputs that it names are not onnxruntime's"
    known = {f"X_{i}": v for i, v in enumerate(point)} | {f"Y_{j}": Fraction(y) for j, y in enumerate(outputs)}
    commands = parse(read(prop).decode())
    declared = {c[1] for c in commands if c[0] == "declare-const"}
    if declared != set(known):
        return f"it has {len(known)} variables, the property {len(declared)}"
    for command in commands:
        if command[0] == "assert" and not holds(command[1], known):
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


def holds(formula: list[Any], known: Mapping[str, Fraction]) -> bool:
    """Whether a formula is true of exact values."""
    head, *rest = formula
    if head == "and":
        return all(holds(part, known) for part in rest)
    if head == "or":
        return any(holds(part, known) for part in rest)
    left, right = (value(term, known) for term in rest)
    if RELATIONS[head](left, right):
        return True
    # An input that is fixed at a decimal is the float64 next to it (docs/vnnlib.md).
    for a, b in (rest, rest[::-1]):
        if head in ("<=", ">=") and isinstance(a, str) and a.startswith("X_") and b not in known and isinstance(b, str):
            return known[a] == Fraction(float(Fraction(b)))
    return False


def value(term: Any, known: Mapping[str, Fraction]) -> Fraction:
    """The exact value of a term."""
    if isinstance(term, str):
        return known[term] if term in known else Fraction(term)
    values = [value(part, known) for part in term[1:]]
    return -values[0] if term[0] == "-" and len(values) == 1 else reduce(ARITHMETIC[term[0]], values)
