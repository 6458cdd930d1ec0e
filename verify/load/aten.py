"""The torch operators that are read, by the name that torch.export gives them: one table, name to rule.

A rule gets the builder and the operator's arguments in the order of its schema, values of the network as ``Value`` and
everything else as torch has it; the names of keyword arguments are the schema's. An argument that a rule does not
declare has to be at its default (``graph.py``). Operators that only move numbers have no rule: torch itself does them
to an array of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from verify.errors import UnsupportedOperator
from verify.floating import UNIT
from verify.load import aten_windows as windows
from verify.load.builder import Builder, Value

# Operators that move, repeat or drop numbers and compute nothing.
MOVEMENT = frozenset(
    {"view", "reshape", "_unsafe_view", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze"}
    | {"permute", "transpose", "t", "swapaxes", "swapdims", "movedim", "flip", "roll"}
    | {"slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "index", "index_select", "gather"}
    | {"expand", "expand_as", "repeat", "tile", "repeat_interleave"}
    | {"pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "upsample_nearest1d", "upsample_nearest2d"}
)
# Operators that change where and how numbers are stored; the walk refuses those whose result is not float32 or 64.
CASTS = frozenset(("to", "_to_copy", "type_as", "alias", "clone", "contiguous", "detach", "lift_fresh_copy"))
# Operators that read only the shape of their argument.
FACTORIES = frozenset(("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"))


def refuse(b: Builder, attribute: str, remedy: str = "") -> UnsupportedOperator:
    """The error for the operator that is being read."""
    return UnsupportedOperator(b.here, b.here_op, attribute, remedy)


# --- products --------------------------------------------------------------------------------------------------------


def linear(b: Builder, x: Any, weight: Any, bias: Any = None) -> Value:
    """``x W^T + b``."""
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        raise refuse(b, "weights that depend on the input")
    return b.affine(x, weight, bias)


def addmm(b: Builder, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    """``beta bias + alpha x W``."""
    if (beta, alpha) != (1, 1):
        raise refuse(b, f"beta={beta}, alpha={alpha}", "write it with nn.Linear")
    return add(b, matmul(b, x, weight), bias)


def matmul(b: Builder, x: Any, y: Any) -> Value:
    """A product with a constant of one or two axes on either side."""
    if isinstance(x, Value) and isinstance(y, Tensor) and y.dim() == 1:
        return b.reshape(b.affine(x, y.reshape(1, -1)), x.shape[:-1])
    if isinstance(x, Value) and isinstance(y, Tensor) and y.dim() == 2:
        return b.affine(x, y.T)
    if isinstance(y, Value) and isinstance(x, Tensor) and x.dim() == 2 and len(y.shape) >= 2:
        product = b.affine(_transposed(b, y), x)
        return _transposed(b, product)
    raise refuse(b, "a product of two values of the network, or with a constant of more than two axes")


def _transposed(b: Builder, x: Value) -> Value:
    return b.select(x, b.positions(x).transpose(-1, -2))


def conv2d(
    b: Builder,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """Convolution over the last two axes; ``padding`` numbers, "same" or "valid"."""
    if isinstance(weight, Value) or isinstance(bias, Value):
        raise refuse(b, "weights that depend on the input")
    stride, dilation = windows.sizes(stride, 2), windows.sizes(dilation, 2)
    if padding == "same":  # the odd entry comes after
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        before = [t // 2 for t in total]
        pads = (*before, *(t - n for t, n in zip(total, before, strict=True)))
    else:
        high, wide = (0, 0) if padding == "valid" else windows.sizes(padding, 2)
        pads = (high, wide, high, wide)
    return b.conv(x, weight, bias, stride=stride, padding=pads, dilation=dilation, groups=groups)


def conv1d(
    b: Builder,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """Convolution over the last axis: one row of a two-dimensional one."""
    if isinstance(weight, Value):
        raise refuse(b, "weights that depend on the input")
    wide = padding if isinstance(padding, str) else [0, *windows.sizes(padding, 1)]
    strides, dilations = [1, *windows.sizes(stride, 1)], [1, *windows.sizes(dilation, 1)]
    flat = b.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
    y = conv2d(b, flat, weight.unsqueeze(2), bias, strides, wide, dilations, groups)
    return b.reshape(y, (*y.shape[:-2], y.shape[-1]))


def batch_norm(
    b: Builder,
    x: Value,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,  # of the running statistics, which do not run here
    epsilon: float,
    cudnn: bool,  # which kernel
) -> Value:
    """Normalisation over axis 1 by stored statistics."""
    if training or mean is None or variance is None:
        raise refuse(b, "batch statistics", "call eval() on a module that tracks running statistics")
    factor = torch.ones_like(mean) if weight is None else weight
    return b.batch_norm(x, (factor, torch.zeros_like(mean) if bias is None else bias, mean, variance), epsilon)


def batch_norm_inference(
    b: Builder,
    x: Value,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    epsilon: float,
) -> list[Any]:
    """The decomposed form, which also returns statistics that nobody needs outside training."""
    return [batch_norm(b, x, weight, bias, mean, variance, False, momentum, epsilon, False), None, None]


# --- arithmetic ------------------------------------------------------------------------------------------------------


def add(b: Builder, x: Any, y: Any, *, alpha: float = 1) -> Value:
    """``x + alpha y``."""
    if isinstance(x, Value) and isinstance(y, Value):
        return b.add(x, b.scale(y, alpha))
    if isinstance(y, Value):
        return b.scale(y, alpha, _number(b, x))
    offset = _number(b, y)
    if alpha in (1, -1):
        return b.scale(x, 1.0, offset * alpha)
    product = offset * alpha
    return b.scale(x, 1.0, product, bias_error=product.abs() * (2.0 * UNIT) + 2.0**-1000)


def sub(b: Builder, x: Any, y: Any, *, alpha: float = 1) -> Value:
    """``x - alpha y``."""
    return add(b, x, y, alpha=-alpha)


def rsub(b: Builder, x: Any, y: Any, alpha: float = 1) -> Value:
    """``y - alpha x``."""
    return add(b, y, x, alpha=-alpha)


def mul(b: Builder, x: Any, y: Any) -> Value:
    """``x y``, one of them a constant."""
    if isinstance(x, Value) and isinstance(y, Value):
        raise refuse(b, "a product of two values of the network", "it is not piecewise linear")
    return b.scale(x, _number(b, y)) if isinstance(x, Value) else b.scale(y, _number(b, x))


def div(b: Builder, x: Any, y: Any, *, rounding_mode: str | None = None) -> Value:
    """``x / y``, ``y`` a constant."""
    if isinstance(y, Value) or rounding_mode is not None:
        raise refuse(b, "division by a value of the network, or with rounding", "it is not piecewise linear")
    return b.divide(x, _number(b, y))


def _number(b: Builder, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        if value.is_complex():
            raise refuse(b, f"an operand of {value.dtype}")
        return value.detach().double()
    return torch.tensor(float(value), dtype=torch.float64)


# --- piecewise-linear operators --------------------------------------------------------------------------------------


def maximum(b: Builder, x: Any, y: Any) -> Value:
    """``max(x, y)``; with a constant c it is ``c + relu(x - c)``."""
    if isinstance(x, Value) and isinstance(y, Value):
        return b.maximum(x, y)
    value, constant = (x, _number(b, y)) if isinstance(x, Value) else (y, _number(b, x))
    return b.scale(b.relu(b.scale(value, 1.0, -constant)), 1.0, constant)


def minimum(b: Builder, x: Any, y: Any) -> Value:
    """``min(x, y)``; with a constant c it is ``c - relu(c - x)``."""
    if isinstance(x, Value) and isinstance(y, Value):
        return b.subtract(y, b.relu(b.subtract(y, x)))
    value, constant = (x, _number(b, y)) if isinstance(x, Value) else (y, _number(b, x))
    return b.scale(b.relu(b.scale(value, -1.0, constant)), -1.0, constant)


def clamp(b: Builder, x: Value, low: Any = None, high: Any = None) -> Value:
    """``min(max(x, low), high)``: where the bounds cross, ``high``, as in torch."""
    x = x if low is None else maximum(b, x, low)
    return x if high is None else minimum(b, x, high)


def hard_sigmoid(b: Builder, x: Value) -> Value:
    """``clamp(x + 3, 0, 6) / 6``."""
    return b.divide(b.clip(b.scale(x, 1.0, 3.0), 0.0, 6.0), torch.tensor(6.0))


def threshold(b: Builder, x: Value, at: float, value: float) -> Value:
    """``x`` where it is above ``at``, ``value`` elsewhere."""
    if at != value:
        raise refuse(b, f"threshold={at} with value={value}", "it has a jump; they have to be equal")
    return maximum(b, x, at)


def leaky_relu(b: Builder, x: Value, slope: float = 0.01) -> Value:
    """Slope ``slope`` where negative."""
    return b.leaky_relu(x, torch.tensor(slope, dtype=torch.float64))


def prelu(b: Builder, x: Value, weight: Any) -> Value:
    """One slope, or one a channel (axis 1)."""
    if isinstance(weight, Value):
        raise refuse(b, "slopes that depend on the input")
    return b.leaky_relu(x, weight.reshape(()) if weight.numel() == 1 else weight.reshape(-1, *[1] * (len(x.shape) - 2)))


def dropout(b: Builder, x: Value, p: float, train: bool) -> Value:
    """Nothing, outside training."""
    if train and p > 0:
        raise refuse(b, "train=True", "call eval() before the module is exported")
    return x


# --- joining ---------------------------------------------------------------------------------------------------------


def pad(b: Builder, x: Value, pads: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    """Constant padding, and the modes that repeat entries, which torch does to the positions."""
    if mode != "constant":
        return b.select(x, torch.nn.functional.pad(b.positions(x).double(), list(pads), mode=mode).long())
    index = torch.nn.functional.pad(b.positions(x), list(pads), value=-1)
    padded = b.select(x, index)
    return padded if not value else b.scale(padded, 1.0, torch.where(index < 0, value, 0.0).double())


def constant_pad(b: Builder, x: Value, pads: Sequence[int], value: float = 0.0) -> Value:
    """Constant padding."""
    return pad(b, x, pads, "constant", value)


def cat(b: Builder, values: Sequence[Any], dim: int = 0) -> Value:
    """Values and constants one after another."""
    return b.concat([v if isinstance(v, Value) else b.constant(_number(b, v)) for v in values], dim)


def stack(b: Builder, values: Sequence[Any], dim: int = 0) -> Value:
    """Values and constants along a new axis."""
    whole = [v if isinstance(v, Value) else b.constant(_number(b, v)) for v in values]
    return b.concat([b.reshape(v, b.positions(v).unsqueeze(dim).shape) for v in whole], dim)


def largest(b: Builder, x: Any, other: Any = None, keepdim: bool = False) -> Any:
    """torch.max in its three meanings: of all, over an axis (with positions, which are refused when read), of two."""
    if isinstance(other, int) and not isinstance(other, bool):
        return [windows.amax(b, x, other, keepdim), None]
    return windows.amax(b, x) if other is None else maximum(b, x, other)


def smallest(b: Builder, x: Any, other: Any = None, keepdim: bool = False) -> Any:
    """torch.min in its three meanings."""
    if isinstance(other, int) and not isinstance(other, bool):
        return [windows.amin(b, x, other, keepdim), None]
    return windows.amin(b, x) if other is None else minimum(b, x, other)


RULES: dict[str, windows.Rule] = {
    "linear": linear,
    "addmm": addmm,
    "mm": matmul,
    "matmul": matmul,
    "conv1d": conv1d,
    "conv2d": conv2d,
    "batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm_inference,
    "relu": lambda b, x: b.relu(x),
    "relu6": lambda b, x: b.clip(x, 0.0, 6.0),
    "leaky_relu": leaky_relu,
    "prelu": prelu,
    "hardtanh": lambda b, x, low=-1.0, high=1.0: clamp(b, x, low, high),
    "hardsigmoid": hard_sigmoid,
    "threshold": threshold,
    "clamp": clamp,
    "clamp_min": maximum,
    "clamp_max": minimum,
    "clip": clamp,
    "abs": lambda b, x: b.absolute(x),
    "neg": lambda b, x: b.scale(x, -1.0),
    "maximum": maximum,
    "minimum": minimum,
    "max": largest,
    "min": smallest,
    "amax": windows.amax,
    "amin": windows.amin,
    "add": add,
    "sub": sub,
    "rsub": rsub,
    "mul": mul,
    "div": div,
    "pad": pad,
    "constant_pad_nd": constant_pad,
    "cat": cat,
    "concat": cat,
    "stack": stack,
    "max_pool1d": windows.max_pool(1),
    "max_pool2d": windows.max_pool(2),
    "avg_pool1d": windows.average_pool(1),
    "avg_pool2d": windows.average_pool(2),
    "adaptive_avg_pool1d": windows.adaptive_average_pool(1),
    "adaptive_avg_pool2d": windows.adaptive_average_pool(2),
    "adaptive_max_pool1d": windows.adaptive_max_pool(1),
    "adaptive_max_pool2d": windows.adaptive_max_pool(2),
    "mean": windows.mean,
    "sum": windows.total,
    "dropout": dropout,
    "feature_dropout": dropout,
    "alpha_dropout": dropout,
    "feature_alpha_dropout": dropout,
}

SUPPORTED = tuple(sorted({*RULES, *MOVEMENT, *CASTS}))

_SOFTMAX = "verify the network without its last softmax: the order of the scores is the same"
_SMOOTH = "only piecewise-linear networks are read"
REMEDIES = {
    **dict.fromkeys(("softmax", "log_softmax", "_softmax", "_log_softmax"), _SOFTMAX),
    **dict.fromkeys(("sigmoid", "log_sigmoid", "tanh", "exp", "softplus"), _SMOOTH),
    **dict.fromkeys(("gelu", "silu", "mish", "elu", "celu", "selu", "hardswish"), _SMOOTH),
}
