"""Two small networks and a hundred handwritten digits that ship with the package (see README.md beside this file)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from verify.errors import UsageError

_NETWORKS = ("mlp", "cnn")


def demo_network_path(name: str) -> Path:
    """The ONNX file of a demo network: ``"mlp"`` (fully connected) or ``"cnn"`` (convolutional).

    Input (batch, 1, 28, 28) with pixels in [0, 1], output (batch, 10) logits.

    Raises:
        UsageError: another name.
    """
    if name not in _NETWORKS:
        raise UsageError(f"demo network {name!r} does not exist; choose one of {', '.join(_NETWORKS)}")
    return _path(f"{name}.onnx")


def demo_digits_path() -> Path:
    """The ``.npz`` file of the demo digits: ``x`` (100, 1, 28, 28) uint8, ``y`` (100,) int64.

    Digit ``10 * k + c`` shows class ``c``; none was used in training the demo networks.
    """
    return _path("digits.npz")


def _path(name: str) -> Path:
    # The package is installed unpacked (it holds data files that other programs open), so the resource is a path.
    return Path(str(resources.files(__name__) / name))
