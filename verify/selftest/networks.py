"""Small networks of every shape that the bounds must survive, made from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from verify.load.builder import Builder, Value
from verify.network import Network
from verify.operators import Linear

CLASSES = 3


def weights(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Normal weights of about unit gain, a fifth of them exactly zero."""
    w: torch.Tensor = torch.randn(*shape, generator=generator, dtype=torch.float64) / max(1.0, shape[-1] ** 0.5)
    return torch.mul(w, torch.rand(*shape, generator=generator) > 0.2)


def _layer(b: Builder, x: Value, size: int, g: torch.Generator) -> Value:
    return b.affine(x, weights(g, size, x.shape[-1]), weights(g, size))


def mlp(g: torch.Generator) -> Network:
    """Two layers of ReLUs."""
    b = Builder()
    x = b.input((1, 4))
    x = b.relu(_layer(b, x, 4, g))
    x = b.relu(_layer(b, x, 3, g))
    return b.finish(_layer(b, x, CLASSES, g))


def residual(g: torch.Generator) -> Network:
    """A layer whose input is added to its output."""
    b = Builder()
    x = b.input((1, 3))
    h = b.relu(_layer(b, x, 3, g))
    y = b.relu(_layer(b, h, 3, g))
    return b.finish(_layer(b, b.add(b.add(h, y), x), CLASSES, g))


def convolution(g: torch.Generator) -> Network:
    """A strided convolution with padding on some sides, scaled, then a dense layer."""
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
    """No ReLUs."""
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


def cancelling(g: torch.Generator) -> Network:
    """Values of 1e7 whose sums are about 1, so that roundings are a billion times larger than elsewhere."""
    inner, outer = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((8, 4), (4, 8)))
    inner = 1e7 * (inner - torch.linalg.pinv(outer) @ (outer @ inner))
    b = Builder()
    x = b.affine(b.input((1, 4)), inner, weights(g, 8))
    return b.finish(_layer(b, b.relu(b.affine(x, outer, weights(g, 4))), CLASSES, g))


def as_stored(network: Network) -> Network:
    """The network with its numbers rounded to float32, as if its file had held these."""
    small = network.to(dtype=torch.float32).to(dtype=torch.float64)
    nodes = [
        replace(n, operator=replace(n.operator, weight_ulps=0, bias_error=None))
        if isinstance(n.operator, Linear)
        else n
        for n in small.nodes
    ]
    return replace(small, nodes=tuple(nodes))
