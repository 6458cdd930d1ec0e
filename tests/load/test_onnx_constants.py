"""Arithmetic between constants says how far it may be from the real numbers, and never too little."""

from fractions import Fraction

import numpy as np
import pytest

from verify.errors import LoadError
from verify.floating import UNIT
from verify.load.onnx_constants import Constant, add, divide, matmul, multiply, square_root, subtract

RNG = np.random.default_rng(5)


def float32s(*shape, spread=4):
    return Constant((RNG.normal(size=shape) * 10.0 ** RNG.integers(-spread, spread, shape)).astype(np.float32) * 1.0)


def exact(constant):
    return [Fraction(float(v)) for v in constant.array.reshape(-1)]


def within(result, truth):
    room = [result.ulps * Fraction(UNIT) * abs(Fraction(float(v))) for v in result.array.reshape(-1)]
    return all(abs(t - r) <= e for t, r, e in zip(truth, exact(result), room, strict=True))


def test_products_of_float32_numbers_are_exact():
    a, b = (Constant(RNG.normal(size=50).astype(np.float32).astype(np.float64)) for _ in range(2))
    product = multiply(a, b)
    assert product.ulps == 0 and within(product, [x * y for x, y in zip(exact(a), exact(b), strict=True)])


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_of_operations_stays_within_its_error(seed):
    rng = np.random.default_rng(seed)
    a, b, c, d = (Constant(rng.normal(size=20)) for _ in range(4))
    result = divide(subtract(multiply(multiply(a, b), c), d), add(multiply(b, b), Constant(np.array(0.1))))
    truth = [
        (x * y * z - w) / (y * y + Fraction(0.1))
        for x, y, z, w in zip(exact(a), exact(b), exact(c), exact(d), strict=True)
    ]
    assert result.ulps > 0 and within(result, truth)


def test_a_matrix_product_pays_for_each_dot_product():
    a, b = Constant(RNG.normal(size=(3, 40))), Constant(RNG.normal(size=(40, 2)))
    left, right = (np.array(exact(c), dtype=object).reshape(c.shape) for c in (a, b))
    assert within(matmul(a, b), list((left @ right).reshape(-1)))


def test_sums_are_exact_when_nothing_is_lost():
    assert add(Constant(np.array([0.5])), Constant(np.array([2.0]))).ulps == 0
    assert add(Constant(np.array([1.0])), Constant(np.array([1e-30]))).ulps == 1


def test_integers_are_divided_towards_zero():
    assert divide(Constant(np.array([-7, 7])), Constant(np.array([2, 2]))).array.tolist() == [-3, 3]


def test_the_square_root_is_within_its_error():
    x = Constant(np.array([2.0, 3.0, 1e-5]))
    root = square_root(x)
    for r, v in zip(exact(root), exact(x), strict=True):
        low, high = r * (1 - root.ulps * Fraction(UNIT)), r * (1 + root.ulps * Fraction(UNIT))
        assert low * low <= v <= high * high


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda: divide(Constant(np.ones(1)), Constant(np.zeros(1))), "divided by zero"),
        (lambda: square_root(Constant(-np.ones(1))), "square root of a negative"),
        (lambda: multiply(Constant(np.array(1e-200)), Constant(np.array(1e-200))), "smallest normal"),
        (lambda: subtract(divide(Constant(np.ones(1)), Constant(np.array(3.0))), Constant(np.array(1 / 3))), "cancels"),
    ],
)
def test_what_cannot_be_bounded_is_refused(operation, message):
    with pytest.raises(LoadError, match=message):
        operation()
