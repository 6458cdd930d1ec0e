"""torch's operators with windows or reductions: pools, adaptive pools, means, sums, maxima."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from verify.errors import UnsupportedOperator
from verify.load.builder import Builder, Value
from verify.load.windows import Axis, explicit, window_counts, window_positions

Rule = Callable[..., Any]


def sizes(value: Any, count: int) -> list[int]:
    """``count`` integers from a number, a list of one, or a list of all."""
    listed = [int(v) for v in value] if isinstance(value, Sequence) else [int(value)]
    return listed * count if len(listed) == 1 else listed


def max_pool(count: int) -> Rule:
    """Max pooling over the last ``count`` axes."""

    def rule(
        b: Builder, x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool = False
    ) -> Value:
        axes = _axes(b, x, sizes(kernel, count), stride, padding, dilation, ceil_mode)
        return b.max_pool(x, _windows(x, axes))

    return rule


def average_pool(count: int) -> Rule:
    """Average pooling over the last ``count`` axes: a convolution with ones, divided by how many were counted."""

    def rule(
        b: Builder,
        x: Value,
        kernel: Any,
        stride: Any,
        padding: Any,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None = None,
    ) -> Value:
        axes = _axes(b, x, sizes(kernel, count), stride, padding, 1, ceil_mode)
        counts = window_counts(axes, include_padding=count_include_pad)
        if divisor_override is not None:
            counts = torch.full_like(counts, float(divisor_override))
        return b.divide(_window_sums(b, x, axes), counts)

    return rule


def _window_sums(b: Builder, x: Value, axes: list[Axis]) -> Value:
    lead, rows = x.shape[: -len(axes)], axes if len(axes) == 2 else [explicit(1, 1, 1, 1, (0, 0)), *axes]
    channels = math.prod(lead)
    image = b.reshape(x, (1, channels, *(axis.size for axis in rows)))
    ones = torch.ones(channels, 1, *(axis.kernel for axis in rows))
    before, after = [axis.before for axis in rows], [_after(axis) for axis in rows]
    stride = [axis.stride for axis in rows]
    sums = b.conv(image, ones, stride=stride, padding=(*before, *after), groups=channels)
    return b.reshape(sums, (*lead, *(axis.outputs for axis in axes)))


def _after(axis: Axis) -> int:
    """Padding after the last entry, as much as the last window needs; as before, where that changes nothing."""
    needed = (axis.outputs - 1) * axis.stride + axis.kernel - axis.before - axis.size
    same = needed <= axis.before and axis.before - needed < axis.stride
    return axis.before if same else max(needed, 0)


def adaptive_average_pool(count: int) -> Rule:
    """Average pooling to a given size."""

    def rule(b: Builder, x: Value, output_size: Any) -> Value:
        index = _adaptive_windows(x, output_size, count)
        return b.average_pool(x, index, (index >= 0).sum(-1).double())

    return rule


def adaptive_max_pool(count: int) -> Rule:
    """Max pooling to a given size; the positions that torch also returns are not followed."""

    def rule(b: Builder, x: Value, output_size: Any) -> list[Any]:
        return [b.max_pool(x, _adaptive_windows(x, output_size, count)), None]

    return rule


def mean(b: Builder, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
    """The mean over some axes, or all."""
    windows, shape = _reduced(x, b.positions(x), dims, keepdim)
    return b.reshape(b.average_pool(x, windows, torch.tensor(float(windows.shape[-1]))), shape)


def total(b: Builder, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
    """The sum over some axes, or all."""
    windows, shape = _reduced(x, b.positions(x), dims, keepdim)
    ones = torch.ones(1, windows.shape[-1], dtype=torch.float64)
    return b.reshape(b.affine(b.select(x, windows), ones), shape)


def amax(b: Builder, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
    """The maximum over some axes, or all."""
    windows, shape = _reduced(x, b.positions(x), dims, keepdim)
    return b.reshape(b.max_pool(x, windows), shape)


def amin(b: Builder, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
    """The minimum over some axes, or all."""
    return b.scale(amax(b, b.scale(x, -1.0), dims, keepdim), -1.0)


def _axes(
    b: Builder, x: Value, kernels: list[int], stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> list[Axis]:
    count = len(kernels)
    strides = kernels if stride is None or stride == [] else sizes(stride, count)
    rows = zip(x.shape[-count:], kernels, strides, sizes(padding, count), sizes(dilation, count), strict=True)
    axes = [explicit(n, k, s, d, (p, p), ceil=ceil_mode) for n, k, s, p, d in rows]
    if any(axis.outputs < 1 for axis in axes):
        attribute = f"a window of {kernels} on an input of {list(x.shape[-count:])}"
        raise UnsupportedOperator(b.here, b.here_op, attribute)
    return axes


def _windows(x: Value, axes: list[Axis]) -> Tensor:
    lead = x.shape[: -len(axes)]
    found = window_positions(math.prod(lead), axes)
    return found.reshape(*lead, *found.shape[1:])


def _adaptive_windows(x: Value, output_size: Any, count: int) -> Tensor:
    """Positions (*x.shape[:-count], *outputs, k): window i covers floor(i n / m) to ceil((i + 1) n / m); -1 fills up."""
    asked = list(output_size) if isinstance(output_size, Sequence) else [output_size] * count
    index = torch.arange(math.prod(x.shape)).reshape(*x.shape, 1)
    first = len(x.shape) - count
    for axis, (n, wanted) in enumerate(zip(x.shape[first:], asked, strict=True), start=first):
        m = n if wanted is None else int(wanted)
        start = torch.arange(m) * n // m
        length = -((-(torch.arange(m) + 1) * n) // m) - start
        covered = start[:, None] + torch.arange(int(length.max()))
        inside = torch.arange(int(length.max())) < length[:, None]
        picked = index.movedim(axis, 0)[covered.clamp(max=n - 1)]  # (m, k, the other axes, what was covered so far)
        picked = torch.where(inside.reshape(*inside.shape, *[1] * (picked.dim() - 2)), picked, -1)
        index = picked.movedim(1, -1).movedim(0, axis).flatten(-2)
    return index


def _reduced(x: Value, positions: Tensor, dims: Any, keepdim: bool) -> tuple[Tensor, tuple[int, ...]]:
    """Positions (*kept axes, k) of what is reduced together, and the result's shape."""
    listed = [dims] if isinstance(dims, int) else list(dims or [])
    gone = {int(d) % len(x.shape) for d in listed} or set(range(len(x.shape)))
    kept = [d for d in range(len(x.shape)) if d not in gone]
    windows = positions.permute(*kept, *sorted(gone)).reshape(*(x.shape[d] for d in kept), -1)
    shape = tuple(1 if d in gone else n for d, n in enumerate(x.shape)) if keepdim else tuple(x.shape[d] for d in kept)
    return windows, shape
