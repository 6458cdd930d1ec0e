"""State dicts in any container, and the modules that they belong to."""

from __future__ import annotations

import importlib
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from verify.errors import LoadError, UsageError

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
    state = _state_in(content)
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
    return None


def relu_mlp(state: State) -> nn.Module:
    """The fully-connected network whose weights a state dict lists in order, with a ReLU between any two layers."""
    names = [k.removesuffix(".weight") for k, v in state.items() if k.endswith(".weight") and v.dim() == 2]
    # A container may sort its names as text, 10 before 2: only numbers in the names say the order.
    numbered = {n: tuple(int(d) for d in re.findall(r"\d+", n)) for n in names}
    if len(names) > 1 and (len(set(numbered.values())) < len(names) or () in numbered.values()):
        raise LoadError(
            "the layers' names do not number them, so their order is not known: give --arch module:callable"
        )
    names.sort(key=lambda n: numbered[n])
    known = {f"{n}.weight" for n in names} | {f"{n}.bias" for n in names}
    other = [k for k in state if k not in known]
    sizes = [tuple(state[f"{n}.weight"].shape) for n in names]
    fits = all(a[0] == b[1] for a, b in pairwise(sizes))
    if not names or other or not fits:
        reason = f"it also holds {other[0]!r}" if other else f"its weights have sizes {sizes}"
        raise LoadError(f"the file is no chain of fully-connected layers ({reason}): give --arch module:callable")
    layers: list[nn.Module] = [nn.Flatten()]
    for n, (out, into) in zip(names, sizes, strict=True):
        layer = nn.Linear(into, out, bias=f"{n}.bias" in state, dtype=state[f"{n}.weight"].dtype)
        layer.load_state_dict({k: state[f"{n}.{k}"] for k in ("weight", "bias") if f"{n}.{k}" in state})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


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
    module = _built(arch)
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise LoadError(f"{source} does not fit the module that {arch} builds: {detail}") from error
    return module


def _built(arch: str | Callable[[], nn.Module]) -> nn.Module:
    build: Any = arch
    if isinstance(arch, str):
        name, colon, attribute = arch.partition(":")
        if not colon:
            raise UsageError(
                f"arch is {arch!r}: give module:callable, such as my_nets:make_net, or one of {', '.join(NAMED)}"
            )
        try:
            build = getattr(importlib.import_module(name), attribute)
        except ImportError as error:
            raise UsageError(f"arch {arch!r}: cannot import {name!r} ({_line(error)})") from error
        except AttributeError:
            raise UsageError(f"arch {arch!r}: module {name!r} has no {attribute!r}") from None
    module = build if isinstance(build, nn.Module) else build()
    if not isinstance(module, nn.Module):
        raise UsageError(f"arch {arch!r} gave a {type(module).__name__}, not a torch module")
    return module


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
