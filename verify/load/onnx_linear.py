"""ONNX operators with weights or windows: products, convolutions, normalisation, pools, reductions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from verify.load import windows
from verify.load.builder import Value
from verify.load.onnx_call import Call, Operand
from verify.load.onnx_constants import Constant, add, matmul, multiply, require_exact
from verify.load.onnx_movement import move
from verify.load.windows import Axis

DEFAULT_EPSILON = float(np.float32(1e-5))


# --- products --------------------------------------------------------------------------------------------------------


def gemm(call: Call) -> Operand:
    """``alpha A' B' + beta C``, A' and B' transposed when asked; ``alpha`` and ``beta`` go into the constants."""
    a, b = call.operand(0), call.operand(1)
    if call.integer("transA", 0):
        a = move(call, a, np.transpose)
    if call.integer("transB", 0):
        b = move(call, b, np.transpose)
    c = call.operand(2) if call.given(2) else None
    alpha, beta = (Constant(np.asarray(call.attributes.get(name, 1.0), np.float64)) for name in ("alpha", "beta"))
    if isinstance(b, Constant):
        b = multiply(b, alpha)
    elif isinstance(a, Constant):
        a = multiply(a, alpha)
    elif float(alpha.array) != 1.0:
        b = scaled(call, b, alpha)
    if isinstance(c, Constant):
        c = multiply(c, beta)
    elif c is not None and float(beta.array) != 1.0:
        c = scaled(call, c, beta)
    product = _product(call, a, b)
    return product if c is None else plus(call, product, c)


def matrix_product(call: Call) -> Operand:
    """MatMul with a constant on either side, matrices stacked along leading axes that broadcast."""
    return _product(call, call.operand(0), call.operand(1))


def _product(call: Call, a: Operand, b: Operand) -> Operand:
    if isinstance(a, Constant) and isinstance(b, Constant):
        return matmul(a, b)
    if isinstance(a, Value) and isinstance(b, Value):
        raise call.refuse("a product of two values that both depend on the input", "it is not piecewise linear")
    if isinstance(b, Constant):
        assert isinstance(a, Value)
        return _times_right(call, a, b)
    assert isinstance(a, Constant) and isinstance(b, Value)
    # (A x) = (x' A')': the last two axes change places before and after; a vector has only one.
    if len(b.shape) == 1:
        return _times_right(call, b, _swapped(a))
    turned = move(call, b, lambda v: np.swapaxes(v, -1, -2))
    assert isinstance(turned, Value)
    y = _times_right(call, turned, _swapped(a))
    return move(call, y, lambda v: np.swapaxes(v, -1, -2)) if len(a.shape) > 1 else y


def _swapped(a: Constant) -> Constant:
    return a if len(a.shape) == 1 else Constant(np.swapaxes(a.array, -1, -2), a.ulps)


def _times_right(call: Call, x: Value, b: Constant) -> Value:
    """``x @ b`` as ``numpy.matmul`` defines it."""
    builder = call.builder
    if len(b.shape) == 1:
        y = builder.affine(x, b.tensor()[None, :], weight_ulps=b.ulps)
        return builder.reshape(y, y.shape[:-1])
    lead = b.shape[:-2]
    if math.prod(lead) == 1:
        y = builder.affine(x, b.tensor().reshape(b.shape[-2:]).T, weight_ulps=b.ulps)
        more = (1,) * (len(lead) + (len(x.shape) > 1) + 1 - len(y.shape))
        return builder.reshape(y, (*more, *y.shape)) if more else y
    vector = len(x.shape) == 1
    if vector:
        x = builder.reshape(x, (1, *x.shape))
    stack = np.broadcast_shapes(x.shape[:-2], lead)
    weight = b.tensor().expand(*stack, *b.shape[-2:])
    positions = builder.positions(x).expand(*stack, *x.shape[-2:])
    products = [
        builder.affine(builder.select(x, positions[at]), weight[at].T, weight_ulps=b.ulps)
        for at in itertools.product(*(range(n) for n in stack))
    ]
    y = builder.concat(products, axis=0)
    return builder.reshape(y, (*stack, b.shape[-1]) if vector else (*stack, x.shape[-2], b.shape[-1]))


def scaled(call: Call, x: Value, factor: Constant) -> Value:
    """``factor * x``."""
    return call.builder.scale(x, factor.tensor(), weight_ulps=factor.ulps)


def plus(call: Call, x: Operand, y: Operand) -> Operand:
    """``x + y``."""
    if isinstance(x, Constant):
        x, y = y, x
    if isinstance(x, Constant) and isinstance(y, Constant):
        return add(x, y)
    assert isinstance(x, Value)
    if isinstance(y, Constant):
        return call.builder.scale(x, 1.0, y.tensor(), bias_error=y.error())
    return call.builder.add(x, y)


# --- convolution and normalisation -----------------------------------------------------------------------------------


def convolution(call: Call) -> Operand:
    """Conv over one or two spatial axes, the weights constant."""
    x, kernel = call.value(0), call.constant(1, "kernel")
    bias = call.constant(2, "bias") if call.given(2) else None
    spatial = len(x.shape) - 2
    if spatial not in (1, 2) or len(kernel.shape) != spatial + 2:
        raise call.refuse(f"{spatial} spatial axes, kernel of shape {kernel.shape}", "one or two spatial axes are read")
    asked = call.attributes.get("kernel_shape")
    if asked is not None and tuple(asked) != kernel.shape[2:]:
        raise call.refuse(f"kernel_shape={list(asked)} with a kernel of shape {kernel.shape}")
    axes = _axes(call, x.shape[2:], kernel.shape[2:])
    weight = kernel.tensor()
    if spatial == 1:  # one row of an image
        axes = [Axis(1, 1, 1, 1, 0, 0, 1), *axes]
        weight = weight[:, :, None, :]
    y = call.builder.conv(
        x if spatial == 2 else call.builder.reshape(x, (*x.shape[:2], 1, x.shape[2])),
        weight,
        None if bias is None else bias.tensor(),
        stride=[axis.stride for axis in axes],
        padding=[*(axis.before for axis in axes), *(axis.after for axis in axes)],
        dilation=[axis.dilation for axis in axes],
        groups=call.integer("group", 1),
        weight_ulps=kernel.ulps,
        bias_error=None if bias is None else bias.error(),
    )
    return y if spatial == 2 else call.builder.reshape(y, (*y.shape[:2], y.shape[3]))


def batch_normalisation(call: Call) -> Operand:
    """BatchNormalization with its stored statistics; the training mode is refused."""
    if call.integer("training_mode", 0) or any(call.outputs[1:]):
        raise call.refuse("training_mode=1", "export the model in evaluation mode")
    if not call.integer("spatial", 1):
        raise call.refuse("spatial=0", "statistics of one number a channel are read")
    statistics = [call.constant(i, "statistics") for i in range(1, 5)]
    require_exact(*statistics)
    x = call.value(0)
    if len(x.shape) < 2 or any(s.shape != x.shape[1:2] for s in statistics):
        raise call.refuse(f"statistics of shapes {[s.shape for s in statistics]} for an input of shape {x.shape}")
    epsilon = float(call.attributes.get("epsilon", DEFAULT_EPSILON))
    return call.builder.batch_norm(x, [s.tensor() for s in statistics], epsilon)


# --- windows ---------------------------------------------------------------------------------------------------------


def _axes(call: Call, sizes: Sequence[int], kernel: Sequence[int]) -> list[Axis]:
    """The spatial axes with their strides, dilations and padding, given or automatic."""
    n = len(sizes)
    ceil = bool(call.integer("ceil_mode", 0))
    auto = call.attributes.get("auto_pad", "NOTSET")
    pads = list(call.attributes.get("pads", [0] * 2 * n))
    strides = list(call.attributes.get("strides", [1] * n))
    dilations = list(call.attributes.get("dilations", [1] * n))
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise call.refuse(f"auto_pad={auto}")
    if len(kernel) != n or len(strides) != n or len(dilations) != n or len(pads) != 2 * n or min(pads) < 0:
        raise call.refuse(f"kernel {list(kernel)}, strides {strides}, dilations {dilations}, pads {pads} on {n} axes")
    if auto != "NOTSET" and any(pads):
        raise call.refuse(f"pads={pads} together with auto_pad={auto}")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        spans = zip(sizes, kernel, strides, dilations, strict=True)
        return [windows.same(*span, upper=auto == "SAME_UPPER") for span in spans]
    both = zip(pads[:n], pads[n:], strict=True)
    given = zip(sizes, kernel, strides, dilations, both, strict=True)
    axes = [windows.explicit(*one, ceil=ceil and auto == "NOTSET") for one in given]
    if any(axis.outputs < 1 for axis in axes):
        raise call.refuse(f"a kernel {list(kernel)} larger than its input {list(sizes)}")
    return axes


def _pool(call: Call) -> tuple[Value, list[Axis], Tensor]:
    x = call.value(0)
    kernel = call.attributes.get("kernel_shape")
    if kernel is None or len(x.shape) < 3:
        raise call.refuse("kernel_shape is missing" if kernel is None else f"input of shape {x.shape}")
    axes = _axes(call, x.shape[2:], kernel)
    index = windows.window_positions(math.prod(x.shape[:2]), axes)
    return x, axes, index.reshape(*x.shape[:2], *index.shape[1:])


def average_pool(call: Call) -> Operand:
    """AveragePool; ``count_include_pad`` says what a window at the border is divided by."""
    x, axes, index = _pool(call)
    counts = windows.window_counts(axes, include_padding=bool(call.integer("count_include_pad", 0)))
    if bool((counts == 0).any()):
        raise call.refuse("a window that lies in the padding")
    return call.builder.average_pool(x, index, counts)


def max_pool(call: Call) -> Operand:
    """MaxPool; padding never wins. Indices are refused."""
    if call.integer("storage_order", 0):
        raise call.refuse("storage_order=1")
    x, _, index = _pool(call)
    if bool((index < 0).all(dim=-1).any()):
        raise call.refuse("a window that lies in the padding")
    return call.builder.max_pool(x, index)


def global_average_pool(call: Call) -> Operand:
    """GlobalAveragePool."""
    x = call.value(0)
    return _averaged(call, x, list(range(2, len(x.shape))), keep=True)


def global_max_pool(call: Call) -> Operand:
    """GlobalMaxPool."""
    x = call.value(0)
    return _largest(call, x, list(range(2, len(x.shape))), keep=True)


# --- reductions ------------------------------------------------------------------------------------------------------


def _reduced(call: Call) -> list[int] | None:
    """The axes of a reduction; None when nothing is to be reduced."""
    rank = len(call.operand(0).shape)
    axes = call.integers("axes", 1)
    if not axes:
        return None if call.integer("noop_with_empty_axes", 0) else list(range(rank))
    if any(not -rank <= axis < rank for axis in axes):
        raise call.refuse(f"axes={axes} of an input of rank {rank}")
    return sorted(axis % rank for axis in axes)


def _gathered(call: Call, x: Value, axes: Sequence[int]) -> Tensor:
    """Positions (kept axes..., k) of what each entry of the result reads."""
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    positions = call.builder.positions(x).permute(*kept, *axes)
    return positions.reshape(*(x.shape[axis] for axis in kept), -1)


def _reshaped(call: Call, y: Value, x: Value, axes: Sequence[int], keep: bool) -> Value:
    kept = [1 if axis in axes else n for axis, n in enumerate(x.shape) if keep or axis not in axes]
    return call.builder.reshape(y, kept)


def _summed(call: Call, x: Value, axes: Sequence[int], keep: bool) -> Value:
    picked = call.builder.select(x, _gathered(call, x, axes))
    total = call.builder.affine(picked, torch.ones(1, picked.shape[-1], dtype=torch.float64))
    return _reshaped(call, total, x, axes, keep)


def _averaged(call: Call, x: Value, axes: Sequence[int], keep: bool) -> Value:
    count = math.prod(x.shape[axis] for axis in axes)
    return call.builder.divide(_summed(call, x, axes, keep), torch.tensor(float(count), dtype=torch.float64))


def _largest(call: Call, x: Value, axes: Sequence[int], keep: bool) -> Value:
    return _reshaped(call, call.builder.max_pool(x, _gathered(call, x, axes)), x, axes, keep)


def reduce_sum(call: Call) -> Operand:
    """ReduceSum."""
    axes, keep = _reduced(call), bool(call.integer("keepdims", 1))
    return call.value(0) if axes is None else _summed(call, call.value(0), axes, keep)


def reduce_mean(call: Call) -> Operand:
    """ReduceMean."""
    axes, keep = _reduced(call), bool(call.integer("keepdims", 1))
    return call.value(0) if axes is None else _averaged(call, call.value(0), axes, keep)


def reduce_max(call: Call) -> Operand:
    """ReduceMax."""
    axes, keep = _reduced(call), bool(call.integer("keepdims", 1))
    return call.value(0) if axes is None else _largest(call, call.value(0), axes, keep)


def reduce_min(call: Call) -> Operand:
    """ReduceMin: minus the largest of minus."""
    axes, keep = _reduced(call), bool(call.integer("keepdims", 1))
    x = call.value(0)
    return x if axes is None else call.builder.scale(_largest(call, call.builder.scale(x, -1.0), axes, keep), -1.0)
