"""The constants of an ONNX graph, and arithmetic on them that knows what it rounds.

Claims are about real arithmetic over the numbers that the file stores, so every floating constant is held in float64
(exact from float16, bfloat16, float32) and arithmetic between constants is done in float64 whatever type the file
names. When a result is not exact, ``ulps`` grows: the true constant differs from ``array`` by at most
``ulps * u * |array|`` in every entry, and the operator that takes the constant pays for it. A product of two
float32 numbers is exact, a sum is checked with TwoSum; so for most files ``ulps`` stays 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from verify.errors import LoadError
from verify.floating import TINY, UNIT, gamma

Array: TypeAlias = npt.NDArray[Any]

FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
)
INTEGERS = frozenset(
    {
        onnx.TensorProto.BOOL,
        onnx.TensorProto.INT8,
        onnx.TensorProto.INT16,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.UINT16,
        onnx.TensorProto.UINT32,
        onnx.TensorProto.UINT64,
    }
)
MOST_ULPS = 2**20  # beyond this a constant is the result of cancellation, not of rounding


@dataclass(frozen=True)
class Constant:
    """A constant: float64, integer or boolean ``array``; the true one is within ``ulps u |array|`` of it."""

    array: Array
    ulps: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.array.shape)

    @property
    def floating(self) -> bool:
        """Whether it holds real numbers rather than integers or truth values."""
        return self.array.dtype.kind == "f"

    def tensor(self) -> Tensor:
        """The numbers as a float64 tensor."""
        return torch.from_numpy(np.array(self.array, dtype=np.float64))

    def error(self) -> Tensor | None:
        """Upper bound of ``|true - array|`` in the constant's shape; None when it is exact."""
        if self.ulps == 0:
            return None
        return self.tensor().abs() * ((self.ulps + 1) * UNIT) + TINY


def read_tensor(tensor: onnx.TensorProto) -> Constant:
    """A stored tensor. Raises LoadError for element types that are not numbers, and for data of the wrong size."""
    kind = tensor.data_type
    name = tensor.name or "a constant"
    if kind not in FLOATS | INTEGERS:
        known = onnx.TensorProto.DataType.values()
        shown = onnx.TensorProto.DataType.Name(kind) if kind in known else kind
        raise LoadError(f"tensor {name!r} has elements of type {shown}: floating and integer tensors are read")
    if any(d < 0 for d in tensor.dims):
        raise LoadError(f"tensor {name!r} has a negative size: the file is damaged")
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, onnx.checker.ValidationError) as error:
        raise LoadError(f"tensor {name!r} does not hold what its shape {list(tensor.dims)} says: {error}") from error
    return Constant(np.asarray(array, dtype=np.float64) if kind in FLOATS else np.asarray(array))


# --- arithmetic ------------------------------------------------------------------------------------------------------


def multiply(x: Constant, y: Constant) -> Constant:
    """``x * y``; exact when both hold float32 numbers."""
    if not (x.floating or y.floating):
        return Constant(np.multiply(x.array, y.array))
    if y.shape == () and y.array == 1 and y.ulps == 0 and x.floating:
        return x  # alpha and beta of nearly every Gemm: no pass over a large weight
    product = np.multiply(x.array, y.array, dtype=np.float64)
    _refuse_underflow(product, (x.array != 0) & (y.array != 0))
    exact = _is_float32(x.array) and _is_float32(y.array)
    return _result(product, x.ulps + y.ulps + (not exact), compound=bool(x.ulps or y.ulps))


def divide(x: Constant, y: Constant) -> Constant:
    """``x / y``; truncated towards zero for integers, as ONNX says."""
    if bool((y.array == 0).any()):
        raise LoadError("a constant is divided by zero")
    if not (x.floating or y.floating):
        quotient = np.abs(x.array) // np.abs(y.array)
        return Constant((quotient * np.sign(x.array) * np.sign(y.array)).astype(x.array.dtype))
    quotient = np.divide(x.array, y.array, dtype=np.float64)
    _refuse_underflow(quotient, np.broadcast_to(x.array != 0, quotient.shape))
    power_of_two = bool((np.abs(np.frexp(y.array)[0]) == 0.5).all())
    return _result(quotient, x.ulps + y.ulps + (not power_of_two), compound=bool(x.ulps or y.ulps))


def add(x: Constant, y: Constant) -> Constant:
    """``x + y``; TwoSum (Knuth) tells whether it is exact."""
    if not (x.floating or y.floating):
        return Constant(np.add(x.array, y.array))
    a, b = np.broadcast_arrays(np.asarray(x.array, dtype=np.float64), np.asarray(y.array, dtype=np.float64))
    total = a + b
    part = total - a
    lost = (a - (total - part)) + (b - part)
    if x.ulps == 0 and y.ulps == 0:
        return _result(total, int(bool((lost != 0).any())), compound=False)
    return _with_error(total, np.abs(lost) + UNIT * (x.ulps * np.abs(a) + y.ulps * np.abs(b)))


