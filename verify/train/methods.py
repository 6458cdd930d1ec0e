"""The table of training methods: a new one is a loss and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from verify.region import Box
from verify.train import losses
from verify.train.live import Bound

if TYPE_CHECKING:
    from verify.train.config import Training


@dataclass(frozen=True)
class Moment:
    """Where a run is: the settings, how far the ramp has come (0 to 1), and the generator of random points."""

    settings: Training
    ramp: float
    generator: torch.Generator

    def towards(self, end: float) -> float:
        """What goes from 1 to ``end`` along the ramp."""
        return 1.0 + (end - 1.0) * self.ramp


Loss: TypeAlias = Callable[[Bound, Tensor, Tensor, Box, Moment], Tensor]
"""Bound network, inputs, labels, region and moment -> scalar."""


@dataclass(frozen=True)
class Method:
    """A way to train: its name and loss, and whether the loss is about bounds, which regularisers can then steady."""

    name: str
    loss: Loss
    bounded: bool = False


def _standard(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    return losses.standard_loss(bound, x, y)


def _noise(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    return losses.noise_loss(bound, x, y, region, alpha=now.settings.alpha, generator=now.generator)


def _fgsm(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    return losses.fgsm_loss(bound, x, y, region, alpha=now.settings.alpha)


def _pgd(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    settings = now.settings
    return losses.pgd_loss(bound, x, y, region, alpha=settings.alpha, steps=settings.steps, generator=now.generator)


def _ibp(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    return losses.ibp_loss(bound, x, y, region, kappa=now.towards(now.settings.kappa))


def _crown_ibp(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    kappa, beta = now.towards(now.settings.kappa), now.towards(now.settings.beta)
    return losses.crown_ibp_loss(bound, x, y, region, kappa=kappa, beta=beta)


def _crown_fused(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    return losses.crown_ibp_loss(bound, x, y, region, kappa=now.towards(now.settings.kappa), fused=True)


def _dual(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    return losses.dual_loss(bound, x, y, region, kappa=now.towards(now.settings.kappa))


def _sabr(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    settings = now.settings
    kappa = now.towards(settings.kappa)
    return losses.sabr_loss(
        bound, x, y, region, kappa=kappa, share=settings.share, steps=settings.steps, generator=now.generator
    )


def _mtl_ibp(bound: Bound, x: Tensor, y: Tensor, region: Box, now: Moment) -> Tensor:
    settings = now.settings
    return losses.mtl_ibp_loss(bound, x, y, region, alpha=settings.alpha, steps=settings.steps, generator=now.generator)


METHODS: Mapping[str, Method] = {
    m.name: m
    for m in (
        Method("standard", _standard),
        Method("noise", _noise),
        Method("fgsm", _fgsm),
        Method("pgd", _pgd),
        Method("ibp", _ibp, bounded=True),
        Method("crown-ibp", _crown_ibp, bounded=True),
        Method("crown-ibp-fused", _crown_fused, bounded=True),
        Method("dual", _dual, bounded=True),
        Method("sabr", _sabr, bounded=True),
        Method("mtl-ibp", _mtl_ibp, bounded=True),
    )
}
