"""Strided convolutions of a search: the transpose as one convolution and a reordering, a few times as quick.

``a W`` for a stride s puts into each pixel only the kernel entries whose offset from it is a multiple of s. So pixels that
agree modulo s are one stride-1 convolution of ``a`` with a part of the kernel; all s^2 of those are done at once and interleaved.
For searches in float32: the order of summation is whatever the convolution takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.network import Network, Node
from verify.operators import Conv

MOST_CHANNELS = 8  # of the input: with more, the interleaving convolution wastes what it saves


@dataclass(frozen=True, kw_only=True)
class Strided(Conv):
    """A convolution with its kernel cut up: ``parts`` (in channels * s^2, out channels, k, k), over ``a`` padded by ``pad``."""

    parts: Tensor
    pad: tuple[int, int, int, int]

    def transpose(self, a: Tensor) -> Tensor:
        found = F.pixel_shuffle(F.conv2d(F.pad(a, self.pad), self.parts), self.stride[0])
        return found[:, :, : self.input_shape[1], : self.input_shape[2]]


def for_search(network: Network) -> Network:
    """A float32 copy of the network with such convolutions where they are quicker."""
    small = network.to(dtype=torch.float32)
    return replace(small, nodes=tuple(_quicker(node) for node in small.nodes))


def _quicker(node: Node) -> Node:
    op = node.operator
    if not isinstance(op, Conv) or op.groups > 1 or op.dilation != (1, 1) or op.input_shape[0] > MOST_CHANNELS:
        return node
    if op.stride[0] != op.stride[1] or op.stride[0] == 1:
        return node
    return replace(node, operator=strided(op))


def strided(op: Conv) -> Strided:
    """The convolution with its kernel cut up; ungrouped, undilated, with one stride for both axes."""
    s, (out, channels, *kernel) = op.stride[0], op.weight.shape
    axes = [_offsets(k, s, p) for k, p in zip(kernel, op.padding, strict=True)]
    parts = op.weight.new_zeros(channels, s, s, out, *(high - low + 1 for low, high in axes))
    for r in range(s):
        for q in range(s):
            for i in range(parts.shape[4]):
                for j in range(parts.shape[5]):
                    at = [
                        phase + p - s * (low + t)
                        for phase, p, (low, _), t in zip((r, q), op.padding, axes, (i, j), strict=True)
                    ]
                    if all(0 <= x < k for x, k in zip(at, kernel, strict=True)):
                        parts[:, r, q, :, i, j] = op.weight[:, :, at[0], at[1]].T
    pad: list[int] = []
    for n, m, (low, high) in zip(op.input_shape[:0:-1], op.output_shape[:0:-1], reversed(axes), strict=True):
        pad += [-low, math.ceil(n / s) - 1 + high - (m - 1)]
    common = {
        f: getattr(op, f) for f in ("input_shape", "bias", "weight_ulps", "bias_error", "weight", "stride", "padding")
    }
    return Strided(**common, parts=parts.flatten(0, 2), pad=(pad[0], pad[1], pad[2], pad[3]))


def _offsets(kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Which outputs a pixel is read by, from the first to the last, relative to its number over the stride."""
    return math.ceil((padding - kernel + 1) / stride), (stride - 1 + padding) // stride
