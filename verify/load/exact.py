"""Operators whose result on constants may be kept, and whether torch rounded while it computed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Exact = Callable[..., bool]


def never_rounds(result: Any, *operands: Any, **options: Any) -> bool:
    """For operators that choose among their operands or change a sign."""
    return True


def exact_sum(result: Tensor, x: Any, y: Any, *, alpha: float = 1) -> bool:
    """Whether ``x + alpha y`` is what it should be: Knuth's TwoSum, whose error term is exact in any IEEE format."""
    if alpha not in (1, -1):
        return False
    return _sums(result, x, y if alpha == 1 else -y)


def exact_difference(result: Tensor, x: Any, y: Any, *, alpha: float = 1) -> bool:
    """Whether ``x - alpha y`` is exact."""
    return exact_sum(result, x, -y, alpha=alpha)


def exact_product(result: Tensor, x: Any, y: Any) -> bool:
    """Whether ``x y`` is exact: a factor of zeros and powers of two (a mask), or float32 numbers, by float64."""
    a, b = (torch.as_tensor(v).to(result.dtype).double() for v in (x, y))
    wide = a * b
    if not torch.equal(result.double(), wide) or not _normal(wide):
        return False
    return result.dtype == torch.float32 or _powers_of_two(a) or _powers_of_two(b)


def _sums(total: Tensor, x: Any, y: Any) -> bool:
    a, b = (torch.as_tensor(v).to(total.dtype) for v in (x, y))
    part = total - a
    return bool((((a - (total - part)) + (b - part)) == 0).all())


def _powers_of_two(t: Tensor) -> bool:
    mantissa = torch.frexp(t).mantissa
    return bool(((mantissa.abs() == 0.5) | (mantissa == 0)).all())


def _normal(t: Tensor) -> bool:
    return bool(((t == 0) | (t.abs() > 2.0**-1000)).all())


EXACT_ON_CONSTANTS: Mapping[str, Exact] = {
    **dict.fromkeys(("neg", "abs", "relu", "maximum", "minimum", "cat", "stack", "clamp"), never_rounds),
    **dict.fromkeys(("zeros", "ones", "full", "arange", "eye"), never_rounds),
    "add": exact_sum,
    "sub": exact_difference,
    "mul": exact_product,
}
