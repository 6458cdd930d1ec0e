"""Regions are what was asked for: decimals read exactly, ends rounded outwards, minima exact up to paid-for rounding."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from verify.errors import UsageError
from verify.floating import parse_decimal, shift_above, shift_below
from verify.region import NORMS, ball, box

finite = st.floats(-1e6, 1e6, allow_subnormal=True)


@given(x=finite, epsilon=st.decimals(0, 100, places=6))
def test_the_ends_contain_the_exact_ball_and_are_tight(x, epsilon):
    radius = Fraction(epsilon)
    value = torch.tensor([x], dtype=torch.float64)
    low, high = float(shift_below(value, radius)), float(shift_above(value, radius))
    assert Fraction(low) <= Fraction(x) - radius and Fraction(high) >= Fraction(x) + radius
    # Tight: one step of the result, and one of the radius where that is larger (the radius is rounded first).
    step = Fraction(math.ulp(max(abs(low), abs(high), float(radius))))
    assert low >= Fraction(x) - radius - 2 * step and high <= Fraction(x) + radius + 2 * step


def test_a_radius_of_zero_moves_nothing():
    x = torch.rand(3, 5, dtype=torch.float64)
    region = ball(x, 0)
    assert torch.equal(region.lower, x) and torch.equal(region.upper, x)


@pytest.mark.parametrize(
    ("text", "value"), [("0.1", Fraction(1, 10)), (0.1, Fraction(1, 10)), ("8/255", Fraction(8, 255))]
)
def test_decimals_are_read_as_typed(text, value):
    assert parse_decimal(text) == value


@pytest.mark.parametrize("text", ["nan", "inf", "", "ten", "1/0", math.nan])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(UsageError, match=r"epsilon is .*: give a finite number"):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": -0.1}, "must not be negative"),
        ({"epsilon": 0.1, "norm": "l7"}, "unknown norm 'l7': choose from linf, l2, l1"),
        ({"epsilon": 8, "clip": (0, 1)}, "give epsilon in the data's units"),
        ({"epsilon": 0.1, "clip": (1, 0)}, "the first must be below the second"),
        ({"epsilon": 0.1, "clip": (0, 0.1)}, "outside clip"),
    ],
)
def test_bad_regions_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        ball(torch.full((1, 4), 0.5), **arguments)


def test_a_nan_input_is_refused():
    with pytest.raises(UsageError, match="NaN"):
        ball(torch.tensor([[math.nan]]), 0.1)


def _ball(norm, seed, epsilon=0.4, clip=(0, 1)):
    g = torch.Generator().manual_seed(seed)
    return ball(torch.rand(2, 6, generator=g, dtype=torch.float64), epsilon, norm=norm, clip=clip)


def _true_minimum(region, a, norm):
    """scipy's answer for one input: LP for the polyhedral norms, SLSQP for the round one."""
    low, high, c = (t[0].numpy() for t in (region.lower, region.upper, region.centre))
    eps, n = float(region.epsilon), len(a)
    if norm == "linf":
        return np.minimum(a * low, a * high).sum()
    if norm == "l1":
        A = np.block([[np.eye(n), -np.eye(n)], [-np.eye(n), -np.eye(n)], [np.zeros((1, n)), np.ones((1, n))]])
        b = np.concatenate([c, -c, [eps]])
        bounds = list(zip(low, high, strict=True)) + [(0, None)] * n
        return linprog(np.concatenate([a, np.zeros(n)]), A_ub=A, b_ub=b, bounds=bounds).fun
    best = minimize(
        lambda x: a @ x,
        c,
        jac=lambda x: a,
        bounds=list(zip(low, high, strict=True)),
        constraints={"type": "ineq", "fun": lambda x: eps**2 - ((x - c) ** 2).sum(), "jac": lambda x: -2 * (x - c)},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return best.fun


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("epsilon", ["0.05", "0.4", "1"])
def test_the_minimum_of_a_linear_form_is_exact_over_ball_and_box(norm, seed, epsilon):
    region = _ball(norm, seed, epsilon)
    a = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    a[0, 1, 2:4] = 0.0
    bound = region.minimise(a)
    for s in range(3):
        truth = _true_minimum(region, a[0, s].numpy(), norm)
        assert float(bound[0, s]) == pytest.approx(truth, abs=1e-6)
    negated = region.minimise_both(a)
    assert torch.equal(negated[0], bound) and torch.allclose(negated[1], region.minimise(-a))


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize("seed", range(6))
def test_no_point_of_the_region_is_below_the_minimum_in_exact_arithmetic(norm, seed):
    region = _ball(norm, seed)
    a = torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 10.0**seed
    bound = region.minimise(a)
    g = torch.Generator().manual_seed(seed)
    points = [region.sample(g) for _ in range(20)] + [region.minimiser(row.expand(2, -1)) for row in a[0]]
    for x in points:
        for s in range(4):
            exact = sum(Fraction(v) * Fraction(w) for v, w in zip(a[0, s].tolist(), x[0].tolist(), strict=True))
            assert Fraction(float(bound[0, s])) <= exact


@pytest.mark.parametrize("norm", list(NORMS))
def test_the_minimiser_attains_the_minimum_and_is_inside(norm):
    region = _ball(norm, 5)
    a = torch.randn(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = region.minimiser(a)
    assert bool(region.contains(x).all())
    assert torch.allclose((a * x).sum(1), region.minimise(a.unsqueeze(1)).squeeze(1), atol=1e-6)


@pytest.mark.parametrize("norm", list(NORMS))
def test_projection_lands_inside_and_leaves_inner_points_alone(norm):
    region = _ball(norm, 2)
    g = torch.Generator().manual_seed(0)
    far = torch.randn(2, 6, generator=g, dtype=torch.float64) * 3
    assert bool(region.contains(region.project(far)).all())
    inner = region.centre + 0.01 * (region.project(far) - region.centre)
    assert torch.allclose(region.project(inner), inner, atol=1e-9)


@pytest.mark.parametrize("norm", list(NORMS))
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_no_point_of_the_region_is_nearer_than_the_projection(norm, seed, scale):
    region = _ball(norm, seed)
    x = region.centre + scale * torch.randn(2, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[0, :2] = region.centre[0, :2]  # coordinates that need not move at all
    nearest = region.project(x)
    way = nearest - x  # the region lies on the far side of the plane through the nearest point
    least = region.minimise(way.unsqueeze(1)).squeeze(1)
    assert torch.allclose(least, (way * nearest).sum(1), atol=1e-6 * scale)


def test_membership_has_no_tolerance():
    region = ball(torch.tensor([[0.5, 0.5]], dtype=torch.float64), "0.1", clip=(0, 1))
    edge = torch.tensor([[0.6, 0.5]], dtype=torch.float64)  # the double 0.6 lies below 6/10: inside
    assert bool(region.contains(edge).all())
    assert not bool(region.contains(torch.nextafter(edge, torch.ones_like(edge))).all())


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), shrink=st.sampled_from([0.1, 0.5, 0.9]))
def test_a_larger_region_never_raises_a_minimum(seed, shrink):
    a = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for norm in NORMS:
        small = _ball(norm, seed, Fraction(shrink) * Fraction(2, 5)).minimise(a)
        large = _ball(norm, seed, Fraction(2, 5)).minimise(a)
        assert bool((large <= small + 1e-9).all())  # 1e-9: both carry their own rounding


def test_an_empty_box_is_refused():
    with pytest.raises(UsageError, match="region is empty"):
        box(torch.tensor([[1.0]]), torch.tensor([[0.0]]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("epsilon", ["0.1", "0.4", "1", "2"])
def test_the_gradient_of_the_least_value_over_an_l2_ball_is_its_minimiser(epsilon, dtype):
    """Also where coefficients are 0 or walls stop every coordinate, which gave NaN and ended every slope search at once."""
    g = torch.Generator().manual_seed(0)
    region = ball(torch.rand(1, 5, generator=g, dtype=torch.float64), epsilon, norm="l2", clip=(0, 1)).to(dtype=dtype)
    a = torch.randn(1, 40, 5, generator=g).to(dtype) * (torch.rand(1, 40, 5, generator=g) > 0.4)
    a[0, 0] = 0
    a.requires_grad_()
    (gradient,) = torch.autograd.grad(region.minimise(a).sum(), a)
    point = region.select(torch.zeros(40).long()).minimiser(a.detach()[0])
    assert bool(gradient.isfinite().all())
    assert torch.allclose(gradient[0][a[0] != 0], point[a[0] != 0], atol=1e-6)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1.0, 1e6])
def test_membership_of_a_round_ball_is_exact_however_close_to_its_surface(norm, scale):
    g = torch.Generator().manual_seed(0)
    centre = torch.randn(1, 7, generator=g, dtype=torch.float64) * scale
    region = ball(centre, Fraction(0.75 * scale), norm=norm).select(torch.zeros(60).long())
    away = torch.randn(60, 7, generator=g, dtype=torch.float64)
    away = away / away.norm(p=2 if norm == "l2" else 1, dim=1, keepdim=True)
    steps = (
        1
        + torch.arange(-30, 30).unsqueeze(1).double() * torch.tensor([2.0**-53, 2.0**-50, 2.0**-30]).repeat(20)[:, None]
    )
    x = centre + away * (0.75 * scale) * steps
    offsets = [[Fraction(v) - Fraction(c) for v, c in zip(p, centre[0].tolist(), strict=True)] for p in x.tolist()]
    exact = [region._exactly_within(o) for o in offsets]
    assert region.contains(x).tolist() == exact
    assert True in exact and False in exact
