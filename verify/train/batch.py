"""What every loss is about: a batch, the network it meets, and the region around each input."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

from verify.errors import UsageError
from verify.network import Network
from verify.region import Box, ball
from verify.specification import Specification, classification
from verify.train.live import Bound, Live, trace

Model: TypeAlias = "nn.Module | Live | Bound | Network"
"""What a loss takes: a module (traced anew at every call: trace it once with :func:`verify.train.trace` in a loop), a traced
one, one that is bound to this very batch, or a network whose tensors may require gradients."""

Region: TypeAlias = "Box | float | str | Fraction"
"""A region of the inputs, or the radius of the l_inf ball inside [0, 1]."""


@dataclass(frozen=True)
class Batch:
    """Inputs ``x`` (B, *shape), their labels (B,) and regions, the network and its scores at x; all of one dtype and device."""

    network: Network
    scores: Tensor
    x: Tensor
    labels: Tensor
    region: Box
    specification: Specification

    def clean(self) -> Tensor:
        """Mean cross-entropy at the inputs."""
        return F.cross_entropy(self.scores, self.labels)

    def at(self, points: Tensor) -> Tensor:
        """Mean cross-entropy at ``points`` (B, *shape)."""
        return F.cross_entropy(self.network(points), self.labels)


def batch_of(model: Model, x: Tensor, labels: Tensor, region: Region) -> Batch:
    """The batch behind a loss. Raises UsageError for labels outside the scores, and what :func:`verify.train.trace` raises."""
    if not x.is_floating_point():
        raise UsageError(f"the inputs are {x.dtype}: scale them to floating-point numbers")
    if labels.shape != (len(x),) or labels.is_floating_point():
        raise UsageError(
            f"{len(x)} inputs need as many whole labels, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    bound = bound_to(model, x)
    spec = classification(labels.cpu(), bound.network.outputs)
    C, d = (t.to(device=x.device, dtype=bound.scores.dtype) for t in (spec.C, spec.d))
    spec = Specification(C, d, spec.targets.to(x.device))
    return Batch(bound.network, bound.scores, x, labels, region_of(x, region), spec)


def bound_to(model: Model, x: Tensor) -> Bound:
    """The network of the model at this moment, with its scores at ``x``."""
    match model:
        case Bound():
            return model
        case Live():
            return model.bind(x)
        case Network():
            network = model.to(dtype=x.dtype, device=x.device)
            return Bound(network, network(x))
        case _:
            return trace(model, x.shape[1:]).bind(x)


def region_of(x: Tensor, region: Region) -> Box:
    """The region around ``x`` (B, *shape), in its dtype and on its device."""
    found = region if isinstance(region, Box) else ball(x.detach(), region, clip=(0, 1))
    return found.to(dtype=x.dtype, device=x.device)
