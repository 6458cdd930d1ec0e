"""``verify.load``: from a file's name to the reader for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from verify.errors import LoadError, UsageError
from verify.load.states import State, module_of, read_npz, read_safetensors, read_torch
from verify.network import Network


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    arch: str | Callable[[], nn.Module] | None
    input_shape: Sequence[int] | None


def load(
    path: str | Path,
    *,
    arch: str | Callable[[], nn.Module] | None = None,
    input_shape: Sequence[int] | None = None,
) -> Network:
    """The network in a file, checked against the runtime it comes from on random inputs.

    ``.onnx``, ``.onnx.gz``; ``.pt2`` (torch.export); ``.pt``, ``.pth``, ``.ckpt``, ``.safetensors``, ``.npz`` hold weights only and
    need ``arch``: ``"module:callable"`` or a callable that builds the torch module, or ``"mlp"``. ``input_shape``: sizes of
    one input, for torch modules whose first layer does not tell. Raises LoadError or UsageError with one line.
    """
    file = Path(path)
    if not file.exists():
        raise LoadError(f"{file}: no such file")
    if file.is_dir():
        raise LoadError(f"{file}: is a folder, a network file is needed")
    if not file.stat().st_size:
        raise LoadError(f"{file}: the file is empty")
    for suffix, read in _READERS.items():
        if file.name.lower().endswith(suffix):
            network = read(file, _Wanted(arch=arch, input_shape=input_shape))
            return replace(network, source=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    raise UsageError(f"{file}: unknown kind of network file: known are {', '.join(_READERS)}")


def _onnx(file: Path, wanted: _Wanted) -> Network:
    from verify.load.onnx import load_onnx

    for name, value in (("arch", wanted.arch), ("input_shape", wanted.input_shape)):
        if value is not None:
            raise UsageError(f"{file}: an ONNX file says its own {name}: leave it out")
    return load_onnx(file)


def _exported(file: Path, wanted: _Wanted) -> Network:
    from verify.load.pytorch import from_exported

    if wanted.arch is not None:
        raise UsageError(f"{file}: an exported program says its own arch: leave it out")
    try:
        program = torch.export.load(file)
    except Exception as error:  # torch.export.load raises whatever its parser meets
        raise LoadError(f"{file}: not a readable torch.export file ({' '.join(str(error).split())[:200]})") from error
    return from_exported(program, source=str(file))


def _weights(read: Callable[[Path], State]) -> Callable[[Path, _Wanted], Network]:
    def reader(file: Path, wanted: _Wanted) -> Network:
        from verify.load.pytorch import from_torch

        module = module_of(read(file), wanted.arch, str(file))
        return from_torch(module, input_shape=wanted.input_shape or _first_shape(module, file), source=str(file))

    return reader


def _first_shape(module: nn.Module, file: Path) -> tuple[int, ...]:
    """The input shape of a module whose first layer with weights is fully connected."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            return (layer.in_features,)
        if any(True for _ in layer.parameters(recurse=False)):
            break
    raise UsageError(f"{file}: the first layer does not tell the input's shape: give --input-shape, such as 1 28 28")


_READERS: Mapping[str, Callable[[Path, _Wanted], Network]] = {
    ".onnx": _onnx,
    ".onnx.gz": _onnx,
    ".pt2": _exported,
    ".pt": _weights(read_torch),
    ".pth": _weights(read_torch),
    ".ckpt": _weights(read_torch),
    ".safetensors": _weights(read_safetensors),
    ".npz": _weights(read_npz),
}
