"""The graph of an exported program, walked node by node: constants stay tensors, the rest becomes our operators.

An argument of an operator is read by its rule or has to be at its default; nothing is ever ignored. A Python number
takes the dtype of the tensor that it meets, as it does in torch. What is computed from constants alone is computed by
torch and accepted when no rounding occurred, since nobody would pay for it.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from verify.errors import LoadError, UnsupportedOperator
from verify.load.aten import CASTS, FACTORIES, MOVEMENT, REMEDIES, RULES, SUPPORTED
from verify.load.builder import Builder, Value
from verify.load.exact import EXACT_ON_CONSTANTS
from verify.network import Network

# Arguments that say where numbers lie or how, not what they are.
_LAYOUT = frozenset(["memory_format", "non_blocking", "copy", "pin_memory", "layout", "device"])
_ASSERTIONS = frozenset(["_assert_tensor_metadata"])  # of dtype and device, which torch.export has fixed
_REAL = (torch.float64, torch.float32)
_NO_GRAD = "wrap_with_set_grad_enabled"


def read_program(program: ExportedProgram, source: str) -> Network:
    """The network of ``program``, which has one tensor input with a batch of one. Unchecked: see ``pytorch.py``.

    Raises UnsupportedOperator naming node, operator and attribute, LoadError for several inputs or outputs.
    """
    signature = program.graph_signature
    stored = {**program.state_dict, **program.constants}
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    builder = Builder()
    given: dict[str, Any] = {}
    for node in program.graph.find_nodes(op="placeholder"):
        if node.name in named:
            given[node.name] = stored[named[node.name]].detach().cpu()
        elif isinstance(node.meta.get("val"), Tensor) and not builder.nodes:
            given[node.name] = builder.input(tuple(node.meta["val"].shape))
        else:
            raise LoadError(f"{source}: input {node.name!r}: one tensor is read, and nothing else")
    outputs = _Walk(builder, program.graph_module, given).run()
    if len(outputs) != 1:
        raise LoadError(f"{source} has {len(outputs)} outputs: a network with one is read")
    if not isinstance(outputs[0], Value):
        raise LoadError(f"{source}: its output does not depend on the input")
    return builder.finish(outputs[0], source)


@dataclass
class _Walk:
    """One graph; ``known`` has what each node is: a Value, a constant, or a list of them."""

    builder: Builder
    module: fx.GraphModule
    given: dict[str, Any]
    inner: bool = False
    known: dict[fx.Node, Any] = field(default_factory=dict)
    storage: dict[fx.Node, fx.Node] = field(default_factory=dict)  # the first node that held the same memory

    def run(self) -> Sequence[Any]:
        """Walk all nodes; what the graph returns, one entry an output."""
        nodes = list(self.module.graph.nodes)
        for place, node in enumerate(nodes):
            if node.op == "placeholder":
                self.known[node] = self.given[node.name]
            elif node.op == "get_attr":
                self.known[node] = operator.attrgetter(str(node.target))(self.module)
            elif node.op == "call_function":
                self.builder.here, self.builder.here_op = _place(node), _name(node.target)
                self.known[node] = self._call(node, nodes[place + 1 :])
            elif node.op == "output":
                return _flat(fx.node.map_arg(node.args[0], self.known.__getitem__))
            else:
                raise UnsupportedOperator(node.name, node.op)
        raise LoadError("a graph without an output")

    def _call(self, node: fx.Node, later: list[fx.Node]) -> Any:
        args: Any = fx.node.map_arg(node.args, self.known.__getitem__)
        kwargs: Any = dict(fx.node.map_arg(node.kwargs, self.known.__getitem__))
        name = self.builder.here_op
        if node.target is operator.getitem:
            self._shares_storage(node)
            return args[0][args[1]]
        if name == _NO_GRAD:
            return self._inline(args[1], args[2:])
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            raise self._refuse(remedy=f"supported: {', '.join(SUPPORTED)}")
        # dropout outside training returns its argument itself, although its schema does not say so.
        if any(r.alias_info is not None for r in schema.returns) or name.endswith("dropout"):
            self._shares_storage(node)
        result = self._result(node, schema, args, kwargs)
        if schema.is_mutable:
            self._changed(node, result, later)
        return result

    def _result(self, node: fx.Node, schema: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        name = self.builder.here_op
        values = [v for v in _flat((args, kwargs)) if isinstance(v, Value)]
        if name in _ASSERTIONS:
            return None
        if name in FACTORIES or not values:
            return self._constant(node.target, args, kwargs)
        if name in CASTS:
            return self._cast(node, values[0])
        if name in MOVEMENT:
            return self._moved(node.target, args, kwargs, values)
        if name not in RULES:
            raise self._refuse(remedy=REMEDIES.get(name, f"supported: {', '.join(SUPPORTED)}"))
        bound = _Binding(schema, _dtype(node), self._refuse)
        positional, named = bound.to_rule(RULES[name], args, kwargs)
        return RULES[name](self.builder, *positional, **named)

    def _refuse(self, attribute: str = "", remedy: str = "") -> UnsupportedOperator:
        return UnsupportedOperator(self.builder.here, self.builder.here_op, attribute, remedy)

    # --- kinds of operators -----------------------------------------------------------------------------------------

    def _inline(self, module: fx.GraphModule, operands: Sequence[Any]) -> Sequence[Any]:
        """The body of a ``with torch.no_grad()``, which is a graph of its own."""
        names = [n.name for n in module.graph.find_nodes(op="placeholder")]
        return _Walk(self.builder, module, dict(zip(names, operands, strict=True)), inner=True).run()

    def _moved(self, target: Any, args: Any, kwargs: dict[str, Any], values: list[Value]) -> Any:
        """torch itself moves the positions of a value, so every argument means what it means there."""
        if len(values) > 1 and not self.builder.here_op.endswith("_as"):
            raise self._refuse("positions that depend on the input")

        def positions(tree: Any) -> Any:
            if isinstance(tree, Value):  # float64 holds them exactly, and every torch operator takes it
                return self.builder.positions(tree).double()
            return type(tree)(positions(t) for t in tree) if isinstance(tree, (list, tuple)) else tree

        moved = target(*positions(args), **{k: positions(v) for k, v in kwargs.items()})
        if isinstance(moved, Tensor):
            return self.builder.select(values[0], moved.long())
        return [self.builder.select(values[0], part.long()) for part in moved]

    def _cast(self, node: fx.Node, value: Value) -> Value:
        if _dtype(node) not in _REAL:
            raise self._refuse(f"a cast to {_dtype(node)}", "it rounds, which is not piecewise linear")
        return value

    def _constant(self, target: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """torch's own result on constants; a value in a factory (zeros_like) gives only its shape."""
        name = self.builder.here_op
        exact = EXACT_ON_CONSTANTS.get(name)
        if exact is None and name not in MOVEMENT and name not in CASTS and name not in FACTORIES:
            raise self._refuse(
                "applied to constants",
                "store its result in the module (torch.nn.utils.parametrize.remove_parametrizations does, for a "
                "parametrized weight)",
            )

        def plain(tree: Any) -> Any:
            if isinstance(tree, Value):
                return torch.zeros(tree.shape)
            if isinstance(tree, Tensor):
                return tree.clone()  # an operator in place must not reach the user's module
            return type(tree)(plain(t) for t in tree) if isinstance(tree, (list, tuple)) else tree

        operands = plain(args)
        result = target(*operands, **{k: plain(v) for k, v in kwargs.items()})
        if name in CASTS and isinstance(args[0], Tensor) and not torch.equal(result.double(), args[0].double()):
            raise self._refuse("a cast of constants that rounds them")
        if exact is not None and not exact(result, *plain(args), **kwargs):
            raise self._refuse("applied to constants, with rounding", "store its result in the module")
        return result

    # --- memory -----------------------------------------------------------------------------------------------------

    def _shares_storage(self, node: fx.Node) -> None:
        source = node.args[0]
        while isinstance(source, (list, tuple)):
            source = source[0]
        if isinstance(source, fx.Node):
            self.storage[node] = self.storage.get(source, source)

    def _changed(self, node: fx.Node, result: Any, later: list[fx.Node]) -> None:
        """``node`` wrote into its first argument: later readers of that see the result; readers of a view are refused.

        Invariant: ``known`` has for each node what its memory holds now.
        """
        target = node.args[0]
        assert isinstance(target, fx.Node)
        root = self.storage[node]
        views = [n for n in self.known if n is not target and self.storage.get(n, n) is root]
        outside = root.op == "placeholder" and self.inner  # memory of the graph around this one
        if outside or _name(root.target) == _NO_GRAD or any(user in later for n in views for user in n.users):
            raise self._refuse("a change in place of memory that a view shares", "write it without the underscore")
        self.known[target] = result


