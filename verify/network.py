"""The network: nodes in topological order, evaluated in whatever arithmetic the caller brings."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from verify.errors import LoadError, UsageError
from verify.operators import Add, Concat, Input, Linear, Operator, ReLU, Shape

Semantics: TypeAlias = Literal["real", "float32"]
"""``real``: f is the function that the stored numbers define in real arithmetic. ``float32``: f is any function that executing
the network in IEEE binary32 can give: round to nearest, any order of summation, fused or not, subnormals kept or flushed."""


@dataclass(frozen=True)
class Node:
    """One operator, and the positions of the nodes that it reads."""

    name: str
    operator: Operator
    inputs: tuple[int, ...] = ()

    @property
    def shape(self) -> Shape:
        """Shape of the node's value without the batch axis."""
        return self.operator.output_shape


@dataclass(frozen=True)
class Network:
    """A feed-forward network; node 0 is the input and the last node, of shape (n_out,), the output.

    Weights are float64. ``source`` says where the network came from, for reports; ``sha256`` is that of the file.
    ``semantics``: which functions bounds are about (:func:`verify.executed.meant` sets it, and refuses where it must).
    """

    nodes: tuple[Node, ...]
    source: str = ""
    sha256: str = ""
    semantics: Semantics = "real"

    def __post_init__(self) -> None:
        if not self.nodes or not isinstance(self.nodes[0].operator, Input):
            raise UsageError("a network needs nodes, the first of them its Input")
        for position, node in enumerate(self.nodes):
            if any(not 0 <= i < position for i in node.inputs):
                raise UsageError(f"node {node.name!r} reads a node that does not come before it")
            for tensor in node_tensors(node):
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                    raise LoadError(
                        f"node {node.name!r} has weights that are NaN or infinite: nothing can be proved about it"
                    )
        if len(self.nodes[-1].shape) != 1:
            raise UsageError(f"the output has shape {self.nodes[-1].shape}: a vector of scores is needed")

    @property
    def input_shape(self) -> Shape:
        """Shape of one input."""
        return self.nodes[0].shape

    @property
    def outputs(self) -> int:
        """Number of outputs n_out."""
        return self.nodes[-1].shape[0]

    @property
    def relus(self) -> tuple[int, ...]:
        """Positions of the ReLU nodes, in topological order."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node.operator, ReLU))

    def values(self, x: Tensor) -> Iterator[Tensor]:
        """The value of every node in order, for inputs ``x`` (N, *input_shape), in the dtype of ``x`` and the weights."""
        done: list[Tensor] = []
        for node in self.nodes:
            value = x if isinstance(node.operator, Input) else evaluate(node.operator, [done[i] for i in node.inputs])
            done.append(value)
            yield value

    def __call__(self, x: Tensor) -> Tensor:
        """Scores ``f(x)``: (N, *input_shape) -> (N, n_out)."""
        if tuple(x.shape[1:]) != self.input_shape:
            raise UsageError(f"the network takes inputs of shape {self.input_shape}, got {tuple(x.shape[1:])}")
        return deque(self.values(x), maxlen=1).pop()

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Network:
        """A copy with its floating tensors in another dtype, all tensors on another device."""
        return replace(self, nodes=tuple(_moved(node, dtype, device) for node in self.nodes))


def evaluate(operator: Operator, args: Sequence[Tensor]) -> Tensor:
    """The value of one operator, which is no Input, from those of the nodes that it reads; a leading axis N on all."""
    match operator:
        case ReLU():
            return args[0].clamp(min=0)
        case Add():
            return args[0] + args[1]
        case Concat(axis=axis):
            return torch.cat(list(args), dim=axis + 1)
        case Linear():
            return operator.apply(args[0])
    raise TypeError(f"{type(operator).__name__} has no value of its own")


def node_tensors(node: Node) -> list[Tensor]:
    """The tensors that a node stores."""
    values = (getattr(node.operator, f.name) for f in fields(node.operator))
    return [value for value in values if isinstance(value, Tensor)]


def _moved(node: Node, dtype: torch.dtype | None, device: torch.device | str | None) -> Node:
    changes: dict[str, Any] = {}
    for f in fields(node.operator):
        value = getattr(node.operator, f.name)
        if isinstance(value, Tensor):
            changes[f.name] = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
    return replace(node, operator=replace(node.operator, **changes)) if changes else node
