"""State dicts in any container, and the modules that they belong to."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from verify.errors import LoadError, UsageError
from verify.load.attribute import import_attribute

State = Mapping[str, Tensor]
_NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "weights")


def read_torch(path: Path) -> State:
    """A ``torch.save``d state dict, or the one inside a checkpoint. Only tensors are unpickled (weights_only)."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise LoadError(
            f"{path}: holds Python objects beside tensors, which are not unpickled since that could run any code: save "
            "module.state_dict() and give the class with --arch module:callable"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise LoadError(f"{path}: not a readable torch file, perhaps truncated ({_line(error)})") from error
    try:
        state = _state_in(content)
    except LoadError as error:
        raise LoadError(f"{path}: {error}") from None
    if state is None:
        raise LoadError(f"{path}: holds no state dict (a mapping of names to tensors)")
    return state


def read_safetensors(path: Path) -> State:
    """A .safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise LoadError(f"{path}: not a readable safetensors file ({_line(error)})") from error


def read_npz(path: Path) -> State:
    """Arrays named as in a state dict (``1.weight``, ``1.bias``, ...)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(np.array(archive[name])) for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise LoadError(f"{path}: not a readable npz file of arrays ({_line(error)})") from error


def _state_in(content: Any) -> State | None:
    """The state dict in a checkpoint: itself, under a usual name, or the first of a list; wrappers' prefix dropped."""
    if isinstance(content, Sequence) and not isinstance(content, str) and content:
        return _state_in(content[0]) if len(content) == 1 else None
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        prefix = "module."
        wrapped = all(k.startswith(prefix) for k in content)
        return {k.removeprefix(prefix) if wrapped else k: v for k, v in content.items()}
    for name in _NESTED:
        if name in content and (found := _state_in(content[name])) is not None:
            return found
    others = {str(name): found for name, part in content.items() if (found := _state_in(part)) is not None}
    if len(others) > 1:
        names = ", ".join(repr(name) for name in others)
        raise LoadError(f"holds several state dicts ({names}): save the one that is meant alone")
    return next(iter(others.values()), None)


def relu_mlp(state: State) -> nn.Module:
    """The fully-connected network of a chain of weights, with a ReLU between any two layers and none at the end.

    The layers' order is not the file's, which some containers sort: it is the only one in which the sizes fit and
    layers whose names differ in a number stand in the order of their numbers. Raises LoadError where there is no such
    order, or more than one.
    """
    names = [k.removesuffix(".weight") for k, v in state.items() if k.endswith(".weight") and v.dim() == 2]
    known = {f"{n}.weight" for n in names} | {f"{n}.bias" for n in names}
    other = [k for k in state if k not in known]
    sizes = {n: (int(state[f"{n}.weight"].shape[0]), int(state[f"{n}.weight"].shape[1])) for n in names}
    orders = [] if other else _orders(sizes)
    if len(orders) != 1:
        listed = ", ".join(f"{n} {into}-{out}" for n, (out, into) in sizes.items())
        reason = f"it also holds {other[0]!r}" if other else f"its layers are {listed or 'none'}"
        several = "several orders of its layers fit" if orders else "it is no chain of fully-connected layers"
        raise LoadError(f"arch mlp does not say what the file is: {several} ({reason}): give --arch module:callable")
    layers: list[nn.Module] = [nn.Flatten()]
    for n in orders[0]:
        out, into = sizes[n]
        layer = nn.Linear(into, out, bias=f"{n}.bias" in state, dtype=state[f"{n}.weight"].dtype)
        layer.load_state_dict({k: state[f"{n}.{k}"] for k in ("weight", "bias") if f"{n}.{k}" in state})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _orders(sizes: Mapping[str, tuple[int, int]]) -> list[list[str]]:
    """Up to two orders of layers (out, in) in which each takes what the one before gives; [] when there is none."""
    found: list[list[str]] = []

    def extend(order: list[str], left: list[str]) -> None:
        if len(found) > 1:
            return
        if not left:
            found.append(order)
        for name in left:
            fits = not order or sizes[order[-1]][0] == sizes[name][1]
            if fits and not any(_same_kind(name, n) and _numbers(n) < _numbers(name) for n in left):
                extend([*order, name], [n for n in left if n != name])

    if sizes:
        extend([], list(sizes))
    return found


def _same_kind(a: str, b: str) -> bool:
    return re.sub(r"\d+", "", a) == re.sub(r"\d+", "", b)


def _numbers(name: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", name)]


NAMED: Mapping[str, Callable[[State], nn.Module]] = {"mlp": relu_mlp}


def module_of(state: State, arch: str | Callable[[], nn.Module] | None, source: str) -> nn.Module:
    """The module that ``arch`` builds, with the weights of ``state``: every name must be there, and no other."""
    if arch is None:
        raise UsageError(
            f"{source} holds weights only: say what they belong to with --arch module:callable (a function or class that "
            f"builds the torch module), or --arch mlp for fully-connected layers with ReLUs between them"
        )
    if isinstance(arch, str) and arch in NAMED:
        return NAMED[arch](state)
    module = build_module(arch)
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise LoadError(f"{source} does not fit the module that {arch} builds: {detail}") from error
    return module


def build_module(arch: str | Callable[[], nn.Module]) -> nn.Module:
    """The module that ``arch`` names or builds. Raises UsageError or LoadError where it does not."""
    build: Any = arch
    if isinstance(arch, str):
        if ":" not in arch:
            raise UsageError(
                f"arch is {arch!r}: give module:callable, such as my_nets:make_net, or one of {', '.join(NAMED)}"
            )
        build = _named(arch)
    if isinstance(build, nn.Module):
        return build
    if not callable(build):
        raise UsageError(f"arch {arch!r} is a {type(build).__name__}: name a function or class that builds the module")
    try:
        module = build()
    except Exception as error:  # whatever the user's code raises
        raise UsageError(
            f"arch {arch!r}: calling it without arguments failed ({type(error).__name__}: {_line(error)})"
        ) from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"arch {arch!r} gave a {type(module).__name__}, not a torch module")
    return module


def _named(arch: str) -> Any:
    try:
        return import_attribute(arch)
    except LoadError as error:
        if isinstance(error.__cause__, ImportError):
            raise UsageError(
                f"arch {arch!r}: cannot import {arch.partition(':')[0]!r} ({_line(error.__cause__)}): run from the "
                "folder that holds it, or install it"
            ) from error
        raise UsageError(f"arch {error}") from error


def _line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
