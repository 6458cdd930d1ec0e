"""Every ONNX operator that is read means what onnxruntime and the onnx reference say, in each opset that changed it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from verify.load.onnx import import_onnx, read_graph
from verify.load.onnx_runtime import onnx_runtime, reference_runtime
from verify.load.runtime import check_against_runtime
from verify.operators import Linear

RNG = np.random.default_rng(7)


def floats(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return RNG.uniform(low, high, shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@dataclass
class Case:
    """One node on an input ``x``; ``inputs`` are "x" or constants, None where left out."""

    op: str
    opset: int
    shape: tuple[int, ...]
    inputs: tuple[Any, ...] = ("x",)
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    in_reference: bool = True

    def __str__(self) -> str:
        shown = ",".join(
            f"{k}={v}" for k, v in self.attributes.items() if isinstance(v, int | float | str | list | tuple)
        )
        operands = "x".join("x" if isinstance(i, str) else "-" if i is None else "c" for i in self.inputs)
        return f"{self.op}-{self.opset}-{self.shape}-{operands}-{shown}".replace(" ", "")


def single(case: Case) -> onnx.ModelProto:
    constants = {f"c{i}": v for i, v in enumerate(case.inputs) if isinstance(v, np.ndarray)}
    names = ["" if v is None else v if isinstance(v, str) else f"c{i}" for i, v in enumerate(case.inputs)]
    nodes = []
    for i, name in enumerate(names):  # "relu(x)": another value of the network
        if name == "relu(x)":
            nodes.append(helper.make_node("Relu", ["x"], ["r"], name="first"))
            names[i] = "r"
    outputs = ["y"] if case.outputs == 1 else [f"y{i}" for i in range(case.outputs)]
    nodes.append(helper.make_node(case.op, names, outputs, name="tested", **case.attributes))
    if case.outputs > 1:
        axis = case.attributes.get("axis", 0)
        nodes.append(helper.make_node("Concat", outputs[::-1], ["y"], name="joined", axis=axis))
    return model(nodes, case.shape, constants, opset=case.opset)


def model(nodes, shape, constants=None, *, opset=13, kind=TensorProto.FLOAT, outputs=("y",)) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(v, n) for n, v in (constants or {}).items()]
    x = helper.make_tensor_value_info("x", kind, shape)
    ys = [helper.make_tensor_value_info(o, kind, None) for o in outputs]
    graph = helper.make_graph(nodes, "g", [x], ys, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


IMAGE = (1, 3, 7, 6)
BN = (floats(3), floats(3), floats(3), floats(3, low=0.1, high=2.0))

CASES = [
    *(Case("Relu", opset, (1, 5)) for opset in (7, 13, 14, 22)),
    Case("Gemm", 7, (1, 4), ("x", floats(4, 3), floats(3))),
    Case("Gemm", 9, (1, 4), ("x", floats(3, 4), floats(1, 3)), {"transB": 1, "alpha": 0.3, "beta": 1.7}),
    Case("Gemm", 11, (1, 4), ("x", floats(4, 3))),
    Case("Gemm", 13, (4, 2), ("x", floats(4, 3), floats(2, 1)), {"transA": 1}),
    Case("Gemm", 13, (4, 2), (floats(3, 4), "x", floats(3, 1)), {"alpha": -2.5}),
    Case("Gemm", 13, (2, 4), (floats(4, 3), "x", floats(1)), {"alpha": 0.5, "transA": 1, "transB": 1}),
    Case("Gemm", 13, (1, 4), ("x", floats(4, 4), "relu(x)"), {"beta": 0.5}),
    Case("MatMul", 9, (1, 4), ("x", floats(4, 3))),
    Case("MatMul", 13, (4,), ("x", floats(4, 3))),
    Case("MatMul", 13, (1, 4), ("x", floats(4))),
    Case("MatMul", 13, (4,), (floats(3, 4), "x")),
    Case("MatMul", 13, (1, 2, 4), ("x", floats(4, 3))),
    Case("MatMul", 13, (1, 2, 4), (floats(3, 2), "x")),
    Case("MatMul", 13, (1, 2, 4), (floats(2), "x")),
    Case("MatMul", 13, (1, 2, 4), ("x", floats(5, 4, 3))),
    Case("MatMul", 13, (1, 5, 2, 4), ("x", floats(5, 4, 3))),
    Case("MatMul", 13, (1, 5, 2, 4), (floats(5, 3, 2), "x")),
    Case("MatMul", 13, (4,), ("x", floats(5, 4, 3))),
    Case("MatMul", 13, (4,), ("x", floats(1, 4, 3))),
    Case("Conv", 7, IMAGE, ("x", floats(4, 3, 3, 2), floats(4)), {"kernel_shape": [3, 2]}),
    Case("Conv", 11, IMAGE, ("x", floats(4, 3, 3, 3)), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    Case("Conv", 11, IMAGE, ("x", floats(6, 1, 2, 2), floats(6)), {"group": 3, "dilations": [2, 3]}),
    Case("Conv", 22, IMAGE, ("x", floats(2, 3, 3, 3)), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    *(
        Case("Conv", 11, IMAGE, ("x", floats(2, 3, 3, 2)), {"auto_pad": auto, "strides": [2, 2]})
        for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    Case("Conv", 11, (1, 2, 9), ("x", floats(4, 2, 3), floats(4)), {"pads": [2, 1], "strides": [2]}),
    Case("Conv", 11, (1, 2, 9), ("x", floats(4, 1, 3)), {"auto_pad": "SAME_UPPER", "group": 2}),
    *(Case(op, 7, (1, 4), ("x", floats(4, low=0.5))) for op in ("Add", "Sub", "Mul", "Div")),
    *(Case(op, 14, (1, 4), ("x", floats(3, 1, low=0.5))) for op in ("Add", "Sub", "Mul", "Div")),
    *(Case(op, 13, (1, 4), (floats(2, 1, 1), "x")) for op in ("Add", "Sub", "Mul")),
    *(Case(op, 13, (1, 4), ("relu(x)", "x")) for op in ("Add", "Sub", "Max", "Min", "Sum", "Mean")),
    Case("Neg", 13, (1, 4)),
    Case("Flatten", 9, (1, 2, 3)),
    Case("Flatten", 13, (1, 2, 3), attributes={"axis": -1}),
    Case("Flatten", 13, (1, 2, 3), attributes={"axis": 0}),
    Case("Reshape", 7, (1, 2, 6), ("x", ints(0, -1, 3))),
    Case("Reshape", 14, (1, 2, 6), ("x", ints(3, 4)), {"allowzero": 1}),
    Case("Transpose", 13, (1, 2, 3), attributes={"perm": [2, 0, 1]}),
    Case("Transpose", 13, (2, 3)),
    Case("Squeeze", 11, (1, 3, 1), attributes={"axes": [2]}),
    Case("Squeeze", 13, (1, 3, 1), ("x", ints(-1))),
    Case("Squeeze", 13, (1, 3, 1)),
    Case("Unsqueeze", 11, (1, 3), attributes={"axes": [0, 3]}),
    Case("Unsqueeze", 13, (1, 3), ("x", ints(1, -1))),
    *(
        Case("AveragePool", 11, IMAGE, attributes={"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], **more})
        for more in ({}, {"count_include_pad": 1}, {"strides": [2, 2]}, {"strides": [2, 2], "ceil_mode": 1})
    ),
    Case("AveragePool", 7, IMAGE, attributes={"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
    Case("AveragePool", 10, IMAGE, attributes={"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    Case("AveragePool", 19, IMAGE, attributes={"kernel_shape": [2, 2], "dilations": [2, 2]}),
    Case("AveragePool", 22, (1, 2, 8), attributes={"kernel_shape": [3], "strides": [2]}),
    Case("GlobalAveragePool", 7, IMAGE),
    Case("GlobalMaxPool", 7, (1, 2, 2, 3)),
    Case("MaxPool", 7, IMAGE, attributes={"kernel_shape": [2, 2], "strides": [2, 2]}),
    Case("MaxPool", 8, IMAGE, attributes={"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    Case("MaxPool", 12, IMAGE, attributes={"kernel_shape": [3, 2], "pads": [1, 1, 1, 0], "dilations": [2, 1]}),
    Case("MaxPool", 12, IMAGE, attributes={"kernel_shape": [2, 2], "strides": [2, 4], "ceil_mode": 1}),
    Case("MaxPool", 22, (1, 2, 7), attributes={"kernel_shape": [3], "strides": [2]}),
    *(
        Case(op, 11, (1, 3, 4), attributes=attributes)
        for op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
        for attributes in ({"axes": [1, -1], "keepdims": 0}, {"axes": [2]}, {})
    ),
    Case("ReduceSum", 13, (1, 3, 4), ("x", ints(-1)), {"keepdims": 0}),
    Case("ReduceSum", 13, (1, 3, 4), ("x", ints()), {"noop_with_empty_axes": 1}),
    Case("ReduceMean", 18, (1, 3, 4), ("x", ints(1))),
    Case("ReduceMax", 18, (1, 3, 4), ("x", ints(1, 2))),
    Case("LeakyRelu", 7, (1, 4)),
    Case("LeakyRelu", 16, (1, 4), attributes={"alpha": 0.3}),
    Case("PRelu", 7, (1, 3, 2), ("x", floats(3, 1))),
    Case("PRelu", 16, (1, 4), ("x", floats(4))),
    Case("Clip", 7, (1, 4), attributes={"min": -0.25, "max": 0.5}),
    Case("Clip", 7, (1, 4), attributes={"max": 0.5}),
    Case("Clip", 11, (1, 4), ("x", np.array(-0.25, np.float32), np.array(0.5, np.float32))),
    Case("Clip", 13, (1, 4), ("x", None, np.array(6, np.float32))),
    Case("Clip", 13, (1, 4), ("x", np.array(0, np.float32))),
    Case("Clip", 12, (1, 4), ("x", np.array(-np.inf, np.float32), np.array(np.inf, np.float32))),
    Case("HardSigmoid", 7, (1, 4)),
    Case("HardSigmoid", 22, (1, 4), attributes={"alpha": 0.7, "beta": 0.1}),
    Case("Abs", 13, (1, 4)),
    Case("Max", 8, (1, 4), ("x", floats(4), "relu(x)", floats(2, 4))),
    Case("Min", 13, (1, 4), (floats(4), "x")),
    Case("Sum", 8, (1, 4), ("x", floats(4), "relu(x)", floats(4))),
    Case("Mean", 8, (1, 4), ("x", floats(4), "relu(x)")),
    Case("Pad", 7, (1, 2, 3), attributes={"pads": [0, 1, 2, 0, 0, 1]}),
    Case("Pad", 7, (1, 2, 3), attributes={"pads": [0, 1, 2, 0, 0, 1], "value": 0.5}),
    Case("Pad", 7, (1, 2, 3), attributes={"pads": [0, 0, 2, 0, 0, 1], "mode": "reflect"}),
    Case("Pad", 11, (1, 2, 3), ("x", ints(0, 0, 2, 0, 0, 1)), {"mode": "edge"}),
    Case("Pad", 13, (1, 2, 3), ("x", ints(0, 0, -1, 0, 1, 1), np.array(2, np.float32)), in_reference=False),
    Case("Pad", 18, (1, 2, 3), ("x", ints(1, 2), np.array(-1, np.float32), ints(-1))),
    Case("Pad", 19, (1, 2, 3), ("x", ints(0, 0, 2, 0, 0, 1)), {"mode": "wrap"}),
    Case("Concat", 7, (1, 2, 3), ("x", "relu(x)", "x"), {"axis": 1}),
    Case("Concat", 13, (1, 2, 3), (floats(1, 2, 1), "x", floats(1, 2, 2)), {"axis": -1}),
    Case("Concat", 13, (1, 2, 3), ("x", floats(1, 2, 3)), {"axis": 0}),
    Case("Slice", 7, (1, 4, 5), attributes={"starts": [1, -3], "ends": [3, 100], "axes": [1, 2]}),
    Case("Slice", 10, (1, 4, 5), ("x", ints(0, 1), ints(1, 3))),
    Case("Slice", 13, (1, 4, 5), ("x", ints(-1, 4), ints(-100, 0), ints(1, -1), ints(-1, -2))),
    Case("Split", 7, (1, 6), attributes={"axis": 1}, outputs=3),
    Case("Split", 11, (1, 6), attributes={"axis": -1, "split": [1, 2, 3]}, outputs=3),
    Case("Split", 13, (1, 6), ("x", ints(4, 2)), {"axis": 1}, outputs=2),
    Case("Split", 18, (1, 7), ("x",), {"axis": 1, "num_outputs": 3}, outputs=3),
    Case("Gather", 13, (1, 4, 3), ("x", np.array([[3, -1], [0, 0]])), {"axis": 1}),
    Case("Gather", 13, (4, 3), ("x", np.array(2))),
    Case("Expand", 13, (1, 3), ("x", ints(2, 4, 1))),
    Case("Tile", 13, (1, 3), ("x", ints(2, 3))),
    Case("Identity", 13, (1, 3)),
    Case("Cast", 13, (1, 3), attributes={"to": TensorProto.FLOAT}),
    Case("Dropout", 7, (1, 3), attributes={"ratio": 0.4}),
    Case("Dropout", 13, (1, 3), ("x", np.array(0.4, np.float32), np.array(False))),
    Case("BatchNormalization", 7, IMAGE, ("x", *BN), {"momentum": 0.8}),
    Case("BatchNormalization", 9, (1, 3), ("x", *BN), {"epsilon": 0.01}),
    Case("BatchNormalization", 15, IMAGE, ("x", *BN), {"training_mode": 0}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_means_what_the_runtimes_say(case):
    made = single(case)
    network, shape = read_graph(made, "test")
    name, run = onnx_runtime(made, shape)
    assert name == "onnxruntime"
    reference = reference_runtime(made)
    runs = [(name, run), ("onnx.reference", lambda x: reference({"x": x.reshape(shape)}))]
    for runtime, call in runs[: 1 + case.in_reference]:
        generator = torch.Generator().manual_seed(3)
        check_against_runtime(network, call, source=runtime, generator=generator, samples=2)


def test_every_supported_operator_has_a_case():
    from verify.load.onnx_ops import RULES

    in_graphs = {"Constant", "ConstantOfShape", "Shape", "Size"}  # they make constants: see test_onnx_models
    assert set(RULES) - {case.op for case in CASES} == in_graphs


@pytest.mark.parametrize("case", CASES[::7], ids=str)
def test_float64_models_are_read_too(case):
    made = single(case)
    graph = made.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for entry in (*graph.input, *graph.output):
        entry.type.tensor_type.elem_type = TensorProto.DOUBLE
    import_onnx(made, source="double")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_linear_operator_that_an_import_makes_has_a_transpose_and_a_matrix_that_fit(case):
    network, _ = read_graph(single(case), "test")
    generator = torch.Generator().manual_seed(1)
    for op in (n.operator for n in network.nodes if isinstance(n.operator, Linear)):
        x = torch.randn(2, *op.input_shape, generator=generator, dtype=torch.float64)
        a = torch.randn(2, *op.output_shape, generator=generator, dtype=torch.float64)
        y = op.linear(x)
        assert torch.allclose((y * a).flatten(1).sum(1), (x * op.transpose(a)).flatten(1).sum(1))
        assert np.allclose((op.matrix() @ x.flatten(1).numpy().T).T, y.flatten(1).numpy())
        assert op.bias is None or op.full_bias().shape == op.output_shape
        assert op.bias_error is None or op.bias_error.expand(op.output_shape).shape == op.output_shape
