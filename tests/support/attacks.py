"""Small networks on which attacks have something to find."""

from __future__ import annotations

from dataclasses import replace

import torch

from verify.network import Network
from verify.selftest.networks import network


def last_changed(net: Network, change) -> Network:
    """The network with another weight and bias in its last layer: ``change(weight, bias)``."""
    *front, last = net.nodes
    weight, bias = change(last.operator.weight, last.operator.full_bias())
    return replace(net, nodes=(*front, replace(last, operator=replace(last.operator, weight=weight, bias=bias))))


def balanced(kind: str, seed: int) -> Network:
    """The network of a kind and a seed, with every class equally high on average over random inputs in [0, 1]."""
    net = network(kind, seed)
    x = torch.rand(200, *net.input_shape, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    return last_changed(net, lambda weight, bias: (weight, bias - net(x).mean(0)))


def inputs(net: Network, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random float32 inputs in [0, 1] (count, *shape), and the classes that the network gives them."""
    x = torch.rand(count, *net.input_shape, generator=torch.Generator().manual_seed(seed))
    return x, net(x.double()).argmax(1)
