"""Small ONNX models, and the comparison of nodes that were read with the runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from support.onnx_nodes import evaluate
from verify.check.container import decompressed
from verify.check.onnx_reader import read as read_onnx

RNG = np.random.default_rng(4)
NODE = helper.make_node


def floats(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def model(nodes, shape, constants=None, *, opset=13, kind=TensorProto.FLOAT):
    """A model from x to y."""
    return helper.make_model(
        helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], [helper.make_tensor_value_info("y", kind, None)],
            initializer=[numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)], ir_version=8,
    )  # fmt: skip


def read(data, *, limit=1 << 30):
    """The nodes of a file, as the checker reads it."""
    return read_onnx(decompressed(data, limit), limit=limit)


def run(data, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def assert_same(data, nodes, shape, *, dtype=np.float32, tolerance=2e-5):
    for _ in range(3):
        x = RNG.uniform(-1, 1, shape).astype(dtype)
        expected = run(data, x).reshape(-1)
        got = evaluate(nodes, x).astype(np.float64)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))
