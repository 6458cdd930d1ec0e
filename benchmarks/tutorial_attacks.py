"""The attack errors of the tutorial "Adversarial Robustness: Theory and Practice" (Kolter & Madry 2018) on its weights.

Run: python benchmarks/tutorial_attacks.py [--images N]. FGSM and PGD (40 steps of 0.01 from the input, cross-entropy) at
epsilon = 0.1, which the tutorial does not clip to [0, 1]. Beside ours and the published figures stands the tutorial's own
formula in plain torch. Exits 1 when ours falls below the formula by more than rounding: one image in a thousand.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from common import DATA, report
from torch import nn

import verify

EPSILON, STEP, STEPS, BATCH = 0.1, 0.01, 40, 200
ROUNDING = 0.001
# network: published clean, FGSM and PGD error in percent, of all 10,000 test images
PUBLISHED = {
    "model_dnn_2": (2.79, 92.59, 96.37),
    "model_cnn": (1.03, 41.73, 74.32),
    "model_cnn_robust": (0.85, 2.58, 2.83),
}


def tutorial_network(name: str) -> verify.Network:
    """A network of the tutorial, which kept state dicts only: the convolutional ones are built here."""
    if not name.startswith("model_cnn"):
        return verify.load(DATA / "tutorial" / f"{name}.pt", arch="mlp")
    module = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
    state = torch.load(DATA / "tutorial" / f"{name}.pt", map_location="cpu", weights_only=True)
    module.load_state_dict(state)
    return verify.from_torch(module, input_shape=(1, 28, 28))


def main() -> int:
    """Print a row per network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    images = parser.parse_args().images
    digits = verify.load_data(DATA / "mnist")
    x, y = digits.inputs[:images], digits.labels[:images]
    rows, behind = [], 0
    for name, (clean, *published) in PUBLISHED.items():
        network = tutorial_network(name)
        x = x.reshape(-1, *network.input_shape)
        for attack, figure, steps, step in (("fgsm", published[0], 1, EPSILON), ("pgd", published[1], STEPS, STEP)):
            found = verify.attack(
                network,
                x,
                y,
                epsilon=EPSILON,
                method=attack,
                loss="cross_entropy",
                steps=steps,
                step_size=step,
                start="centre",
                diagnose=False,
            )
            formula = plain(network, x, y, steps, step)
            behind += found.attacked_error < formula - ROUNDING
            ours, theirs = (f"{100 * share:.2f}" for share in (found.attacked_error, formula))
            rows.append(
                [
                    name,
                    images,
                    attack,
                    f"{100 * found.clean_error:.2f}",
                    clean,
                    ours,
                    theirs,
                    figure,
                    f"{found.seconds:.0f}",
                ]
            )
            print(*rows[-1], file=sys.stderr, flush=True)
    header = [
        "network",
        "images",
        "attack",
        "clean %",
        "published clean",
        "ours %",
        "formula %",
        "published",
        "seconds",
    ]
    report("tutorial_attacks", header, rows)
    return min(behind, 1)


def plain(network: verify.Network, x: Any, y: Any, steps: int, step: float) -> float:
    """The error at the last point of the tutorial's own loop: sign steps on the mean cross-entropy, clamped to the box."""
    module, wrong = verify.as_module(network), 0
    for images, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
        delta = torch.zeros_like(images, requires_grad=True)
        for _ in range(steps):
            loss = nn.functional.cross_entropy(module(images + delta), labels)
            (gradient,) = torch.autograd.grad(loss, delta)
            delta = (delta.detach() + step * gradient.sign()).clamp(-EPSILON, EPSILON).requires_grad_()
        with torch.no_grad():
            wrong += int((module(images + delta).argmax(1) != labels).sum())
    return wrong / len(x)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
