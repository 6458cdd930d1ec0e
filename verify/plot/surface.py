"""The plane around one input that the margin's own slope and a random direction span, and what networks say on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import verify

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
    if quantity not in QUANTITIES:
        raise verify.UsageError(f"unknown quantity {quantity!r}: choose from {', '.join(QUANTITIES)}")
    if not networks:
        raise verify.UsageError("there are no networks: give at least one")
    asked = verify.ball(torch.as_tensor(x).detach().cpu().unsqueeze(0), epsilon, clip=clip)
    radius = float(asked.epsilon)
    if points < 3 or not (math.isfinite(reach) and reach > 0) or radius == 0:
        raise verify.UsageError(
            f"points is {points}, reach {reach}, epsilon {epsilon}: give 3 points at least, and lengths above 0"
        )
    offsets = torch.linspace(-reach * radius, reach * radius, points)
    ends = None if asked.clip is None else (float(asked.clip[0]), float(asked.clip[1]))
    plane = _Plane(asked.centre.float(), int(label), offsets, ends, seed)
    values = np.stack([_values(network, plane, quantity) for network in networks])
    names = tuple(network.source.rsplit("/", 1)[-1] or f"network {k}" for k, network in enumerate(networks))
    steps = offsets.double().numpy()
    return Surface(names, quantity, int(label), radius, steps, steps, values)


@dataclass(frozen=True)
class _Plane:
    """Where networks are asked: ``centre`` (1, ...), the class there, the steps (M,), the ends of valid inputs."""

    centre: Tensor
    label: int
    offsets: Tensor
    ends: tuple[float, float] | None
    seed: int


def _values(network: verify.Network, plane: _Plane, quantity: str) -> Values:
    """What one network says at every point of its plane, (M, M): rows across, columns along."""
    label, offsets = plane.label, plane.offsets
    if not 0 <= label < network.outputs:
        raise verify.UsageError(f"label {label} is out of range: the network has {network.outputs} outputs")
    if plane.centre.numel() != math.prod(network.input_shape):
        shape = tuple(plane.centre.shape[1:])
        raise verify.UsageError(f"the network takes an input of shape {network.input_shape}, got {shape}")
    module, centre = verify.as_module(network), plane.centre.reshape(1, *network.input_shape)
    leaf = centre.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_margin(module(leaf), label).sum(), leaf)
    downhill = -gradient.sign()
    signs = torch.randint(2, centre.shape, generator=torch.Generator().manual_seed(plane.seed)) * 2.0 - 1.0
    along, across = offsets.repeat(len(offsets)), offsets.repeat_interleave(len(offsets))
    wide = (-1, *[1] * len(network.input_shape))
    found = []
    with torch.no_grad():
        for a, b in zip(along.split(_BATCH), across.split(_BATCH), strict=True):
            where = centre + a.reshape(wide) * downhill + b.reshape(wide) * signs
            scores = module(where if plane.ends is None else where.clamp(*plane.ends))
            found.append(QUANTITIES[quantity](scores, label))
    return torch.cat(found).double().reshape(len(offsets), -1).numpy()


def _margin(scores: Tensor, label: int) -> Tensor:
    others = scores.clone()
    others[:, label] = -torch.inf
    return scores[:, label] - others.amax(1)


def _loss(scores: Tensor, label: int) -> Tensor:
    return scores.logsumexp(1) - scores[:, label]


QUANTITIES: Mapping[str, Callable[[Tensor, int], Tensor]] = {"margin": _margin, "loss": _loss}
"""Scores (N, classes) and the label -> (N,)."""
