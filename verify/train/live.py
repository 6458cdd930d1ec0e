"""A torch module as a network whose weights are the module's own parameters, so that bounds have gradients.

The module is traced once; ``bind`` then reads the parameters of the moment. What torch would do with a batch (dropout,
statistics) is decided here in the open: BatchNorm in training mode normalises bounds by the statistics of the clean
batch (Shi et al. 2021), so that a bound is about the very function that the clean scores come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from verify.errors import LoadError, LoadMismatch, UsageError
from verify.network import Network, Node, evaluate
from verify.operators import Input, Reshape, Shape
from verify.train.layers import FUNCTIONS, LAYERS, METHODS, MOVES, Bind, unsupported


@dataclass(frozen=True)
class Step:
    """One node to be: its name, the steps it reads, and what makes its operator (of its input's shape and value)."""

    name: str
    inputs: tuple[int, ...]
    bind: Bind


@dataclass(frozen=True)
class Bound:
    """The network of one moment, and its scores (B, n_out) at the batch that it was bound for; gradients flow through both."""

    network: Network
    scores: Tensor


@dataclass(frozen=True)
class Live:
    """A traced module; ``bind(x)`` is the network of this moment."""

    module: nn.Module
    input_shape: Shape
    outputs: int
    steps: tuple[Step, ...]
    source: str = ""

    def bind(self, x: Tensor) -> Bound:
        """The network whose tensors are the module's parameters now, and its scores at ``x`` (B, *input_shape).

        A BatchNorm in training mode takes its statistics from ``x`` and
        updates its running ones, once, as calling the module would. Raises UsageError for another input shape,
        UnsupportedOperator for a dropout in training mode, LoadError when a weight is NaN or infinite.
        """
        if tuple(x.shape[1:]) != self.input_shape:
            raise UsageError(f"the module was traced for inputs of shape {self.input_shape}, got {tuple(x.shape[1:])}")
        nodes = [Node("input", Input(output_shape=self.input_shape))]
        values = [x]
        for step in self.steps:
            args = [values[i] for i in step.inputs]
            operator = step.bind(*args)
            nodes.append(Node(step.name, operator, step.inputs))
            values.append(evaluate(operator, args))
        return Bound(Network(tuple(nodes), self.source), values[-1])


def trace(module: nn.Module, input_shape: Sequence[int]) -> Live:
    """Trace ``module`` for inputs of ``input_shape`` (without the batch axis); the module itself is kept and not changed.

    Read: Linear, Conv2d, BatchNorm1d and 2d, ReLU, Flatten, Identity, Dropout in eval mode, ``+``, torch.cat, flatten,
    view and reshape, in modules nested and connected as you like. Anything else: UnsupportedOperator naming the layer.
    Raises LoadError for control flow that torch.fx cannot trace, UsageError for an input that the module does not take, and
    LoadMismatch if the traced network and the module (in eval mode) disagree on a random input.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"trace takes an nn.Module, got {type(module).__name__}")
    shape = tuple(int(n) for n in input_shape)
    source = f"torch module {type(module).__name__}"
    whole = nn.Sequential(module) if type(module) in LAYERS else module  # a layer alone is read as one of many would be
    try:
        graph = fx.Tracer().trace(whole)
    except Exception as error:  # torch.fx raises whatever the module's code meets with a proxy for an input
        raise LoadError(
            f"{source}: torch.fx cannot trace it ({_line(error)}): control flow must not depend on the data"
        ) from error
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        example = _example(module, shape)
        shapes = _Shapes(fx.GraphModule(whole, graph), source).of(example)
        with torch.no_grad():
            scores = module(example)
        if scores.dim() != 2:
            raise UsageError(
                f"{source} gives values of shape {tuple(scores.shape[1:])} an input: a vector of scores is needed"
            )
        found = Live(module, shape, scores.shape[1], _steps(whole, graph, shapes), source)
        _check(found, example, scores, source)
    finally:
        for part, training in modes:
            part.training = training
    return found


def _example(module: nn.Module, shape: Shape) -> Tensor:
    """Two random inputs of the module's dtype, on its device."""
    first = next(module.parameters(), torch.zeros(0))
    drawn = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn.to(device=first.device, dtype=first.dtype)


class _Shapes(fx.Interpreter):
    """Runs the graph once and keeps the shape of every tensor in it."""

    def __init__(self, graph: fx.GraphModule, source: str) -> None:
        super().__init__(graph)
        self.source, self.found = source, dict[str, Shape]()

    def of(self, example: Tensor) -> dict[str, Shape]:
        """By node name, for the two inputs ``example``."""
        try:
            with torch.no_grad():
                self.run(example)
        except Exception as error:  # a module's own code may raise anything
            raise UsageError(
                f"{self.source} does not accept inputs of shape {tuple(example.shape)} ({_line(error)})"
            ) from error
        return self.found

    def run_node(self, n: fx.Node) -> object:
        """As the base class does, looking on."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.found[n.name] = tuple(value.shape)
        return value


def _steps(module: nn.Module, graph: fx.Graph, shapes: dict[str, Shape]) -> tuple[Step, ...]:
    places: dict[fx.Node, int] = {}
    steps: list[Step] = []

    def place(read: object, node: fx.Node) -> int:
        if not isinstance(read, fx.Node) or read not in places:
            raise unsupported(node.name, str(node.target), f"an argument {read!r} that is no value of the network")
        return places[read]

    for node in graph.nodes:
        if node.op == "placeholder":
            if places:
                raise unsupported(node.name, "placeholder", "a second input")
            places[node] = 0
            continue
        if node.op == "output":
            last = place(node.args[0], node)
            if last != len(steps):
                steps.append(Step(node.name, (last,), _same_shape(shapes[node.args[0].name])))
            break
        if node.name not in shapes:
            continue  # sizes and numbers, which the shapes of the example already hold
        reads, bind = _read(module, node, shapes)
        if bind is None:
            places[node] = place(reads[0], node)
            continue
        inputs = tuple(place(read, node) for read in reads)
        steps.append(Step(node.name, inputs, bind))
        places[node] = len(steps)
    return tuple(steps)


def _same_shape(shape: Shape) -> Bind:
    return lambda *_: Reshape(input_shape=shape[1:], shape=shape[1:])


def _read(module: nn.Module, node: fx.Node, shapes: dict[str, Shape]) -> tuple[Sequence[object], Bind | None]:
    """The nodes that ``node`` reads, and what makes its operator; None where it changes nothing."""
    shape = shapes[node.name]
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        rule = LAYERS.get(type(layer))
        if rule is None:
            raise unsupported(str(node.target), type(layer).__name__)
        return (*node.args, *node.kwargs.values()), rule(str(node.target), layer, shape[1:])
    table, name = (METHODS, str(node.target)) if node.op == "call_method" else (FUNCTIONS, node.target)
    label = getattr(node.target, "__name__", str(node.target))
    if not node.args:
        raise unsupported(node.name, label, "arguments by name", "give them by position")
    if name in MOVES:
        reads = [a for a in node.args if isinstance(a, fx.Node) and a.name in shapes]
        if shape[0] != 2:
            raise unsupported(node.name, label, "a shape that mixes the inputs of a batch")
        return reads, _reshape(shape[1:])
    function = table.get(name)
    if function is None:
        raise unsupported(node.name, label)
    return function(node, shape[1:])


def _reshape(shape: Shape) -> Bind:
    return lambda x: Reshape(input_shape=tuple(x.shape[1:]), shape=shape)


def _check(found: Live, example: Tensor, wanted: Tensor, source: str) -> None:
    with torch.no_grad():
        got = found.bind(example).scores
    scale = float(wanted.abs().max()) + 1.0
    difference, allowed = float((got - wanted).abs().max()), 1e-4 * scale
    if not difference <= allowed:
        raise LoadMismatch(source, difference, allowed)


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
