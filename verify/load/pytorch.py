"""torch modules and exported programs become networks, checked against torch on random inputs."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from verify.errors import LoadError, UsageError
from verify.load.graph import read_program
from verify.load.runtime import check_against_runtime
from verify.network import Network

_HALVES = (torch.float16, torch.bfloat16)


def from_torch(module: nn.Module, *, input_shape: Sequence[int], source: str = "") -> Network:
    """The network that ``module`` computes in eval mode, for inputs of ``input_shape`` (without the batch axis).

    The module is copied, not changed; it may be in training mode and on any device. float16 and bfloat16 weights are
    read exactly. Raises UsageError when the module does not take such an input, UnsupportedOperator naming node and
    operator, LoadError for control flow that depends on the data, and LoadMismatch where our network and the module
    disagree on random inputs.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"from_torch takes an nn.Module, got {type(module).__name__}")
    shape = _shape(input_shape)
    name = source or f"torch module {type(module).__name__}"
    frozen = _frozen(module, name)
    dtype = next((t.dtype for t in _stored(frozen) if t.is_floating_point()), torch.float32)
    example = torch.zeros(1, *shape, dtype=dtype)
    try:
        with torch.no_grad():
            frozen(example)
    except Exception as error:  # a module's own code may raise anything
        raise UsageError(f"{name} does not accept an input of shape {tuple(example.shape)} ({_line(error)})") from error
    return _checked(_exported(frozen, example, name), name, _runner(frozen, dtype))


def from_exported(program: ExportedProgram, *, source: str) -> Network:
    """The network of an exported program with one input, exported with a batch of one or a batch axis left free.

    Raises as :func:`from_torch` does, and LoadError for a program with several inputs or another batch.
    """
    inputs = [n for n in program.graph.nodes if n.name in program.graph_signature.user_inputs]
    value = inputs[0].meta.get("val") if len(inputs) == 1 else None
    if not isinstance(value, Tensor) or value.dim() == 0:
        raise LoadError(f"{source}: the program has {len(inputs)} inputs: one tensor is read")
    free = [axis for axis, size in enumerate(value.shape) if not isinstance(size, int)]
    if any(axis > 0 for axis in free) or (not free and value.shape[0] != 1):
        sizes = tuple("free" if a in free else int(n) for a, n in enumerate(value.shape))
        raise LoadError(f"{source}: its input has shape {sizes}: export it with a batch of one and fixed sizes")
    module = program.module()
    if free:
        program = _exported(module, torch.zeros(1, *value.shape[1:], dtype=value.dtype), source)
    return _checked(program, source, _runner(module, value.dtype))


def _frozen(module: nn.Module, name: str) -> nn.Module:
    """A copy on the CPU in eval mode, in float32 or float64."""
    try:
        frozen = copy.deepcopy(module).cpu().eval()
    except (RuntimeError, TypeError, ValueError) as error:
        raise LoadError(
            f"{name} cannot be copied ({_line(error)}): make its weights plain parameters first, for example with "
            "torch.nn.utils.remove_weight_norm or torch.nn.utils.prune.remove"
        ) from error
    for tensor in _stored(frozen):
        if tensor.is_complex() or tensor.is_quantized:
            raise LoadError(f"{name} has weights of {tensor.dtype}: floating-point weights are read")
    if any(t.dtype in _HALVES for t in _stored(frozen)):
        return frozen.float()  # exact: every half is a float
    return frozen


def _stored(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _exported(module: nn.Module, example: Tensor, source: str) -> ExportedProgram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not decomposed: convolutions, pools and normalisations stay what the user wrote.
            return torch.export.export(module, (example,), strict=False)
    except Exception as error:  # torch.export has no common base for what it raises
        raise LoadError(
            f"{source}: torch.export gives no graph ({_line(error)}); control flow that depends on the data cannot be "
            "verified"
        ) from error


def _checked(program: ExportedProgram, source: str, run: Callable[..., Any]) -> Network:
    network = read_program(program, source)
    check_against_runtime(network, run, source=source, generator=torch.Generator().manual_seed(0))
    return network


def _runner(module: Callable[[Tensor], Tensor], dtype: torch.dtype) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        with torch.no_grad():  # a clone: the module may change its input in place
            return np.asarray(module(torch.from_numpy(x).to(dtype).unsqueeze(0).clone()).double().numpy())

    return run


def _shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(int(n) for n in input_shape)
    if not shape or any(n < 1 for n in shape):
        raise UsageError(f"input_shape is {tuple(input_shape)}: give the sizes of one input, such as (1, 28, 28)")
    return shape


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
