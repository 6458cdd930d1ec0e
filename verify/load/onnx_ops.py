"""The table of ONNX operators that are read, with the entry-by-entry ones; adding an operator is one line of RULES."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch

from verify.load import onnx_linear as linear
from verify.load import onnx_movement as movement
from verify.load.builder import Value
from verify.load.onnx_call import Call, Operand, Rule
from verify.load.onnx_constants import FLOATS, Constant, add, cast, negate, read_tensor, require_exact
from verify.load.onnx_linear import plus, scaled

LARGEST = float(np.finfo(np.float32).max)  # a Clip at this limit clips nothing that float32 can hold
LEAKY_ALPHA = float(np.float32(0.01))
HARD_ALPHA = float(np.float32(0.2))


# --- constants -------------------------------------------------------------------------------------------------------


def constant(call: Call) -> Operand:
    """Constant: exactly one of the attributes that hold numbers."""
    if len(call.attributes) != 1:
        raise call.refuse(f"attributes {sorted(call.attributes)}: exactly one is expected")
    ((name, value),) = call.attributes.items()
    if name == "value":
        return read_tensor(value)
    return Constant(np.asarray(value, dtype=np.float64 if name.startswith("value_float") else np.int64))


def constant_of_shape(call: Call) -> Operand:
    """ConstantOfShape: one number, float32 zero by default, in a given shape."""
    shape = tuple(int(n) for n in call.constant(0, "shape").array)
    one = call.attributes.get("value")
    fill = Constant(np.zeros(())) if one is None else read_tensor(one)
    return Constant(np.full(shape, fill.array.reshape(())))


def convert(call: Call) -> Operand:
    """Cast: float32 and float64 are one type in real arithmetic; a value of the network is cast to nothing else."""
    kind, x = call.integer("to", 0), call.operand(0)
    real = kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    if isinstance(x, Value) and real:
        return x
    if isinstance(x, Value) or (kind in FLOATS and not real):
        name = onnx.TensorProto.DataType.Name(kind)
        raise call.refuse(f"to={name}", "a cast that rounds or truncates is not linear")
    return cast(x, kind)


# --- sums and products -----------------------------------------------------------------------------------------------


def addition(call: Call) -> Operand:
    """Add, and Sum of any number: constants are added up first."""
    total: Operand | None = None
    rounded: Constant | None = None
    for i in range(len(call.inputs)):
        x = call.operand(i)
        if isinstance(x, Constant):
            rounded = x if rounded is None else add(rounded, x)
        else:
            total = x if total is None else plus(call, total, x)
    assert total is not None  # a sum of constants only is folded
    return total if rounded is None else plus(call, total, rounded)


def mean(call: Call) -> Operand:
    """Mean of any number of tensors."""
    total = addition(call)
    assert isinstance(total, Value)
    return call.builder.divide(total, torch.tensor(float(len(call.inputs)), dtype=torch.float64))


def subtraction(call: Call) -> Operand:
    """Sub."""
    x, y = call.operand(0), call.operand(1)
    return plus(call, x, negate(y) if isinstance(y, Constant) else call.builder.scale(y, -1.0))


def multiplication(call: Call) -> Operand:
    """Mul by a constant."""
    x, y = call.operand(0), call.operand(1)
    if isinstance(x, Value) and isinstance(y, Value):
        raise call.refuse("both factors depend on the input", "a product of values is not piecewise linear")
    if isinstance(x, Constant):
        x, y = y, x
    assert isinstance(x, Value) and isinstance(y, Constant)
    return scaled(call, x, y)


def division(call: Call) -> Operand:
    """Div by a constant."""
    divisor = call.constant(1, "divisor")
    require_exact(divisor)
    return call.builder.divide(call.value(0), divisor.tensor())


def negation(call: Call) -> Operand:
    """Neg."""
    return call.builder.scale(call.value(0), -1.0)


# --- piecewise linear ------------------------------------------------------------------------------------------------


def relu(call: Call) -> Operand:
    """Relu."""
    return call.builder.relu(call.value(0))


def leaky_relu(call: Call) -> Operand:
    """LeakyRelu."""
    return call.builder.leaky_relu(call.value(0), float(call.attributes.get("alpha", LEAKY_ALPHA)))


def prelu(call: Call) -> Operand:
    """PRelu: the slope broadcasts to the input."""
    slope = call.constant(1, "slope")
    require_exact(slope)
    return call.builder.leaky_relu(call.value(0), slope.tensor())


def absolute(call: Call) -> Operand:
    """Abs."""
    return call.builder.absolute(call.value(0))


def clip(call: Call) -> Operand:
    """Clip: limits are attributes before opset 11 and inputs after; a limit that float32 cannot pass is none."""
    limits: list[float | None] = []
    for position, (name, none) in enumerate((("min", -LARGEST), ("max", LARGEST)), start=1):
        limit = call.setting(name, position)
        if limit is not None:
            require_exact(limit)
        number = none if limit is None else float(limit.array.reshape(()))
        if np.isnan(number):
            raise call.refuse(f"{name}=NaN")
        unlimited = number <= none if name == "min" else number >= none
        limits.append(None if unlimited else number)
    return call.builder.clip(call.value(0), limits[0], limits[1])


def hard_sigmoid(call: Call) -> Operand:
    """HardSigmoid: ``min(max(alpha x + beta, 0), 1)``."""
    alpha, beta = (float(call.attributes.get(n, default)) for n, default in (("alpha", HARD_ALPHA), ("beta", 0.5)))
    return call.builder.clip(call.builder.scale(call.value(0), alpha, beta), 0.0, 1.0)


def maximum(call: Call) -> Operand:
    """Max of any number of tensors."""
    parts = [call.operand(i) for i in range(len(call.inputs))]
    total = next(p for p in parts if isinstance(p, Value))
    first = parts.index(total)
    for i, part in enumerate(parts):
        if i == first:
            continue
        if isinstance(part, Value):
            total = call.builder.maximum(total, part)
        else:  # max(x, c) = relu(x - c) + c
            require_exact(part)
            c = part.tensor()
            total = call.builder.scale(call.builder.relu(call.builder.scale(total, 1.0, -c)), 1.0, c)
    return total


def minimum(call: Call) -> Operand:
    """Min: minus the largest of minus."""
    parts = (call.operand(i) for i in range(len(call.inputs)))
    flipped = [negate(p) if isinstance(p, Constant) else call.builder.scale(p, -1.0) for p in parts]
    largest = maximum(Call(call.builder, call.name, call.op, tuple(flipped), call.outputs, call.attributes))
    assert isinstance(largest, Value)
    return call.builder.scale(largest, -1.0)


# --- the tables ------------------------------------------------------------------------------------------------------

_WINDOW = ("auto_pad", "kernel_shape", "pads", "strides", "dilations")
_CONSTANT = ("value", "value_float", "value_floats", "value_int", "value_ints")
_REDUCE = ("axes", "keepdims", "noop_with_empty_axes")

RULES: Mapping[str, Rule] = {
    "Abs": Rule(absolute),
    "Add": Rule(addition, 2, 2),
    "AveragePool": Rule(linear.average_pool, attributes=(*_WINDOW, "ceil_mode", "count_include_pad")),
    "BatchNormalization": Rule(
        linear.batch_normalisation,
        5,
        5,
        attributes=("epsilon", "spatial", "training_mode"),
        irrelevant=("momentum",),
        outputs=5,
    ),
    "Cast": Rule(convert, attributes=("to",), irrelevant=("saturate",)),
    "Clip": Rule(clip, 1, 3, attributes=("min", "max")),
    "Concat": Rule(movement.concat, 1, None, attributes=("axis",)),
    "Constant": Rule(constant, 0, 0, attributes=_CONSTANT),
    "ConstantOfShape": Rule(constant_of_shape, attributes=("value",)),
    "Conv": Rule(linear.convolution, 2, 3, attributes=(*_WINDOW, "group")),
    "Div": Rule(division, 2, 2),
    "Dropout": Rule(movement.dropout, 1, 3, irrelevant=("ratio", "seed")),
    "Expand": Rule(movement.expand, 2, 2),
    "Flatten": Rule(movement.flatten, attributes=("axis",)),
    "Gather": Rule(movement.gather, 2, 2, attributes=("axis",)),
    "Gemm": Rule(linear.gemm, 2, 3, attributes=("alpha", "beta", "transA", "transB")),
    "GlobalAveragePool": Rule(linear.global_average_pool),
    "GlobalMaxPool": Rule(linear.global_max_pool),
    "HardSigmoid": Rule(hard_sigmoid, attributes=("alpha", "beta")),
    "Identity": Rule(movement.identity),
    "LeakyRelu": Rule(leaky_relu, attributes=("alpha",)),
    "MatMul": Rule(linear.matrix_product, 2, 2),
    "Max": Rule(maximum, 1, None),
    "MaxPool": Rule(linear.max_pool, attributes=(*_WINDOW, "ceil_mode", "storage_order")),
    "Mean": Rule(mean, 1, None),
    "Min": Rule(minimum, 1, None),
    "Mul": Rule(multiplication, 2, 2),
    "Neg": Rule(negation),
    "PRelu": Rule(prelu, 2, 2),
    "Pad": Rule(movement.pad, 1, 4, attributes=("mode", "pads", "value")),
    "ReduceMax": Rule(linear.reduce_max, 1, 2, attributes=_REDUCE),
    "ReduceMean": Rule(linear.reduce_mean, 1, 2, attributes=_REDUCE),
    "ReduceMin": Rule(linear.reduce_min, 1, 2, attributes=_REDUCE),
    "ReduceSum": Rule(linear.reduce_sum, 1, 2, attributes=_REDUCE),
    "Relu": Rule(relu),
    "Reshape": Rule(movement.reshape, 2, 2, attributes=("allowzero",)),
    "Shape": Rule(movement.shape, attributes=("start", "end")),
    "Size": Rule(movement.size),
    "Slice": Rule(movement.slice_, 1, 5, attributes=("starts", "ends", "axes")),
    "Split": Rule(movement.split, 1, 2, attributes=("axis", "split", "num_outputs"), outputs=None),
    "Squeeze": Rule(movement.squeeze, 1, 2, attributes=("axes",)),
    "Sub": Rule(subtraction, 2, 2),
    "Sum": Rule(addition, 1, None),
    "Tile": Rule(movement.tile, 2, 2),
    "Transpose": Rule(movement.transpose, attributes=("perm",)),
    "Unsqueeze": Rule(movement.unsqueeze, 1, 2, attributes=("axes",)),
}

# These move numbers or make constants, so their handlers are right for constants too.
ON_CONSTANTS = frozenset(
    {"Cast", "Concat", "Constant", "ConstantOfShape", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad"}
    | {"Reshape", "Shape", "Size", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Gemm"}
)

_ORDER = "verify the network without it: the order of the scores is the same"
_SMOOTH = "only piecewise-linear activations are read"

REMEDIES: Mapping[str, str] = {
    "Softmax": "verify the network without its last Softmax: the order of the scores is the same",
    "LogSoftmax": "verify the network without its last LogSoftmax: the order of the scores is the same",
    "ArgMax": "verify the network without its ArgMax: the scores are what is bounded",
    "Sigmoid": f"{_SMOOTH}; as the last operator, {_ORDER}",
    "Tanh": f"{_SMOOTH}; as the last operator, {_ORDER}",
    "Upsample": "use Expand, Tile or Gather for upsampling by repetition",
    "Resize": "use Expand, Tile or Gather for upsampling by repetition",
}
