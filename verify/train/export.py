"""A trained module as one ONNX file, read back and compared before anybody relies on it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from verify.errors import UsageError
from verify.load.dispatch import load
from verify.load.runtime import check_against_runtime
from verify.network import Network


def export_onnx(
    module: nn.Module, path: str | Path, input_shape: Sequence[int], *, names: tuple[str, str] = ("input", "logits")
) -> None:
    """Write ``module`` in eval mode as one ONNX file (opset 17) with a free batch axis. Raises UsageError on a bad path."""
    with warnings.catch_warnings():
        # Of torch's two exporters the older one is meant: it needs no further package and writes a single file.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            _export(module, Path(path), input_shape, names)
        except OSError as error:
            raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None


def _export(module: nn.Module, path: Path, input_shape: Sequence[int], names: tuple[str, str]) -> None:
    source, target = names
    example = next(module.parameters(), torch.zeros(0)).new_zeros(1, *input_shape)
    torch.onnx.export(
        module.eval(),
        (example,),
        path,
        dynamo=False,
        opset_version=17,
        verbose=False,
        input_names=[source],
        output_names=[target],
        dynamic_axes={source: {0: "batch"}, target: {0: "batch"}},
    )


def write_onnx(module: nn.Module, path: str | Path, input_shape: Sequence[int]) -> Network:
    """:func:`export_onnx`, then the network that :func:`verify.load` reads from the file, compared twice.

    On random inputs with the file's own runtime, as every loaded file is, and with ``module``. Raises LoadMismatch where
    they disagree.
    """
    export_onnx(module, path, input_shape)
    network = load(path)

    def run(x: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        first = next(module.parameters(), torch.zeros(0))
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(x).to(first).unsqueeze(0)).double().cpu().numpy())

    check_against_runtime(network, run, source="the trained module", generator=torch.Generator().manual_seed(1))
    return network
