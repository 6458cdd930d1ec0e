"""Small networks of every shape that the bounds must survive, made from a seed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch

from verify.load.builder import Builder, Value
from verify.network import Network
from verify.region import Box, ball, box
from verify.specification import Query, classification

CLASSES = 3


def weights(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Normal weights of about unit gain, a fifth of them exactly zero."""
    w = torch.randn(*shape, generator=generator, dtype=torch.float64) / max(1.0, shape[-1] ** 0.5)
    return w * (torch.rand(*shape, generator=generator) > 0.2)


def _layer(b: Builder, x: Value, size: int, g: torch.Generator) -> Value:
    return b.affine(x, weights(g, size, x.shape[-1]), weights(g, size))


def mlp(g: torch.Generator) -> Network:
    b = Builder()
    x = b.input((1, 4))
    x = b.relu(_layer(b, x, 4, g))
    x = b.relu(_layer(b, x, 3, g))
    return b.finish(_layer(b, x, CLASSES, g))


def residual(g: torch.Generator) -> Network:
    b = Builder()
    x = b.input((1, 3))
    h = b.relu(_layer(b, x, 3, g))
    y = b.relu(_layer(b, h, 3, g))
    return b.finish(_layer(b, b.add(b.add(h, y), x), CLASSES, g))


def convolution(g: torch.Generator) -> Network:
    b = Builder()
    x = b.input((1, 1, 4, 3))
    x = b.relu(b.conv(x, weights(g, 2, 1, 2, 2), weights(g, 2), stride=(2, 2), padding=(1, 0, 0, 1)))
    x = b.scale(x, weights(g, 2, 1, 1) + 0.5, weights(g, 2, 1, 1))
    return b.finish(_layer(b, b.reshape(x, (1, -1)), CLASSES, g))


def rewritten(g: torch.Generator) -> Network:
    """Leaky ReLU, clipping and a maximum, all of them rewritten into ReLUs."""
    b = Builder()
    x = b.input((1, 3))
    h = b.leaky_relu(_layer(b, x, 2, g), 0.1)
    h = b.clip(h, -0.5, 0.75)
    m = b.maximum(b.select(h, torch.tensor([[0]])), b.select(h, torch.tensor([[1]])))
    return b.finish(_layer(b, b.concat([h, m], 1), CLASSES, g))


def branches(g: torch.Generator) -> Network:
    """Two ReLU layers side by side, which know nothing of each other, and their difference."""
    b = Builder()
    x = b.input((1, 2))
    left, right = b.relu(_layer(b, x, 2, g)), b.relu(_layer(b, x, 2, g))
    apart = b.subtract(left, right)
    return b.finish(_layer(b, b.concat([b.relu(apart), apart], 1), CLASSES, g))


def dead_and_stable(g: torch.Generator) -> Network:
    """Units that are never on, always on, and whose bounds touch zero exactly."""
    b = Builder()
    x = b.input((1, 2))
    w = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [-1.0, 2.0]], dtype=torch.float64)
    x = b.relu(b.affine(x, w, torch.tensor([0.0, -9.0, 0.0, 9.0], dtype=torch.float64)))
    return b.finish(_layer(b, x, CLASSES, g))


def linear(g: torch.Generator) -> Network:
    b = Builder()
    return b.finish(_layer(b, _layer(b, b.input((1, 4)), 5, g), CLASSES, g))


KINDS: dict[str, Callable[[torch.Generator], Network]] = {
    "mlp": mlp,
    "residual": residual,
    "convolution": convolution,
    "rewritten": rewritten,
    "branches": branches,
    "dead_and_stable": dead_and_stable,
    "linear": linear,
}


def network(kind: str, seed: int) -> Network:
    """The network of a kind and a seed."""
    return KINDS[kind](torch.Generator().manual_seed(seed))


def query(kind: str, seed: int, epsilon: str = "0.3", norm: str = "linf", count: int = 1) -> Query:
    """A classification query around random inputs in [0, 1], labelled as the network labels them, clipped to [0, 1]."""
    net = network(kind, seed)
    g = torch.Generator().manual_seed(seed + 1)
    centre = torch.rand(count, *net.input_shape, generator=g, dtype=torch.float64)
    labels = net(centre).argmax(1)
    return Query(net, ball(centre, Fraction(epsilon), norm=norm, clip=(0, 1)), classification(labels, CLASSES))


def samples(region: Box, count: int, seed: int = 0) -> torch.Tensor:
    """Random points and random corners of the first input's region, projected: (count, *shape)."""
    g = torch.Generator().manual_seed(seed)
    one = region.select(torch.zeros(count, dtype=torch.long))
    share = torch.rand(one.lower.shape, generator=g, dtype=torch.float64)
    corner = torch.rand(count, *[1] * (share.dim() - 1), generator=g) < 0.5
    share = torch.where(corner, share.round(), share)
    return one.project(one.lower + share * (one.upper - one.lower))


def point_query(net: Network, x: torch.Tensor, label: int) -> Query:
    """A region of a single point."""
    return Query(net, box(x[None], x[None]), classification(torch.tensor([label]), net.outputs))
