"""Expectation over transformations: a loss averaged over small rotations, translations and noise (Athalye et al. 2018).

An example that still fools the network after such changes is a danger outside the computer too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Transformations:
    """Random changes of an input: a rotation of at most ``rotation`` degrees, a shift of at most ``translation`` pixels in
    each direction, normal noise of standard deviation ``noise``; ``samples`` of them for each evaluation.
    """

    rotation: float = 0.0
    translation: float = 0.0
    noise: float = 0.0
    samples: int = 8

    def __post_init__(self) -> None:
        for name in ("rotation", "translation", "noise"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}: give a number that is not negative")
        if self.samples < 1:
            raise UsageError(f"samples is {self.samples}: give at least 1")

    def copies(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """``x`` (N, *shape) itself and ``samples`` changed copies, (1 + samples, N, *shape); differentiable."""
        return torch.stack([x, *(self.change(x, generator) for _ in range(self.samples))])

    def change(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """One random change of each of ``x`` (N, *shape). Raises UsageError when a vector is to be rotated or shifted."""
        if self.rotation or self.translation:
            x = self._moved(x, generator)
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        return x

    def _moved(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if x.dim() != 4:
            raise UsageError(
                f"inputs of shape {tuple(x.shape[1:])} cannot be rotated or shifted: images (channels, height, width) "
                "can; leave rotation and translation at 0"
            )
        draws = (torch.rand(len(x), 3, generator=generator, dtype=x.dtype) * 2 - 1).to(x.device)
        angle = draws[:, 0] * math.radians(self.rotation)
        height, width = x.shape[2:]
        theta = torch.zeros(len(x), 2, 3, dtype=x.dtype, device=x.device)
        # Grid coordinates run from -1 to 1 along both axes, so a rotation of pixels is sheared by the aspect ratio.
        theta[:, 0, 0], theta[:, 0, 1] = angle.cos(), -angle.sin() * height / width
        theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * width / height, angle.cos()
        theta[:, 0, 2] = draws[:, 1] * self.translation * 2 / width
        theta[:, 1, 2] = draws[:, 2] * self.translation * 2 / height
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)
