"""Small torch modules of every kind that training reads, and data that they can learn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from verify.load.dataset import Dataset

SHAPE = (1, 6, 6)
CLASSES = 3


class Residual(nn.Module):
    """A skip connection, a concatenation, functional ReLUs and a view that asks for the batch's size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1, stride=2)
        self.again = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 1))
        self.last = nn.Linear(54, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x))
        z = torch.relu(y + self.again(y))
        return self.last(torch.cat([z, y], 1).view(x.size(0), -1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def convolution() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Identity(), nn.Flatten(), nn.Dropout(0.0),
        nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, CLASSES),
    )  # fmt: skip


def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES),
    )  # fmt: skip


MODULES = {"mlp": mlp, "convolution": convolution, "normalised": normalised, "residual": Residual}


def module(kind: str, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.Module:
    """A module of this kind with random weights and, where it has them, running statistics that are not the default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = MODULES[kind]()
        for layer in made.modules():
            if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
    return made.to(dtype)


def batch(count: int = 6, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random inputs in [0, 1] and labels."""
    g = torch.Generator().manual_seed(seed)
    return torch.rand(count, *SHAPE, generator=g, dtype=dtype), torch.randint(0, CLASSES, (count,), generator=g)


def stripes(count: int = 96, seed: int = 0) -> Dataset:
    """Images whose class is the pair of rows that is bright: what every network here can learn, robustly."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=g)
    images = torch.rand(count, *SHAPE, generator=g) * 0.2
    for row, label in enumerate(labels.tolist()):
        images[row, 0, 2 * label : 2 * label + 2] += 0.75
    return Dataset(images, labels, "stripes", "as stored")
