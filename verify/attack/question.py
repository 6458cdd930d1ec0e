"""From a user's arrays to the question an attack answers, checked once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from verify.errors import UsageError
from verify.floating import float_above, float_below, parse_decimal
from verify.network import Network
from verify.region import NORMS, Box, ball
from verify.specification import Query, Specification, classification

Clip: TypeAlias = "tuple[float | str | Fraction, float | str | Fraction] | None"
Epsilon: TypeAlias = "Fraction | float | str | None"

_DIAMETER = {"linf": lambda n: 1.0, "l2": math.sqrt, "l1": float}


@dataclass(frozen=True)
class Question:
    """What is attacked: the query in float64, the inputs (N, *shape) and labels (N,), and which classes may win.

    ``epsilon`` None stands for "however far"; ``aimed``: every run aims at one class.
    """

    query: Query
    centre: Tensor
    labels: Tensor
    allowed: Tensor
    norm: str
    epsilon: Fraction | None
    clip: tuple[Fraction, Fraction] | None
    aimed: bool = False

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.labels)

    @property
    def valid(self) -> Box:
        """The box of valid inputs, one row for all: clip, or everything."""
        low, high = (
            (-math.inf, math.inf) if self.clip is None else (float_above(self.clip[0]), float_below(self.clip[1]))
        )
        lower, upper = torch.full_like(self.centre[:1], low), torch.full_like(self.centre[:1], high)
        return Box(lower, upper, lower, upper)

    def select(self, index: Tensor) -> Question:
        """The question about the inputs ``index`` (k,)."""
        query, centre = self.query.select(index), self.centre[index]
        return replace(self, query=query, centre=centre, labels=self.labels[index], allowed=self.allowed[index])

    def of(self, network: Network) -> Question:
        """The same question about another network."""
        if network.input_shape != self.query.network.input_shape or network.outputs != self.query.network.outputs:
            raise UsageError(
                f"networks must agree: {self.query.network.input_shape} -> {self.query.network.outputs} scores against "
                f"{network.input_shape} -> {network.outputs}"
            )
        return replace(self, query=Query(network, self.query.region, self.query.specification))

    def within(self, epsilon: Epsilon) -> Question:
        """The same question for another radius; None for all valid inputs."""
        region, radius = _region(self.centre, epsilon, self.norm, self.clip)
        return replace(self, query=Query(self.query.network, region, self.query.specification), epsilon=radius)


def question(
    network: Network, inputs: Any, labels: Any, *, epsilon: Epsilon, norm: str, clip: Clip, targets: Any
) -> Question:
    """The question behind :func:`verify.attack.api.attack`; raises UsageError for anything that does not fit."""
    centre, classes = _inputs(network, inputs), _labels(labels)
    if classes.shape != (len(centre),):
        raise UsageError(f"{len(centre)} inputs need as many labels, got {tuple(classes.shape)}")
    if not len(centre):
        raise UsageError("there are no inputs: the selection is empty")
    if norm not in NORMS:
        raise UsageError(f"unknown norm {norm!r}: choose from {', '.join(NORMS)}")
    ends = None if clip is None else (parse_decimal(clip[0], "clip"), parse_decimal(clip[1], "clip"))
    region, radius = _region(centre, epsilon, norm, ends)
    specification = classification(classes, network.outputs)
    allowed = torch.ones(len(classes), network.outputs, dtype=torch.bool).scatter(1, classes.unsqueeze(1), False)
    if isinstance(targets, str) and targets != "all":
        raise UsageError(f"targets is {targets!r}: give None, 'all' or a class for each input")
    if targets is not None and not isinstance(targets, str):
        specification, allowed = _towards(specification, allowed, _labels(targets, "targets"), classes)
    return Question(
        Query(network, region, specification), centre, classes, allowed, norm, radius, ends, targets is not None
    )


def _inputs(network: Network, x: Any) -> Tensor:
    try:
        tensor = x.detach().cpu() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
        tensor = tensor.to(torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"the inputs are not an array of numbers ({error})") from None
    wanted = network.input_shape
    size = math.prod(wanted)
    if tensor.dim() == 0 or tensor.numel() != len(tensor) * size:
        raise UsageError(f"the network takes inputs of shape {('N', *wanted)}, got {tuple(tensor.shape)}")
    return tensor.reshape(-1, *wanted)


def _labels(labels: Any, name: str = "labels") -> Tensor:
    tensor = labels.detach().cpu() if isinstance(labels, Tensor) else torch.as_tensor(np.asarray(labels))
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise UsageError(f"{name} are {tensor.dtype}: give whole numbers, the classes 0, 1, ...")
    return tensor.long()


def _region(
    centre: Tensor, epsilon: Epsilon, norm: str, clip: tuple[Fraction, Fraction] | None
) -> tuple[Box, Fraction | None]:
    """The region and its radius. Without a radius it holds every valid input, or, without clip, whatever the inputs span."""
    ends = None if clip is None else (str(clip[0]), str(clip[1]))
    if epsilon is not None and not (isinstance(epsilon, float) and epsilon == math.inf):
        radius = parse_decimal(epsilon)
        return ball(centre, radius, norm=norm, clip=ends), radius
    if clip is None:
        widest = max(1.0, 4 * float(centre.abs().max()))
    else:
        widest = float(clip[1] - clip[0])
    return ball(centre, Fraction(widest * _DIAMETER[norm](centre[0].numel())), norm=norm, clip=ends), None


def _towards(
    specification: Specification, allowed: Tensor, targets: Tensor, labels: Tensor
) -> tuple[Specification, Tensor]:
    """Only the rows of the given classes."""
    if targets.shape != labels.shape:
        raise UsageError(f"{len(labels)} inputs need as many targets, got {tuple(targets.shape)}")
    wrong = targets[(targets < 0) | (targets >= allowed.shape[1])]
    if len(wrong):
        raise UsageError(f"target {int(wrong[0])} is out of range: the network has {allowed.shape[1]} outputs")
    same = (targets == labels).nonzero().flatten()
    if len(same):
        raise UsageError(f"the target of input {int(same[0])} is its label {int(labels[same[0]])}: give another class")
    row = (specification.targets == targets.unsqueeze(1)).to(torch.int8).argmax(1)
    pick = torch.arange(len(labels))
    rows = Specification(
        *(t[pick, row].unsqueeze(1) for t in (specification.C, specification.d, specification.targets))
    )
    return rows, torch.zeros_like(allowed).scatter(1, targets.unsqueeze(1), True)


def names(networks: Sequence[Network]) -> tuple[str, ...]:
    """What networks are called in reports: their source, or their place."""
    return tuple(network.source.rsplit("/", 1)[-1] or f"network {k}" for k, network in enumerate(networks))
