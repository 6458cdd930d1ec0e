"""The image networks of the reference data: those with a published bracket of the error under attack, and the tutorial's."""

from __future__ import annotations

from dataclasses import dataclass

from common import DATA
from tutorial_attacks import tutorial_network
from wong_kolter import network as wong_kolter

import verify


@dataclass(frozen=True)
class Reference:
    """A network, a radius, and there the published lower and upper error (%) over all 10,000 test images of MNIST."""

    name: str
    file: str
    epsilon: str
    low: float | None = None
    high: float | None = None

    def load(self) -> verify.Network:
        """The network."""
        if self.file.startswith("tutorial/"):
            return tutorial_network(self.name)
        if self.file.endswith(".pth"):
            return verify.load(DATA / self.file, arch=wong_kolter, input_shape=(1, 28, 28))
        return verify.load(DATA / self.file, arch="mlp")


NETWORKS = (
    Reference("LPD_MLP_B_0.1", "salman/salman_LPD_MLP_B_0.1.npz", "0.1", 14.45, 14.45),
    Reference("NOR_MLP_B", "salman/salman_NOR_MLP_B.npz", "0.02", 10.16, 13.48),
    Reference("ADV_MLP_B_0.05", "salman/salman_ADV_MLP_B_0.05.npz", "0.05", 6.11, 11.38),
    Reference("WONG_KOLTER", "wong_kolter/mnist.pth", "0.1", 4.38, 4.38),
)

# Radii at which some images are verified: nothing about certificates is published of these.
TUTORIAL = tuple(
    Reference(name, f"tutorial/{name}.pt", epsilon)
    for name, epsilon in (
        ("model_small", "0.02"),
        ("model_dnn_2", "0.02"),
        ("model_dnn_4", "0.01"),
        ("model_cnn", "0.01"),
        ("model_cnn_robust", "0.03"),
    )
)