@dataclass(frozen=True)
class _Binding:
    """The arguments of one call, by the operator's schema; ``dtype`` of its result, to which numbers are rounded."""

    schema: Any
    dtype: torch.dtype
    refuse: Callable[..., UnsupportedOperator]

    def to_rule(self, rule: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments for ``rule``; one that it does not declare has to be at its default."""
        parameters = list(inspect.signature(rule).parameters.values())[1:]
        count = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        names = {p.name for p in parameters}
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for i, argument in enumerate(self.schema.arguments):
            default = argument.default_value if argument.has_default_value() else None
            value = args[i] if i < len(args) else kwargs.get(argument.name, default)
            value = self._rounded(argument, value)
            if not argument.kwarg_only and i < count:
                positional.append(value)
            elif argument.kwarg_only and argument.name in names:
                named[argument.name] = value
            elif value is not default and value != default and argument.name not in _LAYOUT:
                raise self.refuse(f"{argument.name}={value!r}")
        return positional, named

    def _rounded(self, argument: Any, value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() == 0:
            return value.to(self.dtype)
        meets_a_tensor = any(kind in str(argument.type) for kind in ("Tensor", "number")) or argument.name == "value"
        if meets_a_tensor and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(torch.tensor(value, dtype=self.dtype))
        return value


def _place(node: fx.Node) -> str:
    """The module's path for a layer of torch's own, and that with the node's name for code in a forward."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack or not stack[-1][0]:
        return node.name
    path, kind = stack[-1]
    return str(path) if str(kind).startswith("torch.nn.modules.") else f"{path}.{node.name}"


def _name(target: Any) -> str:
    """``relu`` for aten::relu.default and aten::relu_.default alike."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return str(getattr(target, "__name__", target))
    name = str(schema.name).split("::")[-1]
    return name.removesuffix("_") if schema.is_mutable else name


def _dtype(node: fx.Node) -> torch.dtype:
    value = node.meta["val"]
    first = value[0] if isinstance(value, (list, tuple)) else value
    dtype: torch.dtype = first.dtype
    return dtype


def _flat(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _flat(branch)]
    if isinstance(tree, (list, tuple)):
        return [leaf for branch in tree for leaf in _flat(branch)]
    return [tree]
