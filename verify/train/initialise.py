"""What keeps interval bounds from exploding at the start: IBP initialisation and two regularisers (Shi et al. 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from verify.bounds.compute import node_bounds
from verify.bounds.nouns import Interval
from verify.network import Network
from verify.region import Box

_TOLERATED = 0.5  # below half of what would be ideal the regularisers begin to pull, the paper's choice


def ibp_initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Weights of Linear and Conv2d from N(0, 2 pi / fan_in^2), biases 0, in place: intervals then keep their width."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                fan = layer.weight[0].numel()
                drawn = torch.randn(layer.weight.shape, generator=generator) * (math.sqrt(2 * math.pi) / fan)
                layer.weight.copy_(drawn)
                if layer.bias is not None:
                    layer.bias.zero_()


def regulariser(network: Network, region: Box) -> Tensor:
    """Tightness and balance of the pre-activation intervals, averaged over the layers of ReLUs; 0 where all is well.

    Tightness: intervals of a layer not wider than twice those of the input, on average. Balance: active and inactive
    neurons have means, and variances, that differ by no more than a factor of two (Shi et al. 2021, section 3.3).
    """
    bounds = node_bounds(network, region, rounding=False)
    width = _radius(bounds.values[0])
    total = torch.zeros((), dtype=width.dtype, device=width.device)
    for pre in bounds.pre.values():
        centre = (pre.lower + pre.upper) / 2
        active, inactive = (pre.lower > 0).to(centre.dtype), (pre.upper < 0).to(centre.dtype)
        total = total + _short(width / _radius(pre).clamp(min=torch.finfo(width.dtype).tiny))
        total = total + _short(_alike((centre * active).mean(), -(centre * inactive).mean()))
        total = total + _short(_alike((centre**2 * active).mean(), (centre**2 * inactive).mean()))
    return total / max(1, len(bounds.pre))


def _radius(interval: Interval) -> Tensor:
    return (interval.upper - interval.lower).mean() / 2


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """The smaller over the larger; 1 where either is 0, since then no layer is out of balance but dead."""
    if not (bool(a > 0) and bool(b > 0)):
        return torch.ones_like(a)
    return torch.minimum(a / b, b / a)


def _short(ratio: Tensor) -> Tensor:
    """How far below what is tolerated a ratio is, as a share of it."""
    return (_TOLERATED - ratio).clamp(min=0) / _TOLERATED
