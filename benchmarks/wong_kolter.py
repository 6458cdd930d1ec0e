"""Certified error of Wong & Kolter's convolutional MNIST network at epsilon 0.1 over the test images.

Run: python benchmarks/wong_kolter.py [--images 10000]. Published: clean 1.80 %, certified by the dual bound 5.8 %.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from common import DATA, report
from torch import nn

import verify


def network() -> nn.Module:
    """The architecture of mnist.pth."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def main(images: int) -> int:
    """Print errors and times: the raw dual, with the interval intersection, and CROWN."""
    digits = verify.load_data(DATA / "mnist")
    net = verify.load(DATA / "wong_kolter" / "mnist.pth", arch=network, input_shape=(1, 28, 28))
    x, labels = digits.inputs[:images], digits.labels[:images]
    wrong = torch.cat([net(part.double()).argmax(1) for part in x.split(500)]) != labels
    rows = [["clean", images, f"{100 * float(wrong.double().mean()):.2f}", 1.80, ""]]
    runs = [
        ("dual, intersected", 5.8, {"method": "dual"}),
        ("crown, intersected", "", {"method": "crown"}),
        ("dual, raw (first 500)", "", {"method": "dual", "intersect": False}),
    ]
    for title, published, options in runs:
        count = min(500, images) if "500" in title else images
        begun = time.perf_counter()
        bounds = verify.lower_bounds(net, x[:count], labels[:count], epsilon="0.1", clip=(0, 1), **options)
        seconds = time.perf_counter() - begun
        error = 100 * float((bounds.amin(1) <= 0).double().mean())
        rows.append([title, count, f"{error:.2f}", published, f"{seconds:.1f}"])
    report("wong_kolter", ["method", "images", "certified error %", "published", "seconds"], rows)
    return 0


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=10_000)
    torch.set_num_threads(2)
    sys.exit(main(options.parse_args().images))
