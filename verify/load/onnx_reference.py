"""The onnx package's own evaluator, which is slow to import and seldom needed: see ``onnx_runtime``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from verify.load.onnx_linear import DEFAULT_EPSILON


class BatchNormalization(OpRun):  # type: ignore[misc]
    """Inference, for opsets below 14, where the reference computes the statistics of the batch instead."""

    op_domain = ""

    def _run(self, x: Any, *statistics: Any, epsilon: float | None = None, **_: Any) -> tuple[Any]:
        weight, bias, mean, variance = (s.reshape(-1, *[1] * (x.ndim - 2)) for s in statistics)
        small = DEFAULT_EPSILON if epsilon is None else epsilon
        return (((x - mean) / np.sqrt(variance + small) * weight + bias).astype(x.dtype),)


def reference_runtime(model: onnx.ModelProto) -> Callable[[dict[str, Any]], Any]:
    """A function from a feed to the scores, by the onnx package's own evaluator."""
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    evaluator = ReferenceEvaluator(model, new_ops=[BatchNormalization] if opset < 14 else None)
    return lambda feed: evaluator.run(None, feed)[0]
