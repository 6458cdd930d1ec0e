"""Training images that are moved about: more of them than there are, where a network fits those it has too well."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from verify.errors import UsageError


def moved(x: Tensor, most: int, background: float, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each moved by up to ``most`` pixels up or down and left or right; ``background`` comes in.

    Raises UsageError for inputs that are no images, or smaller than they would be moved.
    """
    if x.dim() != 4 or min(x.shape[2:]) <= most:
        raise UsageError(
            f"shift is {most}, and inputs have shape {tuple(x.shape[1:])}: give images (C, H, W) larger than that"
        )
    height, width = x.shape[2:]
    padded = functional.pad(x, (most, most, most, most), value=background)
    corners = torch.randint(2 * most + 1, (len(x), 2), generator=generator).tolist()
    return torch.stack([image[:, a : a + height, b : b + width] for image, (a, b) in zip(padded, corners, strict=True)])
