"""Points of a region that are float32 numbers: what a deployed network can be given."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.region import Box, L1Ball, L2Ball


def representable(region: Box, x: Tensor) -> Tensor:
    """The points ``x`` (B, *shape), projected, as float32 numbers inside the region where there are any; all float64.

    A counterexample in float32 is one that the deployed network can be given. Near the surface of an l_2 or l_1 ball
    the point is drawn towards the centre by less than a ten-thousandth of the way, so that rounding leaves it inside.
    """
    x = region.project(x)
    # Not the middle of a clipped ball's box: that may lie on the ball's surface, and the way to it along a flat side.
    inward = region.centre if isinstance(region, (L1Ball, L2Ball)) else (region.lower + region.upper) / 2
    middle = region.project(inward)
    result, open_ = x.clone(), torch.ones(len(x), dtype=torch.bool)
    for pull in (0.0, 2.0**-22, 2.0**-18, 2.0**-14):
        moved = _rounded_inside(region, middle + (x - middle) * (1.0 - pull) if pull else x)
        fits = open_ & region.contains(moved)
        result[fits] = moved[fits]
        open_ &= ~fits
        if not bool(open_.any()):
            break
    return result


def _rounded_inside(region: Box, x: Tensor) -> Tensor:
    rounded = x.to(torch.float32)
    for end, towards in ((region.inner_lower, torch.inf), (region.inner_upper, -torch.inf)):
        beyond = rounded.double() < end if towards > 0 else rounded.double() > end
        step = torch.nextafter(rounded, torch.full_like(rounded, towards))
        rounded = torch.where(beyond, step, rounded)
    return rounded.double()
