"""Projections and steps to a half-space are the nearest points, which optimality conditions and small programs say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from verify.attack.directions import lowest, steepest
from verify.attack.hyperplane import nearest
from verify.region import ball

NORMS = ("linf", "l2", "l1")
LENGTH = {"linf": lambda d: d.abs().amax(1), "l2": lambda d: d.norm(dim=1), "l1": lambda d: d.abs().sum(1)}
_GRID = st.integers(-16, 24).map(lambda k: k / 8)


def _region(centre, epsilon, norm):
    return ball(torch.tensor([centre], dtype=torch.float64), epsilon, norm=norm, clip=(0, 1))


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_projection_is_the_nearest_point_of_ball_and_box(norm, data):
    size = data.draw(st.integers(1, 5))
    centre = data.draw(st.lists(st.integers(0, 4).map(lambda k: k / 4), min_size=size, max_size=size))
    x = torch.tensor([data.draw(st.lists(_GRID, min_size=size, max_size=size))], dtype=torch.float64)
    region = _region(
        centre, data.draw(st.sampled_from([Fraction(0), Fraction(1, 8), Fraction(1, 2), Fraction(1)])), norm
    )
    p = region.project(x)
    assert bool((p >= region.inner_lower).all() and (p <= region.inner_upper).all())
    assert float(LENGTH[norm](p - region.centre)) <= float(region.epsilon) * (1 + 1e-9)
    # p is nearest iff no point z of the region has (x - p) . (z - p) > 0, and the region knows its own best z.
    best = region.minimiser(p - x)
    assert float(((x - p) * (best - p)).sum()) <= 1e-8


@pytest.mark.parametrize("x", [[-0.0078, 0.25, 0.0078], [0.25, 0.25, 0.25], [0.0, 0.3, 0.0], [2.0, 2.0, -0.01]])
def test_a_newton_step_to_the_end_of_its_bracket_ends_the_search(x):
    region = ball(torch.zeros(1, 3).double(), Fraction(1, 4), norm="l1")
    p = region.project(torch.tensor([x]).double())
    assert float(p.abs().sum()) == pytest.approx(0.25, abs=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_a_projection_of_an_image_in_float32_is_that_of_float64(norm):
    g = torch.Generator().manual_seed(0)
    centre = torch.rand(3, 1, 28, 28, generator=g)
    centre[centre < 0.5] = 0  # many pixels at their wall
    x = centre + 0.3 * torch.randn(centre.shape, generator=g)
    region = ball(centre, {"linf": "0.1", "l2": "1.5", "l1": "8"}[norm], norm=norm, clip=(0, 1))
    exact = region.project(x.double())
    assert (region.to(dtype=torch.float32).project(x) - exact).abs().max() < 1e-5


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("norm", NORMS)
def test_the_step_to_a_half_space_is_the_shortest_within_the_box(norm, seed):
    g = torch.Generator().manual_seed(seed)
    size = 4
    slope, x = torch.randn(1, size, generator=g).double(), torch.rand(1, size, generator=g).double()
    slope[0, seed % size] = 0.0
    lower, upper = torch.zeros(1, size).double(), torch.ones(1, size).double()
    most = (slope * torch.where(slope > 0, x, x - 1)).sum()  # how far the box lets the linear function fall
    gap = (most * (0.2 + 0.07 * seed)).reshape(1)  # beyond 1 from seed 12 on
    d = nearest(norm, slope, gap, x, lower, upper)
    assert bool((x + d >= -1e-12).all() and (x + d <= 1 + 1e-12).all())
    assert float((slope * d).sum() + gap) == pytest.approx(0, abs=1e-9)
    assert float(LENGTH[norm](d)) == pytest.approx(_shortest(norm, slope[0], float(gap), x[0]), abs=1e-5)


def _shortest(norm, slope, gap, x):
    w, low, high = slope.numpy(), -x.numpy(), 1 - x.numpy()
    n = len(w)
    if norm == "l2":
        start = np.where(w > 0, low, high)
        rule = {"type": "eq", "fun": lambda d: w @ d + gap, "jac": lambda d: w}
        found = minimize(
            lambda d: d @ d,
            start,
            jac=lambda d: 2 * d,
            bounds=list(zip(low, high, strict=True)),
            constraints=rule,
            tol=1e-14,
        )
        return float(np.sqrt(found.fun))
    eye, extra = np.eye(n), (np.ones((n, 1)) if norm == "linf" else np.eye(n))
    above = np.vstack([np.hstack([eye, -extra]), np.hstack([-eye, -extra])])
    cost = np.r_[np.zeros(n), np.ones(extra.shape[1])]
    bounds = [*zip(low, high, strict=True), *[(0, None)] * extra.shape[1]]
    equal = np.r_[w, np.zeros(extra.shape[1])][None]
    return linprog(cost, A_ub=above, b_ub=np.zeros(2 * n), A_eq=equal, b_eq=[-gap], bounds=bounds).fun


@pytest.mark.parametrize("norm", NORMS)
def test_a_half_space_that_the_box_hides_is_approached_as_far_as_the_box_goes(norm):
    one, zero = torch.ones(1, 3).double(), torch.zeros(1, 3).double()
    d = nearest(norm, one, torch.tensor([9.0]).double(), 0.5 * one, zero, one)
    assert torch.equal(d, -0.5 * one)


@pytest.mark.parametrize("norm", NORMS)
def test_the_lowest_point_of_a_linear_loss_is_lower_than_any_other(norm):
    g = torch.Generator().manual_seed(3)
    centre = torch.rand(4, 9, generator=g).double()
    region = ball(centre, Fraction(1, 4), norm=norm, clip=(0, 1))
    slope = torch.randn(4, 9, generator=g).double()
    low = (slope * lowest(region, centre, slope)).sum(1)
    assert bool((low <= region.minimise(slope.unsqueeze(1)).squeeze(1) + 1e-9).all())
    assert torch.equal(lowest(region, centre, 0 * slope), centre)


@pytest.mark.parametrize("norm", NORMS)
def test_a_step_has_length_one_and_spends_nothing_on_coordinates_at_their_wall(norm):
    centre = torch.tensor([[0.0, 0.5, 1.0, 0.5]]).double()
    region = ball(centre, Fraction(1, 4), norm=norm, clip=(0, 1))
    d = steepest(region, norm, centre, torch.tensor([[3.0, 1.0, -3.0, -2.0]]).double())
    # (a sign step may point outside: the projection takes it back, and no other coordinate could use it)
    assert norm == "linf" or (d[0, 0] == 0 and d[0, 2] == 0)
    assert float(LENGTH[norm](d)) == pytest.approx(1)
    assert torch.equal(steepest(region, norm, centre, torch.zeros(1, 4).double()), torch.zeros(1, 4).double())
