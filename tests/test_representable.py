"""A point that can be a float32 number inside its region becomes one."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from verify.region import ball, box
from verify.representable import representable


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_points_on_the_surface_become_float32_numbers_inside(norm):
    g = torch.Generator().manual_seed(0)
    region = ball(torch.rand(1, 30, generator=g, dtype=torch.float64), Fraction(1, 10), norm=norm, clip=(0, 1))
    region = region.select(torch.zeros(50, dtype=torch.long))
    far = torch.randn(50, 30, generator=g, dtype=torch.float64) * 10
    moved = representable(region, far)
    assert bool(region.contains(moved).all())
    assert torch.equal(moved.float().double(), moved)
    assert float((moved - region.project(far)).abs().max()) < 1e-5


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_points_on_a_flat_side_of_a_clipped_ball_become_float32_numbers_inside(norm):
    # Here the middle of the bounding box, projected, lies on the ball's surface itself.
    g = torch.Generator().manual_seed(0)
    region = ball(torch.rand(200, 12, generator=g).double(), Fraction(3, 5), norm=norm, clip=(0, 1))
    far = region.lower + torch.rand(200, 12, generator=g).double() * (region.upper - region.lower)
    moved = representable(region, far)
    assert bool(region.contains(moved).all())
    assert torch.equal(moved.float().double(), moved)


def test_a_float32_number_of_the_region_stays():
    x = torch.rand(5, 3).double()
    assert torch.equal(representable(box(torch.zeros(5, 3), torch.ones(5, 3)), x), x)


def test_where_no_float32_number_fits_the_point_stays():
    x = torch.full((1, 3), 0.1, dtype=torch.float64)
    assert torch.equal(representable(box(x, x), x + 1), x)