def negate(x: Constant) -> Constant:
    """``-x``; exact."""
    return Constant(np.negative(x.array), x.ulps)


def subtract(x: Constant, y: Constant) -> Constant:
    """``x - y``."""
    return add(x, negate(y)) if x.floating or y.floating else Constant(np.subtract(x.array, y.array))


def square_root(x: Constant) -> Constant:
    """The square root, correctly rounded."""
    if bool((x.array < 0).any()):
        raise LoadError("the square root of a negative constant is asked for")
    return _result(np.sqrt(np.asarray(x.array, dtype=np.float64)), x.ulps + 1, compound=x.ulps > 0)


def matmul(x: Constant, y: Constant) -> Constant:
    """The matrix product; each entry pays for its own dot product."""
    if not (x.floating or y.floating):
        return Constant(np.matmul(x.array, y.array))
    a, b = (np.asarray(v.array, dtype=np.float64) for v in (x, y))
    size = np.matmul(np.abs(a), np.abs(b))
    return _with_error(np.matmul(a, b), size * (gamma(a.shape[-1]) + (x.ulps + y.ulps) * UNIT))


def _picking(function: Callable[..., Array]) -> Callable[..., Constant]:
    """A function that picks one of its arguments in every entry: it rounds nothing, and relative errors survive it."""

    def folded(*constants: Constant) -> Constant:
        total = constants[0].array
        for c in constants[1:]:
            total = function(total, c.array)
        return Constant(np.asarray(total), max(c.ulps for c in constants))

    return folded


def _stepwise(function: Callable[..., Array]) -> Callable[..., Constant]:
    """A function that jumps: exact on exact constants, refused on rounded ones."""

    def folded(*constants: Constant) -> Constant:
        require_exact(*constants)
        return Constant(np.asarray(function(*(c.array for c in constants))))

    return folded


def _sum(*constants: Constant) -> Constant:
    total = constants[0]
    for c in constants[1:]:
        total = add(total, c)
    return total


FOLDS: Mapping[str, Callable[..., Constant]] = {
    "Add": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Neg": negate,
    "Sum": _sum,
    "Sqrt": square_root,
    "Reciprocal": lambda x: divide(Constant(np.ones(())), x),
    "MatMul": matmul,
    "Abs": lambda x: Constant(np.abs(x.array), x.ulps),
    "Relu": lambda x: Constant(np.maximum(x.array, 0), x.ulps),
    "Max": _picking(np.maximum),
    "Min": _picking(np.minimum),
    "Floor": _stepwise(np.floor),
    "Ceil": _stepwise(np.ceil),
    "Sign": _stepwise(np.sign),
    "Equal": _stepwise(np.equal),
    "Less": _stepwise(np.less),
    "Greater": _stepwise(np.greater),
    "Where": lambda c, x, y: Constant(np.where(c.array, x.array, y.array), max(x.ulps, y.ulps)),
}


def cast(constant: Constant, kind: int) -> Constant:
    """The constant as element type ``kind``; float32 and float64 are one type in real arithmetic."""
    if kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        return Constant(np.asarray(constant.array, dtype=np.float64), constant.ulps)
    require_exact(constant)
    return Constant(constant.array.astype(onnx.helper.tensor_dtype_to_np_dtype(kind)))


def require_exact(*constants: Constant) -> None:
    """Refuse constants whose rounding the operator at hand cannot pay for."""
    if any(c.ulps for c in constants):
        raise LoadError(
            "a constant that had to be rounded on import is used where its rounding cannot be paid for: "
            "store the value itself as an initializer"
        )


def concatenate(constants: Sequence[Constant], axis: int) -> Constant:
    """Constants one after another."""
    return Constant(np.concatenate([c.array for c in constants], axis=axis), max(c.ulps for c in constants))


def _is_float32(array: Array) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((array.astype(np.float32).astype(np.float64) == array).all())


def _refuse_underflow(result: Array, nonzero: Array) -> None:
    if bool(((np.abs(result) < TINY) & nonzero).any()):
        raise LoadError("a product of constants is below the smallest normal number: rescale the model's constants")


def _result(array: Array, ulps: int, *, compound: bool) -> Constant:
    """``array`` with its relative error; one more unit pays for the products of errors when there were several."""
    return _with_ulps(array, int(ulps) + int(compound))


def _with_error(array: Array, error: Array) -> Constant:
    """``array`` with an absolute error in every entry, as one relative error."""
    wrong = error > 0
    if not bool(wrong.any()):
        return Constant(array)
    ratio = np.divide(error, np.abs(array), out=np.full(array.shape, np.inf), where=(array != 0) & wrong)
    largest = float(np.where(wrong, ratio, 0.0).max()) / UNIT
    return _with_ulps(array, MOST_ULPS + 1 if not largest < MOST_ULPS else int(largest * 1.0001) + 2)


def _with_ulps(array: Array, ulps: int) -> Constant:
    if ulps > MOST_ULPS:
        raise LoadError(
            "arithmetic on constants cancels almost all their digits: store the result itself as an initializer"
        )
    return Constant(array, ulps)
