"""torch modules become networks, through the graph that torch.export gives (not decomposed)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from verify.errors import LoadError, ReluproofError, UnsupportedOperator, UsageError
from verify.load.aten import MOVEMENT, REMEDIES, RULES, SUPPORTED
from verify.load.builder import Builder, Value
from verify.load.runtime import check_against_runtime
from verify.network import Network

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def from_torch(module: nn.Module, *, input_shape: Sequence[int], source: str = "") -> Network:
    """The network that ``module`` computes in eval mode, for inputs of ``input_shape`` (without the batch axis).

    The module is copied, not changed. Raises UnsupportedOperator naming node and operator, LoadError for control flow
    that depends on the data, and LoadMismatch where our network and the module disagree on random inputs.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"from_torch takes an nn.Module, got {type(module).__name__}")
    shape = _shape(input_shape)
    frozen = copy.deepcopy(module).cpu().eval()
    dtype = next((p.dtype for p in frozen.parameters() if p.is_floating_point()), torch.float32)
    if dtype not in _FLOATS:
        raise LoadError(f"the module's weights are {dtype}: floating-point weights are read")
    frozen = frozen.float() if dtype in (torch.float16, torch.bfloat16) else frozen  # exact: every half is a float
    dtype = torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
    name = source or f"torch module {type(module).__name__}"
    program = _exported(frozen, torch.zeros(1, *shape, dtype=dtype), name)
    return _imported(program, name, _runner(frozen, dtype))


def from_exported(program: torch.export.ExportedProgram, *, source: str) -> Network:
    """The network of an exported program with one input, exported with a batch of one."""
    module = program.module()
    inputs = [n for n in program.graph.nodes if n.name in program.graph_signature.user_inputs]
    value = inputs[0].meta["val"] if len(inputs) == 1 else None
    if value is None or len(value.shape) < 1 or value.shape[0] != 1:
        raise LoadError(f"{source}: an exported program with one input and a batch of one is read: export it so")
    return _imported(program, source, _runner(module, value.dtype))


def _imported(program: torch.export.ExportedProgram, source: str, run: Callable[..., Any]) -> Network:
    network = _read(program, source)
    check_against_runtime(network, run, source=source, generator=torch.Generator().manual_seed(0))
    return network


def _runner(module: Callable[[Tensor], Tensor], dtype: torch.dtype) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(x).to(dtype).unsqueeze(0)).double().numpy())

    return run


def _shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(int(n) for n in input_shape)
    if not shape or any(n < 1 for n in shape):
        raise UsageError(f"input_shape is {tuple(input_shape)}: give the sizes of one input, such as (1, 28, 28)")
    return shape


def _exported(module: nn.Module, example: Tensor, source: str) -> torch.export.ExportedProgram:
    try:
        with torch.no_grad():
            module(example)
    except ReluproofError:
        raise
    except Exception as error:
        raise UsageError(
            f"{source} does not accept an input of shape {tuple(example.shape)} ({_line(error)}): check input_shape"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, (example,))
    except Exception as error:
        raise LoadError(
            f"{source}: torch.export gives no graph ({_line(error)}); control flow that depends on the data "
            "cannot be verified"
        ) from error


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _read(program: torch.export.ExportedProgram, source: str) -> Network:
    """Walk the graph: constants stay tensors, everything that depends on the input becomes a Value."""
    signature = program.graph_signature
    stored = {**program.state_dict, **program.constants}
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    builder = Builder()
    known: dict[str, Any] = {}
    result: Any = None
    for node in program.graph.nodes:
        builder.here, builder.here_op = node.name, str(node.target)
        if node.op == "placeholder":
            if node.name in named:
                known[node.name] = stored[named[node.name]].detach().cpu()
            elif node.name in signature.user_inputs:
                if any(isinstance(v, Value) for v in known.values()):
                    raise LoadError(f"{source} has more than one input: one is read")
                known[node.name] = builder.input(tuple(node.meta["val"].shape), "input")
        elif node.op == "call_function":
            args = torch.fx.node.map_arg(node.args, lambda n: known[n.name])
            kwargs = torch.fx.node.map_arg(node.kwargs, lambda n: known[n.name])
            known[node.name] = _call(builder, node.target, args, dict(kwargs))
        elif node.op == "output":
            outputs = torch.fx.node.map_arg(node.args[0], lambda n: known[n.name])
            if len(outputs) != 1 or not isinstance(outputs[0], Value):
                raise LoadError(f"{source} has {len(outputs)} outputs: one that depends on the input is read")
            result = outputs[0]
        else:
            raise UnsupportedOperator(node.name, node.op)
    return builder.finish(result, source)


def _call(builder: Builder, target: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = _name(target)
    if name == "getitem":
        return args[0][args[1]]
    values = [v for v in _leaves((args, kwargs)) if isinstance(v, Value)]
    if not values:
        return _constant(builder, name, target, args, kwargs)
    if name in MOVEMENT:
        if len(values) != 1:
            raise UnsupportedOperator(builder.here, name, "positions that depend on the input")
        moved = target(*_with_positions(builder, args), **_with_positions(builder, kwargs))
        if isinstance(moved, Tensor):
            return builder.select(values[0], moved)
        return [builder.select(values[0], part) for part in moved]
    if name not in RULES:
        remedy = REMEDIES.get(name, f"supported: {', '.join(SUPPORTED)}")
        raise UnsupportedOperator(builder.here, name, "", remedy)
    try:
        return RULES[name](builder, *args, **kwargs)
    except TypeError as error:  # an argument that the rule does not declare, which is never ignored
        raise UnsupportedOperator(builder.here, name, _line(error)) from error


def _constant(builder: Builder, name: str, target: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Constants may be moved and reshaped; what would round them is refused, since nobody would pay for it."""
    if name in MOVEMENT or name in IDENTITY_ON_CONSTANTS or name.startswith(("sym_", "_assert")):
        return target(*args, **kwargs)
    raise UnsupportedOperator(
        builder.here,
        name,
        "applied to constants",
        "store its result in the module (for weight norm: torch.nn.utils.parametrize.remove_parametrizations)",
    )


IDENTITY_ON_CONSTANTS = frozenset(
    ["alias", "clone", "contiguous", "detach", "detach_", "lift_fresh_copy", "neg", "zeros", "ones", "full", "arange"]
)


def _name(target: Any) -> str:
    overload = getattr(target, "_schema", None)
    return str(overload.name).split("::")[-1] if overload is not None else str(getattr(target, "__name__", target))


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _leaves(branch)]
    if isinstance(tree, (list, tuple)):
        return [leaf for branch in tree for leaf in _leaves(branch)]
    return [tree]


def _with_positions(builder: Builder, tree: Any) -> Any:
    if isinstance(tree, Value):
        return builder.positions(tree)
    if isinstance(tree, dict):
        return {key: _with_positions(builder, branch) for key, branch in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_with_positions(builder, branch) for branch in tree)
    return tree
