"""The value of a network at one point, without any rounding: every stored number is a dyadic rational.

A float64 is an integer times a power of two, so a layer is a product of integers and a ReLU compares one with zero:
Python's integers do both exactly. It settles ties, where interval arithmetic keeps 1e-16 of doubt for ever.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from verify.network import Network
from verify.operators import Add, Affine, Concat, Conv, Input, Linear, ReLU

Integers: TypeAlias = np.ndarray[Any, np.dtype[np.object_]]

PRODUCTS = 2**22
"""Most multiplications in one evaluation: 0.2 microseconds each (measured, four to six layers), so a second or so."""

_DIGITS = 2**15
"""Widest spread of exponents within one layer, in bits, so that a freak weight of 1e-300 cannot take all memory."""

_BLOCK = 2**18
"""Multiplications held in memory at once, at about 100 bytes each."""


@dataclass(frozen=True)
class _Dyadic:
    """``integers * 2**exponent``, flat; the integers are Python's own, of any size."""

    integers: Integers
    exponent: int

    def at(self, exponent: int) -> Integers:
        """The integers over a smaller or equal exponent."""
        scaled: Integers = self.integers * (1 << (self.exponent - exponent))
        return scaled


def products(network: Network) -> int:
    """How many multiplications one exact evaluation takes."""
    return sum(_size(node.operator) for node in network.nodes if isinstance(node.operator, Linear))


def is_exact(network: Network) -> bool:
    """Whether the stored numbers are the file's own; where some were rounded, the true value is not theirs to tell."""
    linear = (node.operator for node in network.nodes if isinstance(node.operator, Linear))
    return all(op.weight_ulps == 0 and (op.bias_error is None or not bool(op.bias_error.any())) for op in linear)


def exact_scores(network: Network, x: Tensor) -> list[Fraction] | None:
    """The scores of a float64 network at one point ``x`` (*input_shape), exactly; None where that cannot be had.

    Not to be had: weights that were rounded while the file was read (:func:`is_exact`), more than :data:`PRODUCTS`
    multiplications, an infinite or NaN entry, and weights that are too far apart. Recomputed; nothing is trusted.
    """
    if not is_exact(network) or products(network) > PRODUCTS:
        return None
    point = _dyadic(x.detach().double().cpu().reshape(-1).numpy())
    if point is None:
        return None
    done: list[_Dyadic] = []
    for node in network.nodes:
        args = [done[i] for i in node.inputs]
        match node.operator:
            case Input():
                value: _Dyadic | None = point
            case Linear() as op:
                value = _linear(op, args[0])
            case ReLU():
                value = _Dyadic(np.maximum(args[0].integers, 0), args[0].exponent)
            case Add():
                value = _sum(args[0], args[1])
            case Concat(axis=axis):
                value = _concat(args, [network.nodes[i].shape for i in node.inputs], axis)
        if value is None:
            return None
        done.append(value)
    last = done[-1]
    return [_fraction(int(n), last.exponent) for n in last.integers]


def exact_rows(C: Tensor, d: Tensor, scores: list[Fraction]) -> list[Fraction]:
    """``C f + d`` for float64 rows ``C`` (J, n_out), ``d`` (J,), exactly."""
    pairs = zip(C.tolist(), d.tolist(), strict=True)
    return [
        sum((Fraction(c) * s for c, s in zip(row, scores, strict=True) if c != 0), Fraction(last))
        for row, last in pairs
    ]


def _size(op: Linear) -> int:
    match op:
        case Affine(weight=weight) | Conv(weight=weight):
            return math.prod(op.output_shape) * math.prod(weight.shape[1:])
        case _:
            return math.prod(op.output_shape)


def _fraction(integer: int, exponent: int) -> Fraction:
    return Fraction(integer << exponent) if exponent >= 0 else Fraction(integer, 1 << -exponent)


def _dyadic(values: np.ndarray[Any, np.dtype[np.float64]]) -> _Dyadic | None:
    """Floats over their smallest exponent; None where they are not finite or too far apart."""
    if not bool(np.isfinite(values).all()):
        return None
    mantissa, power = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)  # exact: a float64 has 53 bits
    nonzero = whole != 0
    # float32 numbers and small integers end in zero bits; without them the products stay short.
    zeros = np.frexp((whole & -whole).astype(np.float64))[1].astype(np.int64) - 1
    zeros = np.where(nonzero, zeros, 0)
    power = power.astype(np.int64) - 53 + zeros
    if not bool(nonzero.any()):
        return _Dyadic(whole.astype(object), 0)
    least = int(power[nonzero].min())
    if int(power[nonzero].max()) - least > _DIGITS:
        return None
    shift = np.where(nonzero, power - least, 0)
    return _Dyadic((whole >> zeros).astype(object) << shift.astype(object), least)


def _linear(op: Linear, v: _Dyadic) -> _Dyadic | None:
    matrix = op.matrix()
    weight = _dyadic(matrix.data)
    if weight is None:
        return None
    product = _Dyadic(_product(matrix, weight.integers, v.integers), weight.exponent + v.exponent)
    if op.bias is None:
        return product
    bias = _dyadic(op.full_bias().detach().double().cpu().reshape(-1).numpy())
    return None if bias is None else _sum(product, bias)


def _product(matrix: sp.csr_array, weight: Integers, v: Integers) -> Integers:
    """The sparse matrix with ``weight`` as its entries, times ``v``, a block of rows at a time."""
    ends = matrix.indptr.astype(np.int64)
    result = np.zeros(matrix.shape[0], dtype=object)
    first = 0
    while first < matrix.shape[0]:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + _BLOCK, side="right")) - 1)
        entries = slice(ends[first], ends[last])
        terms = weight[entries] * v[matrix.indices[entries]]
        filled = first + np.flatnonzero(np.diff(ends[first : last + 1]))  # reduceat takes no empty row
        if len(filled):
            result[filled] = np.add.reduceat(terms, ends[filled] - ends[first])
        first = last
    return result


def _sum(a: _Dyadic, b: _Dyadic) -> _Dyadic:
    least = min(a.exponent, b.exponent)
    return _Dyadic(a.at(least) + b.at(least), least)


def _concat(parts: list[_Dyadic], shapes: list[tuple[int, ...]], axis: int) -> _Dyadic:
    least = min(part.exponent for part in parts)
    shaped = [part.at(least).reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return _Dyadic(np.concatenate(shaped, axis=axis).reshape(-1), least)
