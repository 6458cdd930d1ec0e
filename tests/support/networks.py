"""Questions about small networks, and points of regions."""

from __future__ import annotations

from fractions import Fraction

import torch

from verify.network import Network
from verify.region import Box, ball, box
from verify.selftest.networks import CLASSES, network
from verify.specification import Query, classification


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
