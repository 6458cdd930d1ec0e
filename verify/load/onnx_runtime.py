"""Runs an ONNX model the way its users do: onnxruntime when it is installed and takes it, else the onnx reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from verify.errors import LoadError

Run: TypeAlias = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]

QUIET = 4  # onnxruntime's severity "fatal": a model that it refuses goes to the reference, and our error says why


def onnx_runtime(model: onnx.ModelProto, shape: Sequence[int]) -> tuple[str, Run]:
    """The runtime's name, and a function from one float32 input to its scores; ``shape`` is the model's input shape.

    Raises LoadError when no runtime accepts the model.
    """
    constants = {t.name for t in model.graph.initializer}
    entry = next(i for i in model.graph.input if i.name not in constants)
    kind = np.float64 if entry.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE else np.float32
    refusals: list[str] = []
    for name, start in (("onnxruntime", _onnxruntime), ("onnx.reference", reference_runtime)):
        try:
            call = start(model)
            if call is None:
                continue
            call({entry.name: np.zeros(tuple(shape), dtype=kind)})
        # Both raise whatever their kernels raise, under no common base: an answer of any kind is a refusal.
        except Exception as error:
            refusals.append(f"{name}: {(str(error).strip().splitlines() or [''])[0]}")
            continue
        return name, _reshaping(call, entry.name, tuple(shape), kind)
    raise LoadError(f"no runtime runs this model, so its import cannot be checked ({'; '.join(refusals)})")


def _reshaping(call: Callable[[dict[str, Any]], Any], name: str, shape: tuple[int, ...], kind: type) -> Run:
    def run(x: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return np.asarray(call({name: x.reshape(shape).astype(kind)}))

    return run


def _onnxruntime(model: onnx.ModelProto) -> Callable[[dict[str, Any]], Any] | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one input at a time: threads only cost their start
    options.log_severity_level = QUIET
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return lambda feed: session.run(None, feed)[0]


def reference_runtime(model: onnx.ModelProto) -> Callable[[dict[str, Any]], Any]:
    """A function from a feed to the scores, by the onnx package's own evaluator."""
    from verify.load.onnx_reference import reference_runtime  # a quarter of a second to import

    return reference_runtime(model)
