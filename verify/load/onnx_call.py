"""One node of an ONNX graph as its handler sees it: operands, attributes that must be known, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from verify.errors import UnsupportedOperator
from verify.load.builder import Builder, Value
from verify.load.onnx_constants import Constant

Operand: TypeAlias = Value | Constant


@dataclass(frozen=True)
class Call:
    """A node: ``inputs`` (None where one is left out), ``outputs`` ("" where nobody reads one)."""

    builder: Builder
    name: str
    op: str
    inputs: tuple[Operand | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def given(self, position: int) -> bool:
        """Whether the input at ``position`` is there."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def operand(self, position: int) -> Operand:
        """The input at ``position``, constant or not."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise self.refuse(f"input {position} is missing")
        return found

    def value(self, position: int) -> Value:
        """The input at ``position``, which must depend on the network's input."""
        found = self.operand(position)
        if isinstance(found, Constant):
            raise self.refuse(f"input {position} is a constant")
        return found

    def constant(self, position: int, what: str) -> Constant:
        """The input at ``position``, which must be known while the file is read."""
        found = self.operand(position)
        if isinstance(found, Value):
            raise self.refuse(
                f"its {what} depends on the network's input", "export the model with constant weights and shapes"
            )
        return found

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self.attributes.get(name, default))

    def setting(self, name: str, position: int) -> Constant | None:
        """What older opsets keep in attribute ``name`` and newer ones in input ``position``; None when left out."""
        if name in self.attributes:
            if self.given(position):
                raise self.refuse(f"{name} is given both as an attribute and as an input")
            found = self.attributes[name]
            return Constant(np.asarray(found, dtype=np.float64 if isinstance(found, float) else np.int64))
        return self.constant(position, name) if self.given(position) else None

    def integers(self, name: str, position: int) -> list[int] | None:
        """The same for a list of integers."""
        found = self.setting(name, position)
        return None if found is None else [int(n) for n in found.array.reshape(-1)]

    def refuse(self, attribute: str, remedy: str = "") -> UnsupportedOperator:
        """The error that names this node; the caller raises it."""
        return UnsupportedOperator(self.name, self.op, attribute, remedy)


@dataclass(frozen=True)
class Rule:
    """How one operator is read: its handler, all the attributes it reads, how many inputs and outputs it takes.

    ``most`` is None for operators of any number of inputs; ``outputs`` is None for any number of outputs. Attributes in
    ``irrelevant`` are known to have no effect on inference.
    """

    handler: Callable[[Call], Operand | Sequence[Operand]]
    least: int = 1
    most: int | None = 1
    attributes: tuple[str, ...] = ()
    irrelevant: tuple[str, ...] = ()
    outputs: int | None = 1
