"""The table of small networks that are trained by name; a user's own is ``module:function``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from verify.errors import UsageError
from verify.load.states import build_module

Build = Callable[[], nn.Module]


def mlp() -> nn.Module:
    """784-200-100-10 for images (1, 28, 28)."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10)
    )


def tutorial() -> nn.Module:
    """The convolutional network of Kolter and Madry's tutorial (2018)."""
    return nn.Sequential(
        *_convolution(1, 32, 3, 1),
        *_convolution(32, 32, 3, 2),
        *_convolution(32, 64, 3, 1),
        *_convolution(64, 64, 3, 2),
        *_head(64 * 7 * 7, 100),
    )


def wong_kolter() -> nn.Module:
    """Two strided convolutions of 16 and 32 channels, 100 hidden units (Wong and Kolter 2018)."""
    return nn.Sequential(*_convolution(1, 16, 4, 2), *_convolution(16, 32, 4, 2), *_head(32 * 7 * 7, 100))


def wide() -> nn.Module:
    """Wong and Kolter's network with twice the channels."""
    return nn.Sequential(*_convolution(1, 32, 4, 2), *_convolution(32, 64, 4, 2), *_head(64 * 7 * 7, 100))


def _convolution(channels: int, out: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, out, kernel, stride=stride, padding=1), nn.ReLU()


def _head(features: int, hidden: int) -> tuple[nn.Module, ...]:
    return nn.Flatten(), nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 10)


ARCHITECTURES: Mapping[str, Build] = {"mlp": mlp, "tutorial": tutorial, "wong-kolter": wong_kolter, "wide": wide}


def build(name: str) -> nn.Module:
    """The module of a name. Raises UsageError for an unknown one, and where a user's function builds no module."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]()
    if ":" not in name:
        raise UsageError(
            f"unknown architecture {name!r}: choose from {', '.join(ARCHITECTURES)}, or give module:function"
        )
    return build_module(name)
