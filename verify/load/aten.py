"""The torch operators that are read, by the name that torch.export gives them: one table, name to rule.

A rule gets the builder and the operator's arguments in order, values of the network as ``Value`` and everything else
as torch has it, and returns the result. Operators that only move numbers are not rewritten one by one: torch itself
does them to an array of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from verify.errors import UnsupportedOperator
from verify.load.builder import Builder, Value
from verify.load.windows import Axis, explicit, window_counts, window_positions

Rule = Callable[..., Any]

# Operators that move, repeat or drop numbers and compute nothing.
MOVEMENT = frozenset(
    [
        "view",
        "reshape",
        "_unsafe_view",
        "flatten",
        "unflatten",
        "permute",
        "transpose",
        "t",
        "squeeze",
        "unsqueeze",
        "slice",
        "select",
        "split",
        "split_with_sizes",
        "chunk",
        "expand",
        "expand_as",
        "flip",
        "roll",
        "index_select",
        "movedim",
        "narrow",
        "repeat",
        "tile",
    ]
)
# Operators that change nothing here: networks are evaluated as in eval(), and floats of any width are reals.
IDENTITY = frozenset(
    [
        "alias",
        "clone",
        "contiguous",
        "detach",
        "detach_",
        "lift_fresh_copy",
        "dropout",
        "feature_dropout",
        "alpha_dropout",
    ]
)


def _refuse(b: Builder, attribute: str, remedy: str = "") -> UnsupportedOperator:
    return UnsupportedOperator(b.here, b.here_op, attribute, remedy)


def linear(b: Builder, x: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
    return b.affine(x, weight, bias)


def addmm(b: Builder, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    if not (isinstance(x, Value) and isinstance(weight, Tensor) and isinstance(bias, Tensor)) or (beta, alpha) != (
        1,
        1,
    ):
        raise _refuse(b, "anything but a constant bias plus a value times a constant", "write it with nn.Linear")
    return add(b, b.affine(x, weight.T), bias)


def matmul(b: Builder, x: Any, y: Any) -> Value:
    if isinstance(x, Value) and isinstance(y, Tensor):
        if y.dim() == 1:
            return b.reshape(b.affine(x, y.reshape(1, -1)), x.shape[:-1])
        if y.dim() == 2:
            return b.affine(x, y.T)
    if isinstance(y, Value) and isinstance(x, Tensor) and x.dim() == 2 and len(y.shape) >= 2:
        swapped = b.select(y, b.positions(y).transpose(-1, -2))
        product = b.affine(swapped, x)
        return b.select(product, b.positions(product).transpose(-1, -2))
    raise _refuse(b, "a product of two values of the network, or with a constant of more than two axes")


def conv2d(
    b: Builder,
    x: Value,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    stride, dilation = _two(stride), _two(dilation)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        pads = (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)
    else:
        high, wide = (0, 0) if padding == "valid" else _two(padding)
        pads = (high, wide, high, wide)
    return b.conv(x, weight, bias, stride=stride, padding=pads, dilation=dilation, groups=groups)


def conv1d(
    b: Builder,
    x: Value,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    if isinstance(padding, str):
        wide: Any = padding
    else:
        wide = [0, *_list(padding)]
    flat = b.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
    y = conv2d(b, flat, weight.unsqueeze(2), bias, [1, *_list(stride)], wide, [1, *_list(dilation)], groups)
    return b.reshape(y, (*y.shape[:-2], y.shape[-1]))


def batch_norm(
    b: Builder,
    x: Value,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,
    epsilon: float,
    cudnn: bool = False,
) -> Value:
    if training or mean is None or variance is None:
        raise _refuse(b, "batch statistics", "call eval() on a module that tracks running statistics")
    ones = torch.ones_like(mean)
    return b.batch_norm(
        x, (ones if weight is None else weight, 0 * ones if bias is None else bias, mean, variance), epsilon
    )


def add(b: Builder, x: Any, y: Any, *, alpha: float = 1) -> Value:
    if isinstance(y, Value):
        y = b.scale(y, float(alpha)) if alpha != 1 else y
        return b.add(x, y) if isinstance(x, Value) else b.scale(y, 1.0, _number(b, x))
    if alpha != 1:
        raise _refuse(b, f"alpha={alpha} with a constant")
    return b.scale(x, 1.0, _number(b, y))


def sub(b: Builder, x: Any, y: Any, *, alpha: float = 1) -> Value:
    if alpha != 1:
        raise _refuse(b, f"alpha={alpha}")
    if isinstance(y, Value):
        negated = b.scale(y, -1.0)
        return b.add(x, negated) if isinstance(x, Value) else b.scale(negated, 1.0, _number(b, x))
    return b.scale(x, 1.0, -_number(b, y))


def rsub(b: Builder, x: Value, y: Any, alpha: float = 1) -> Value:
    return sub(b, y, x, alpha=alpha)


def mul(b: Builder, x: Any, y: Any) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        raise _refuse(b, "a product of two values of the network", "it is not piecewise linear")
    return b.scale(x, _number(b, y)) if isinstance(x, Value) else b.scale(y, _number(b, x))


def div(b: Builder, x: Any, y: Any, *, rounding_mode: str | None = None) -> Value:
    if isinstance(y, Value) or rounding_mode is not None:
        raise _refuse(b, "division by a value of the network, or with rounding")
    return b.divide(x, _number(b, y))


def clamp(b: Builder, x: Value, low: Any = None, high: Any = None) -> Value:
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        raise _refuse(b, "bounds that are tensors", "give numbers")
    return b.clip(x, None if low is None else float(low), None if high is None else float(high))


def pad(b: Builder, x: Value, pads: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    """Zero or constant padding, and the modes that repeat entries, which torch does to the positions."""
    if mode != "constant":
        index = torch.nn.functional.pad(b.positions(x).double(), list(pads), mode=mode).long()
        return b.select(x, index)
    index = torch.nn.functional.pad(b.positions(x), list(pads), value=-1)
    y = b.select(x, index)
    return y if not value else b.scale(y, 1.0, torch.where(index < 0, float(value), 0.0).double())


def cat(b: Builder, values: Sequence[Any], dim: int = 0) -> Value:
    return b.concat([v if isinstance(v, Value) else b.constant(v.double()) for v in values], dim)


def stack(b: Builder, values: Sequence[Any], dim: int = 0) -> Value:
    whole = [v if isinstance(v, Value) else b.constant(v.double()) for v in values]
    return b.concat([b.select(v, b.positions(v).unsqueeze(dim)) for v in whole], dim)


def max_pool(axes: int) -> Rule:
    """Max pooling over the last ``axes`` axes."""

    def rule(
        b: Builder, x: Value, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
    ) -> Value:
        return b.max_pool(x, _windows(b, x, _axes(b, x, axes, kernel, stride, padding, dilation, ceil)))

    return rule


def average_pool(axes: int) -> Rule:
    """Average pooling over the last ``axes`` axes."""

    def rule(
        b: Builder,
        x: Value,
        kernel: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil: bool = False,
        include: bool = True,
        divisor: int | None = None,
    ) -> Value:
        if divisor is not None:
            raise _refuse(b, f"divisor_override={divisor}", "leave it out")
        found = _axes(b, x, axes, kernel, stride, padding, 1, ceil)
        return b.average_pool(x, _windows(b, x, found), window_counts(found, include_padding=include))

    return rule


def adaptive_pool(axes: int) -> Rule:
    """Adaptive average pooling to sizes that divide the input's."""

    def rule(b: Builder, x: Value, size: Any) -> Value:
        sizes = x.shape[-axes:]
        wanted = [n if w is None else int(w) for w, n in zip(_repeat(size, axes), sizes, strict=True)]
        if any(n % w for n, w in zip(sizes, wanted, strict=True)):
            raise _refuse(
                b, f"output size {wanted} of an input of {list(sizes)}", "use a size that divides the input's"
            )
        kernel = [n // w for n, w in zip(sizes, wanted, strict=True)]
        pooled: Value = average_pool(axes)(b, x, kernel, kernel)
        return pooled

    return rule


def mean(b: Builder, x: Value, dims: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    windows, shape = _reduced(x, b.positions(x), dims, keepdim)
    return b.reshape(b.average_pool(x, windows, torch.tensor(float(windows.shape[-1]))), shape)


def total(b: Builder, x: Value, dims: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    windows, shape = _reduced(x, b.positions(x), dims, keepdim)
    ones = torch.ones(1, windows.shape[-1], dtype=torch.float64)
    return b.reshape(b.affine(b.select(x, windows), ones), shape)


def maximum(b: Builder, x: Any, y: Any) -> Value:
    values = [v if isinstance(v, Value) else b.constant(v.double()) for v in (x, y)]
    return b.maximum(*values)


def minimum(b: Builder, x: Any, y: Any) -> Value:
    negated = [b.scale(v, -1.0) if isinstance(v, Value) else b.constant(-v.double()) for v in (x, y)]
    return b.scale(b.maximum(*negated), -1.0)


def prelu(b: Builder, x: Value, weight: Tensor) -> Value:
    return b.leaky_relu(x, weight if weight.numel() == 1 else weight.reshape(-1, *[1] * (len(x.shape) - 2)))


def leaky_relu(b: Builder, x: Value, slope: float = 0.01) -> Value:
    return b.leaky_relu(x, torch.tensor(float(slope), dtype=torch.float64))


def cast(b: Builder, x: Value, *args: Any, **kwargs: Any) -> Value:
    kinds = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.dtype)]
    if any(not kind.is_floating_point for kind in kinds):
        raise _refuse(b, f"a cast to {kinds[0]}", "it rounds, which is not piecewise linear")
    return x


RULES: dict[str, Rule] = {
    "linear": linear,
    "addmm": addmm,
    "mm": matmul,
    "matmul": matmul,
    "conv1d": conv1d,
    "conv2d": conv2d,
    "batch_norm": batch_norm,
    "relu": lambda b, x: b.relu(x),
    "relu_": lambda b, x: b.relu(x),
    "relu6": lambda b, x: b.clip(x, 0.0, 6.0),
    "leaky_relu": leaky_relu,
    "leaky_relu_": leaky_relu,
    "prelu": prelu,
    "hardtanh": lambda b, x, low=-1.0, high=1.0: b.clip(x, float(low), float(high)),
    "hardtanh_": lambda b, x, low=-1.0, high=1.0: b.clip(x, float(low), float(high)),
    "clamp": clamp,
    "clamp_": clamp,
    "clamp_min": lambda b, x, low: clamp(b, x, low, None),
    "clamp_max": lambda b, x, high: clamp(b, x, None, high),
    "abs": lambda b, x: b.absolute(x),
    "neg": lambda b, x: b.scale(x, -1.0),
    "maximum": maximum,
    "minimum": minimum,
    "add": add,
    "add_": add,
    "sub": sub,
    "sub_": sub,
    "rsub": rsub,
    "mul": mul,
    "mul_": mul,
    "div": div,
    "div_": div,
    "pad": pad,
    "constant_pad_nd": lambda b, x, pads, value=0.0: pad(b, x, pads, "constant", value),
    "cat": cat,
    "concat": cat,
    "stack": stack,
    "max_pool1d": max_pool(1),
    "max_pool2d": max_pool(2),
    "avg_pool1d": average_pool(1),
    "avg_pool2d": average_pool(2),
    "adaptive_avg_pool1d": adaptive_pool(1),
    "adaptive_avg_pool2d": adaptive_pool(2),
    "mean": mean,
    "sum": total,
    "to": cast,
    "_to_copy": cast,
    "type_as": cast,
    **{name: lambda b, x, *args, **kwargs: x for name in IDENTITY},
}

SUPPORTED = tuple(sorted({*RULES, *MOVEMENT}))

REMEDIES = {
    **dict.fromkeys(
        ("softmax", "log_softmax", "_softmax", "_log_softmax"),
        "verify the network without its last softmax: the order of the scores is the same",
    ),
    **dict.fromkeys(
        ("sigmoid", "tanh", "gelu", "silu", "elu", "softplus", "exp"), "only piecewise-linear networks are read"
    ),
}


def _number(b: Builder, value: Any) -> Tensor:
    """A constant operand as float64; numbers that float64 does not hold are refused."""
    if isinstance(value, Tensor):
        return value.detach().double()
    if isinstance(value, (int, float)) and float(value) == value:
        return torch.tensor(float(value), dtype=torch.float64)
    raise _refuse(b, f"the operand {value!r}")


def _list(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, Sequence) else [int(value)]


def _repeat(value: Any, count: int) -> list[Any]:
    listed = list(value) if isinstance(value, Sequence) else [value]
    return listed * count if len(listed) == 1 else listed


def _two(value: Any) -> tuple[int, int]:
    first, second = _repeat(value, 2)
    return int(first), int(second)


def _axes(
    b: Builder, x: Value, count: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> list[Axis]:
    kernels = _repeat(kernel, count)
    strides = kernels if stride is None or stride == [] else _repeat(stride, count)
    both = zip(x.shape[-count:], kernels, strides, _repeat(padding, count), _repeat(dilation, count), strict=True)
    axes = [explicit(n, int(k), int(s), int(d), (int(p), int(p)), ceil=ceil) for n, k, s, p, d in both]
    if any(axis.outputs < 1 for axis in axes):
        raise _refuse(b, f"a window of {kernels} on an input of {list(x.shape[-count:])}")
    return axes


def _windows(b: Builder, x: Value, axes: list[Axis]) -> Tensor:
    lead = x.shape[: -len(axes)]
    found = window_positions(int(torch.tensor(lead).prod()), axes)
    return found.reshape(*lead, *found.shape[1:])


def _reduced(x: Value, positions: Tensor, dims: Any, keepdim: bool) -> tuple[Tensor, tuple[int, ...]]:
    axes = range(len(x.shape)) if dims is None else _list(dims)
    gone = {d % len(x.shape) for d in axes}
    kept = [d for d in range(len(x.shape)) if d not in gone]
    windows = positions.permute(*kept, *sorted(gone)).reshape(*(x.shape[d] for d in kept), -1)
    shape = tuple(1 if d in gone else n for d, n in enumerate(x.shape)) if keepdim else tuple(x.shape[d] for d in kept)
    return windows, shape
