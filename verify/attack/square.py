"""Random search by square patches, which needs scores only (after Andriushchenko et al. 2020).

It cannot be misled by gradients, so a network that it breaks and a gradient attack does not is masked.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.attack.task import Best, Task

_FIRST = 0.8  # share of the pixels in the first patches
_HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # shares of all steps after which patches halve


def square(task: Task, start: Tensor) -> Tensor:
    """The best point of ``steps`` proposals, each a patch of the best so far moved to the edge of the region."""
    best = Best.none_yet(task.centre)
    everyone = torch.arange(task.count, device=task.centre.device)
    g, shape, radius = task.generator, task.centre.shape, task.radius
    # Vertical stripes first: networks are most sensitive to them.
    up = (
        torch.rand(*shape[:-2], 1, shape[-1], generator=g) < 0.5
        if len(shape) > 2
        else torch.rand(shape, generator=g) < 0.5
    )
    x = task.region.project(task.centre + radius * (up.to(task.centre) * 2 - 1))
    for k in range(task.options.steps):
        margin, broken = task.look(x)
        best.take(everyone, x, margin)
        if task.late or bool(broken.all()):
            break
        part = _FIRST / 2 ** sum(k >= share * task.options.steps for share in _HALVINGS)
        patch = _patch(shape, part, g).to(x.device)
        signs = (torch.rand(shape[:2] if len(shape) == 4 else shape, generator=g) < 0.5).to(task.centre) * 2 - 1
        moved = task.centre + radius * (signs[:, :, None, None] if len(shape) == 4 else signs)
        x = task.region.project(torch.where(patch, moved, best.points))
    best.take(everyone, x, task.look(x)[0])
    return best.points


def _patch(shape: torch.Size, part: float, generator: torch.Generator) -> Tensor:
    """A random square of ``part`` of the pixels of each image, all channels, or a random stretch of a vector: a mask."""
    count, size = shape[0], shape[-1]
    if len(shape) != 4:
        return torch.rand(shape, generator=generator) < max(part, 1.0 / shape[1:].numel())
    side = max(1, min(round((part * shape[2] * shape[3]) ** 0.5), size, shape[2]))
    top = torch.randint(shape[2] - side + 1, (count, 1), generator=generator)
    left = torch.randint(size - side + 1, (count, 1), generator=generator)
    rows, columns = torch.arange(shape[2])[None], torch.arange(size)[None]
    inside = ((rows >= top) & (rows < top + side))[:, :, None] & ((columns >= left) & (columns < left + side))[:, None]
    mask: Tensor = inside[:, None].expand(shape)
    return mask
