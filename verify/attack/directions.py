"""Which way to go: the steepest direction of each norm, and the lowest point of a linear loss over the region."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from verify.attack.aim import is_round
from verify.region import Box

Direction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Gradients (N, n) and shares (N, 1) -> moves (N, n) of length 1 that lower a linear function fastest."""

_SHARE = 0.01
"""Share of the coordinates that an l1 step moves: its steepest direction is one coordinate, and one at a time is slow."""


def signs(gradient: Tensor, share: Tensor) -> Tensor:
    """Every coordinate by the same amount."""
    return -gradient.sign()


def straight(gradient: Tensor, share: Tensor) -> Tensor:
    """Against the gradient."""
    length: Tensor = gradient.norm(dim=1, keepdim=True)
    return -gradient / length.clamp(min=torch.finfo(gradient.dtype).tiny)


def sparse(gradient: Tensor, share: Tensor) -> Tensor:
    """The ``share`` of the coordinates with the largest slopes, all alike (Tramer and Boneh 2019)."""
    size = gradient.abs()
    count = (share * size.shape[1]).round().clamp(1, size.shape[1]).long()
    level = size.topk(int(count.max()), dim=1).values.gather(1, count - 1)
    # Signs and products, as in verify.projection: 1 where the size is above 0 and at least the level, else 0.
    chosen = ((size - level).sign() + 1).clamp(max=1) * size.sign()
    move: Tensor = -gradient.sign() * chosen / chosen.sum(1, keepdim=True).clamp(min=1)
    return move


DIRECTIONS: Mapping[str, Direction] = {"linf": signs, "l2": straight, "l1": sparse}


def steepest(region: Box, norm: str, x: Tensor, gradient: Tensor, share: Tensor | None = None) -> Tensor:
    """The move (N, *shape) of length 1 in ``norm`` that lowers the loss fastest; a gradient that is NaN moves nothing.

    Round balls spend nothing on coordinates at their wall, since others can use it; in a box none loses by it.
    """
    flat = gradient.nan_to_num(0.0, 0.0, 0.0).flatten(1)
    if norm != "linf":
        uphill = flat.sign()
        down, up = (room.flatten(1).sign().clamp(min=0) for room in (x - region.inner_lower, region.inner_upper - x))
        # Gradients as small as 1e-38 count as much as others, and must not underflow when they are squared.
        largest = flat.abs().amax(1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
        flat = flat / largest * torch.maximum(uphill * down, -uphill * up)
    if share is None:
        share = torch.full((len(flat), 1), _SHARE, dtype=flat.dtype, device=flat.device)
    return DIRECTIONS[norm](flat, share).reshape(x.shape)


def lowest(region: Box, centre: Tensor, gradient: Tensor) -> Tensor:
    """The point of the region where the linear loss is lowest; coordinates without a slope stay in the centre."""
    gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
    if is_round(region):
        # In float64, whose range the closed forms need.
        largest = gradient.flatten(1).abs().amax(1).reshape(-1, *[1] * (gradient.dim() - 1)).double()
        slope = torch.where(largest > 0, gradient.double() / largest, 0.0)
        return region.to(dtype=torch.float64).minimiser(slope).to(gradient.dtype)
    wall = torch.where(gradient > 0, region.inner_lower, region.inner_upper)
    return torch.where(gradient == 0, centre, wall)


def share_moved(x: Tensor, centre: Tensor) -> Tensor:
    """The share of its coordinates in which each of ``x`` (N, *shape) differs from the centre, (N, 1), one of them at least."""
    moved = (x != centre).flatten(1)
    return moved.sum(1, keepdim=True).clamp(min=1).to(x.dtype) / moved.shape[1]
