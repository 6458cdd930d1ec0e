"""The plane around one input that the margin's own slope and a random direction span, and what networks say on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import verify

QUANTITIES = ("margin", "loss")
_BATCH = 512  # points evaluated at once

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """``values[k, i, j]`` of network k at ``x + along[j] s_k + across[i] r``: (K, M, M), in plain float32 arithmetic.

    ``s_k`` is the sign of the gradient against which network k's margin falls, ``r`` random signs, the same for all; such a
    point is ``|along| + |across|`` away from x in the l_inf norm (unless clipped). ``quantity``: ``margin``, the label's score less
    the highest other, or ``loss``, the label's cross-entropy in nats.
    """

    names: tuple[str, ...]
    quantity: str
    label: int
    epsilon: float
    along: Values
    across: Values
    values: Values


def surface(
    networks: Sequence[verify.Network],
    x: Any,
    label: int,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    quantity: str = "margin",
    reach: float = 1.5,
    points: int = 41,
    seed: int = 0,
) -> Surface:
    """The margin or loss of ``networks`` around the input ``x`` of class ``label``, ``points`` in each direction.

    The plane goes ``reach`` times ``epsilon`` either way, its points clipped to ``clip``; ``seed`` draws the random direction.
    Raises UsageError for anything that does not fit.
    """
    radius = float(verify.parse_decimal(epsilon))
    if quantity not in QUANTITIES:
        raise verify.UsageError(f"unknown quantity {quantity!r}: choose from {', '.join(QUANTITIES)}")
    if points < 3 or not (math.isfinite(reach) and reach > 0) or radius <= 0:
        raise verify.UsageError(
            f"points is {points}, reach {reach}, epsilon {epsilon}: give 3 points at least, and lengths above 0"
        )
    if not networks:
        raise verify.UsageError("there are no networks: give at least one")
    offsets = torch.linspace(-reach * radius, reach * radius, points)
    ends = None if clip is None else tuple(float(verify.parse_decimal(end, "clip")) for end in clip)
    values = [_values(network, x, int(label), offsets, ends, quantity, seed) for network in networks]
    names = tuple(network.source.rsplit("/", 1)[-1] or f"network {k}" for k, network in enumerate(networks))
    steps = offsets.double().numpy()
    return Surface(names, quantity, int(label), radius, steps, steps, np.stack(values))


def _values(
    network: verify.Network,
    x: Any,
    label: int,
    offsets: Tensor,
    ends: tuple[float, ...] | None,
    quantity: str,
    seed: int,
) -> Values:
    """What one network says at every point of its plane, (M, M): rows across, columns along."""
    if not 0 <= label < network.outputs:
        raise verify.UsageError(f"label {label} is out of range: the network has {network.outputs} outputs")
    tensor = torch.as_tensor(np.asarray(x)).float()
    if tensor.numel() != math.prod(network.input_shape):
        raise verify.UsageError(f"the network takes an input of shape {network.input_shape}, got {tuple(tensor.shape)}")
    module, centre = verify.as_module(network), tensor.reshape(1, *network.input_shape)
    leaf = centre.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_margin(module(leaf), label).sum(), leaf)
    downhill = -gradient.sign()
    signs = torch.randint(2, centre.shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0
    along, across = offsets.repeat(len(offsets)), offsets.repeat_interleave(len(offsets))
    wide = (-1, *[1] * len(network.input_shape))
    found = []
    with torch.no_grad():
        for a, b in zip(along.split(_BATCH), across.split(_BATCH), strict=True):
            where = centre + a.reshape(wide) * downhill + b.reshape(wide) * signs
            scores = module(where if ends is None else where.clamp(*ends))
            found.append(_margin(scores, label) if quantity == "margin" else _loss(scores, label))
    return torch.cat(found).double().reshape(len(offsets), -1).numpy()


def _margin(scores: Tensor, label: int) -> Tensor:
    others = scores.clone()
    others[:, label] = -torch.inf
    return scores[:, label] - others.amax(1)


def _loss(scores: Tensor, label: int) -> Tensor:
    return scores.logsumexp(1) - scores[:, label]
