"""Adversarial points for training: gradient steps in the module's own arithmetic, cheap and unproven.

The steps and projections are those of :mod:`verify.attack`; what is left out is everything that makes a finding a
counterexample. Evaluating a trained network is :func:`verify.attack`'s or :func:`verify.train.error_rates`'s work.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.attack.directions import lowest, steepest
from verify.attack.starts import sample
from verify.network import Network
from verify.region import NORMS, Box

_REACH = 2.5  # steps together are this many radii long (Madry et al. 2018)


def one_step(network: Network, x: Tensor, labels: Tensor, region: Box) -> Tensor:
    """FGSM: where the linearised cross-entropy is highest over the region, (B, *shape)."""
    return lowest(region, x, -_slope(network, x, labels)).detach()


def several_steps(
    network: Network,
    x: Tensor,
    labels: Tensor,
    region: Box,
    *,
    steps: int,
    size: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """PGD: steepest ascent of cross-entropy, projected, (B, *shape); the last point, as Danskin's theorem has it.

    ``size`` of a step in units of the input (default 2.5 radii over all steps). It starts at ``x``, or at a random point
    where a ``generator`` (of the CPU) is given.
    """
    norm = next((name for name, kind in NORMS.items() if type(region) is kind), "linf")
    radius = float(getattr(region, "epsilon", None) or region.reach().amax())
    size = _REACH * radius / steps if size is None else size
    point = x.detach() if generator is None else random_points(region, generator)
    for _ in range(steps):
        move = steepest(region, norm, point, -_slope(network, point, labels))
        point = region.project(point.add(move, alpha=size))
    return point


def random_points(region: Box, generator: torch.Generator) -> Tensor:
    """One random point for each input, (B, *shape), uniform where the region is a box."""
    share = torch.rand(region.lower.shape, generator=generator, dtype=region.lower.dtype)
    return sample(region, share.to(region.lower.device))


def _slope(network: Network, x: Tensor, labels: Tensor) -> Tensor:
    """The gradient of each input's cross-entropy, (B, *shape)."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(network(leaf), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient
