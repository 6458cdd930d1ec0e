"""Convolutions see little of an image: each place is bounded over the windows that it depends on, many places at once.

Behind convolutions and ReLUs alone, the neurons at place (y, x) depend on a window of every node before them. The windows of all
places have one shape, so one small network without padding serves them: every place is an input of it, whose region and
bounds are the windows. What sticks out of an image is pixels that are 0, and neurons that never fire, on which no form keeps a
coefficient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.bounds.nouns import Bounds, Interval
from verify.bounds.relaxation import Lines
from verify.bounds.scope import CACHE_BYTES, Scope, Tightener
from verify.network import Network, Node
from verify.operators import Conv, Input, ReLU, Reshape
from verify.region import Box
from verify.verdict import Evidence

WORTH = 0.5  # windows that are less than this of the nodes are worth it
ROWS = 16  # so many of each place, at the places that are bounded at once, fit the cache
NEVER = -1.0  # a pre-activation of which the ReLU makes 0, by a line whose slope is 0


def in_windows(tighten: Tightener, lines: Callable[[Bounds], Mapping[int, Lines]] | None = None) -> Tightener:
    """``tighten``, asked about windows where those are much smaller than the nodes.

    Recomputed and trusted: what ``tighten`` does; a window of bounds that hold, holds. ``lines``: how a record is told of
    it, where ``tighten`` takes the same lines for all rows; without it, what is recorded is not windowed.
    """

    def windowed(scope: Scope) -> tuple[Interval, Evidence]:
        chain = None if scope.record is not None and lines is None else chain_to(scope)
        if chain is None:
            return tighten(scope)
        if scope.record is not None and lines is not None:
            scope.record.neurons(scope.start, scope.index, scope.bounds, lines(scope.bounds))
        return _joined(scope, chain, tighten)

    return windowed


@dataclass(frozen=True)
class Chain:
    """Convolutions and ReLUs by turns, from the input to node ``start``: ``nodes`` are their positions, the input's first.

    ``windows``: of each, the window of the place (y, x): ``size`` (h, w) from ``stride * (y, x) - margin`` on.
    """

    nodes: list[int]
    windows: list[_Window]


@dataclass(frozen=True)
class _Window:
    size: tuple[int, int]
    stride: tuple[int, int]
    margin: tuple[int, int]

    def before(self, op: Conv) -> _Window:
        """The window that a convolution reads for this one."""
        each = zip(
            self.size, self.stride, self.margin, op.weight.shape[2:], op.stride, op.padding, op.dilation, strict=True
        )
        (h, a, m), (w, b, n) = [
            ((size - 1) * step + apart * (kernel - 1) + 1, stride * step, margin * step + pad)
            for size, stride, margin, kernel, step, pad, apart in each
        ]
        return _Window((h, w), (a, b), (m, n))

    def of(self, t: Tensor, places: tuple[int, int], beyond: float = 0.0) -> Tensor:
        """The windows (places, channels, h, w) of a tensor (1, channels, height, width), which is ``beyond`` outside."""
        pad: list[int] = []
        for axis in (1, 0):
            end = (places[axis] - 1) * self.stride[axis] - self.margin[axis] + self.size[axis]
            pad += [self.margin[axis], max(0, end - t.shape[2 + axis])]
        views = (
            F.pad(t, pad, value=beyond).unfold(2, self.size[0], self.stride[0]).unfold(3, self.size[1], self.stride[1])
        )
        return views[0, :, : places[0], : places[1]].permute(1, 2, 0, 3, 4).flatten(0, 1)


def chain_to(scope: Scope) -> Chain | None:
    """The chain to the scope's node, where windows are worth it: behind a ReLU, over boxes, small, all weights exact."""
    network, i = scope.network, scope.start
    positions, windows = [i], [_Window((1, 1), (1, 1), (0, 0))]
    if not scope.region.is_box:
        return None
    while not isinstance(network.nodes[i].operator, Input):
        node = network.nodes[i]
        op, wanted = node.operator, ReLU if len(positions) % 2 == 0 else Conv
        if not isinstance(op, wanted) or (isinstance(op, Conv) and (op.bias_error is not None or op.weight_ulps)):
            return None
        windows.insert(0, windows[0].before(op) if isinstance(op, Conv) else windows[0])
        i = node.inputs[0]
        positions.insert(0, i)
    sizes = [
        (network.nodes[k].shape[0] * math.prod(w.size), network.nodes[k].shape)
        for k, w in zip(positions, windows, strict=True)
    ]
    small = all(size <= math.prod(shape) for size, shape in sizes)
    whole = sum(math.prod(shape) for _, shape in sizes[:-1])
    worth = len(positions) > 2 and small and sum(size for size, _ in sizes[:-1]) < WORTH * whole
    return Chain(positions, windows) if worth else None


