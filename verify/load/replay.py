"""Other runtimes that a counterexample must survive: the ONNX file in its own runtime, and torch in float32."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from verify.network import Network

if TYPE_CHECKING:
    from verify.load.onnx_runtime import Run


class OnnxReplay:
    """The outputs of an ONNX file by onnxruntime, or by the onnx package's reference where that is not installed.

    Called with points (N, *shape), gives float64 scores (N, n_out). The points are rounded to the type of the model's
    input. The session starts at the first call: a property that holds never pays for it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The runtime's name."""
        return self._started[0]

    def __call__(self, points: Tensor) -> Tensor:
        rows = [np.asarray(self._started[1](x), dtype=np.float64).reshape(-1) for x in points.numpy()]
        return torch.from_numpy(np.stack(rows))

    @cached_property
    def _started(self) -> tuple[str, Run]:
        from verify.load.onnx import model_input_shape, read_model
        from verify.load.onnx_runtime import onnx_runtime

        model = read_model(self.path)
        return onnx_runtime(model, model_input_shape(model, str(self.path)))


class Float32Replay:
    """The network's outputs in torch float32; points are rounded to float32 first."""

    name = "torch float32"

    def __init__(self, network: Network) -> None:
        self.network = network

    def __call__(self, points: Tensor) -> Tensor:
        with torch.no_grad():
            return self._single(points.to(torch.float32)).double()

    @cached_property
    def _single(self) -> Network:
        return self.network.to(dtype=torch.float32)


def replays(path: str | Path, network: Network) -> tuple[OnnxReplay | Float32Replay, ...]:
    """The runtimes for the network of the file ``path``: its own first where it is ONNX, torch float32 last.

    Give them to ``verify.decide``: a point counts as a counterexample only if each of them agrees.
    """
    small = Float32Replay(network)
    if Path(path).name.lower().endswith((".onnx", ".onnx.gz")):
        return OnnxReplay(Path(path)), small
    return (small,)
