"""Zeros and ones of MNIST by linear classifiers, plain and robust: exact worst-case error against epsilon.

Run: python benchmarks/linear_binary.py. As in chapter 2 of Kolter & Madry's tutorial: the plain classifier, nearly perfect, loses
every image at epsilon 0.2; the one that is trained on its exact worst case does not. Each error is told from both sides, by bounds
and by points that were evaluated. Exits 1 when the two sides differ or the order is another. Draws the errors, the weights and
the distributions of the scores into results/.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch
from common import DATA, RESULTS, report

import verify
from verify.plot import COLOURS, SIGNED, new_figure, save

RADII = ("0", "0.02", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3")
TRAINED_AT = 0.2
LOST, KEPT = 99.0, 5.0  # error in percent at TRAINED_AT: of plain training at least, of robust training at most


def zeros_and_ones(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The images and labels of the classes 0 and 1."""
    digits = verify.load_data(DATA / "mnist", split=split)
    chosen = digits.labels < 2
    return digits.inputs[chosen], digits.labels[chosen]


def errors(network: verify.Network, x: torch.Tensor, y: torch.Tensor, epsilon: str, clip: Any) -> tuple[float, float]:
    """The worst-case error in percent, from above by bounds and from below by evaluated points."""
    bounds = verify.lower_bounds(network, x, y, epsilon=epsilon, clip=clip, method="linear")
    found = verify.attack(network, x, y, epsilon=epsilon, clip=clip, method="linear", diagnose=False)
    return 100 * float((~(bounds > 0).all(1)).double().mean()), 100 * found.attacked_error


def score(network: verify.Network, x: torch.Tensor) -> torch.Tensor:
    """The score of class 1 less that of class 0, (N,)."""
    scores = network(x.double())
    return scores[:, 1] - scores[:, 0]


def weights(network: verify.Network) -> np.ndarray:
    """What the score of class 1 less that of class 0 is multiplied by, (28, 28)."""
    leaf = torch.zeros(1, *network.input_shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(score(network, leaf).sum(), leaf)
    return gradient.reshape(28, 28).numpy()


def draw_errors(curves: dict[str, list[float]]) -> None:
    """Worst-case error against epsilon."""
    figure = new_figure(4.6, 3.2)
    panel = figure.subplots()
    for (name, values), colour, mark in zip(curves.items(), COLOURS, "os", strict=False):
        panel.plot([float(r) for r in RADII], values, marker=mark, color=colour, label=name)
    panel.set(xlabel="$\\epsilon$ ($l_\\infty$, pixels in [0, 1])", ylabel="worst-case error (%)", ylim=(-2, 102))
    panel.set_title("MNIST, 0 against 1, linear, clipped to [0, 1]")
    panel.legend(loc="center right")
    panel.grid(alpha=0.3)
    save(figure, RESULTS / "linear_binary_errors.png")


def draw_weights(networks: dict[str, verify.Network]) -> None:
    """What each classifier looks for, each with its own scale."""
    figure = new_figure(6.4, 3.0)
    for panel, (name, network) in zip(figure.subplots(1, len(networks)), networks.items(), strict=True):
        picture = weights(network)
        most = np.abs(picture).max()
        shown = panel.imshow(picture, cmap=SIGNED, vmin=-most, vmax=most)
        panel.set(title=name, xticks=[], yticks=[])
        figure.colorbar(shown, ax=panel, label="weight (blue: towards 1)")
    save(figure, RESULTS / "linear_binary_weights.png")


def draw_scores(networks: dict[str, verify.Network], x: torch.Tensor, y: torch.Tensor) -> None:
    """The scores of the test images as they are, and at their worst within TRAINED_AT."""
    figure = new_figure(6.8, 4.2)
    for row, (name, network) in zip(figure.subplots(2, len(networks)).T, networks.items(), strict=True):
        worst = verify.attack(
            network, x, y, epsilon=str(TRAINED_AT), clip=(0, 1), method="linear", diagnose=False
        ).points
        for panel, points, words in zip(row, (x, worst), ("as they are", f"worst within {TRAINED_AT}"), strict=True):
            values = score(network, points).numpy()
            edges = np.linspace(values.min(), values.max(), 60)
            for label in (0, 1):
                panel.hist(values[y == label], edges, color=COLOURS[label], alpha=0.7, label=f"images of {label}")
            panel.axvline(0, color="black", linewidth=1)
            panel.set_title(f"{name}: {words}", fontsize="small")
            panel.set(ylabel="images", xlabel="score of 1 less score of 0")
    row[0].legend(fontsize="small")
    save(figure, RESULTS / "linear_binary_scores.png")


def main() -> int:
    """Train, measure, print, draw."""
    begun = time.process_time()
    x, y = zeros_and_ones("train")
    networks = {
        "plain": verify.train.train_linear(x, y),
        f"robust at {TRAINED_AT}": verify.train.train_linear(x, y, verify.train.LinearTraining(epsilon=TRAINED_AT)),
    }
    x, y = zeros_and_ones("test")
    rows, differ = [], 0
    curves: dict[str, list[float]] = {name: [] for name in networks}
    for radius in RADII:
        row = [radius]
        for name, network in networks.items():
            for clip in (None, (0, 1)):
                above, below = errors(network, x, y, radius, clip)
                differ += above != below
                row.append(f"{above:.2f}" if above == below else f"{below:.2f} to {above:.2f}")
            curves[name].append(above)
        rows.append(row)
    header = ["epsilon", *(f"{name}, {box} %" for name in networks for box in ("unclipped", "clipped"))]
    report("linear_binary", header, rows)
    draw_errors(curves)
    draw_weights(networks)
    draw_scores(networks, x, y)
    print(f"{len(x)} test images, {time.process_time() - begun:.0f} s of the processor", file=sys.stderr)
    plain, robust = (values[RADII.index(str(TRAINED_AT))] for values in curves.values())
    return int(differ > 0 or plain < LOST or robust > KEPT)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