def _joined(scope: Scope, chain: Chain, tighten: Tightener) -> tuple[Interval, Evidence]:
    """What ``tighten`` says of the scope's neurons, one input after another, some places at once."""
    known, evidence = scope.bounds.values[scope.start], scope.bounds.evidence
    lower, upper = known.lower.flatten(1).clone(), known.upper.flatten(1).clone()
    count, channels, *image = known.lower.shape
    wanted = torch.zeros_like(lower, dtype=torch.bool)
    wanted[:, scope.index] = scope.wanted
    network, last = _small(scope.network, chain), len(chain.nodes) - 1
    widest = max(math.prod(node.shape) for node in network.nodes)
    at_once = max(1, CACHE_BYTES // (2 * ROWS * widest * known.lower.element_size()))
    for i in range(count):
        at = wanted[i].unflatten(0, (channels, math.prod(image))).T  # (places, channels)
        region, bounds = _windowed(scope.bounds.select(torch.tensor([i])), chain, (image[0], image[1]))
        for places in at.any(1).nonzero().squeeze(1).split(at_once):
            index = at[places].any(0).nonzero().squeeze(1)
            part = Scope(network, region.select(places), bounds.select(places), last, index, at[places][:, index])
            found, how = tighten(part)
            neurons, evidence = index * math.prod(image) + places.unsqueeze(1), min(evidence, how)
            lower[i, neurons], upper[i, neurons] = found.lower, found.upper
    return Interval(lower[:, scope.index], upper[:, scope.index]), evidence


def _small(network: Network, chain: Chain) -> Network:
    """The chain's nodes over windows: the same convolutions without padding."""
    nodes: list[Node] = []
    for k, (i, window) in enumerate(zip(chain.nodes, chain.windows, strict=True)):
        node = network.nodes[i]
        match node.operator:
            case Conv() as op:
                operator: Conv | ReLU | Input = replace(op, input_shape=nodes[-1].shape, padding=(0, 0))
            case ReLU():
                operator = ReLU(output_shape=nodes[-1].shape)
            case _:
                operator = Input(output_shape=(node.shape[0], *window.size))
        nodes.append(Node(node.name, operator, (k - 1,) if k else ()))
    channels = nodes[-1].shape[0]
    scores = Node("scores", Reshape(input_shape=nodes[-1].shape, shape=(channels,)), (len(nodes) - 1,))
    return replace(network, nodes=(*nodes, scores))


def _windowed(bounds: Bounds, chain: Chain, image: tuple[int, int]) -> tuple[Box, Bounds]:
    """The windows of one input's region and bounds: an input each for every place of the image."""

    def both(window: _Window, interval: Interval, beyond: float = 0.0) -> Interval:
        return Interval(window.of(interval.lower, image, beyond), window.of(interval.upper, image, beyond))

    along = list(zip(chain.nodes, chain.windows, strict=True))
    values = tuple(both(window, bounds.values[i]) for i, window in along)
    pre = {k: both(window, bounds.pre[i], NEVER) for k, (i, window) in enumerate(along) if i in bounds.pre}
    slack = tuple(None if (loss := bounds.slack[i]) is None else window.of(loss, image) for i, window in along)
    underflow = bounds.underflow.expand(math.prod(image))
    low, high = values[0].lower, values[0].upper
    return Box(low, high, low, high), Bounds(values, pre, slack, underflow, bounds.source, bounds.evidence)
