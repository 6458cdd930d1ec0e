"""The windows of convolutions and pools: where each starts, which positions it covers, what padding is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """One spatial axis: ``size`` entries, ``before`` and ``after`` of padding, ``outputs`` windows."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    outputs: int

    def covered(self) -> Tensor:
        """Position of entry k of window o, (outputs, kernel); outside 0..size-1 in the padding and beyond."""
        start = torch.arange(self.outputs) * self.stride - self.before
        return start[:, None] + torch.arange(self.kernel) * self.dilation

    def padded(self) -> Tensor:
        """Whether entry k of window o lies in the padded input: the overhang of ``ceil_mode`` does not."""
        covered = self.covered()
        return (covered >= -self.before) & (covered < self.size + self.after)


def explicit(size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], *, ceil: bool = False) -> Axis:
    """An axis with given padding; with ``ceil`` a last window may hang over, unless it starts in the padding after.

    ``outputs`` is 0 or less where the window does not fit.
    """
    room = size + sum(pads) - (dilation * (kernel - 1) + 1)
    outputs = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (outputs - 1) * stride >= size + pads[0]:
        outputs -= 1
    return Axis(size, kernel, stride, dilation, pads[0], pads[1], outputs)


def same(size: int, kernel: int, stride: int, dilation: int, *, upper: bool) -> Axis:
    """An axis padded so that there are ``ceil(size / stride)`` windows; the odd entry after (upper) or before."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    before = total // 2 if upper else total - total // 2
    return Axis(size, kernel, stride, dilation, before, total - before, outputs)


def window_positions(lead: int, axes: Sequence[Axis]) -> Tensor:
    """Positions (lead, *outputs, k) in a flattened (lead, *sizes), -1 for padding; k runs over the kernel."""
    n = len(axes)
    position = torch.zeros([1] * (2 * n), dtype=torch.int64)
    inside = torch.ones([1] * (2 * n), dtype=torch.bool)
    for a, axis in enumerate(axes):
        covered = _along(axis.covered(), a, n)
        position = position * axis.size + covered
        inside = inside & (covered >= 0) & (covered < axis.size)
    outputs = [axis.outputs for axis in axes]
    kernel = math.prod(axis.kernel for axis in axes)
    flat, kept = position.reshape(*outputs, kernel), inside.reshape(*outputs, kernel)
    first = torch.arange(lead) * math.prod(axis.size for axis in axes)
    return torch.where(kept, first.reshape(-1, *[1] * (n + 1)) + flat, -1)


def window_counts(axes: Sequence[Axis], *, include_padding: bool) -> Tensor:
    """How many entries each window averages over, (*outputs,), float64."""
    counts = torch.ones([1] * len(axes), dtype=torch.float64)
    for a, axis in enumerate(axes):
        covered = axis.covered()
        counted = axis.padded() if include_padding else (covered >= 0) & (covered < axis.size)
        view = [1] * len(axes)
        view[a] = axis.outputs
        counts = counts * counted.sum(1).reshape(view)
    return counts


def _along(covered: Tensor, axis: int, axes: int) -> Tensor:
    view = [1] * (2 * axes)
    view[axis], view[axes + axis] = covered.shape
    return covered.reshape(view)
