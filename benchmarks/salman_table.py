"""Reproduce the LP-GREEDY column of Salman et al. 2019 (table 1) over all 10,000 MNIST test images, and more.

Run: python benchmarks/salman_table.py [--images 10000]. LP-GREEDY is the Wong-Kolter dual with its own pre-activation
bounds; "raw" is that, "intersected" the same with interval bounds taken into account. Errors in percent. Exits 1 when a
raw figure over all images differs from the published one in the printed digits.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from common import DATA, report

import verify

# (network, epsilon, clean error, LP-GREEDY, LP-ALL) as published
PUBLISHED = [
    ("LPD_MLP_B_0.1", "0.1", 4.09, 18.32, 17.24),
    ("NOR_MLP_B", "0.02", 2.05, 35.11, 26.41),
    ("ADV_MLP_B_0.05", "0.05", 1.62, 33.09, 23.29),
]
FEW = 200  # images for the slower methods


def main(images: int) -> int:
    """Print certified errors and times by network and method."""
    digits = verify.load_data(DATA / "mnist")
    rows, missed = [], 0
    for name, epsilon, clean, greedy, lp_all in PUBLISHED:
        network = verify.load(DATA / "salman" / f"salman_{name}.npz", arch="mlp")
        runs = [
            ("dual, raw", images, greedy, {"method": "dual", "intersect": False}),
            ("dual, intersected", images, None, {"method": "dual"}),
            ("crown, intersected", images, None, {"method": "crown"}),
            ("alpha", min(FEW, images), None, {"method": "alpha"}),
            ("lp on alpha bounds", min(FEW, images), None, {"method": "lp"}),
            ("lp on lp bounds (LP-ALL)", min(FEW, images), lp_all, {"method": "lp", "pre_activation": "lp"}),
        ]
        x, labels = digits.inputs[:images], digits.labels[:images]
        wrong = 100.0 * float((network(x.flatten(1).double()).argmax(1) != labels).double().mean())
        rows.append([name, epsilon, "clean", images, f"{wrong:.2f}", clean, ""])
        for title, count, published, options in runs:
            begun = time.perf_counter()
            bounds = verify.lower_bounds(network, x[:count], labels[:count], epsilon=epsilon, clip=(0, 1), **options)
            seconds = time.perf_counter() - begun
            error = f"{100.0 * float((bounds.amin(1) <= 0).double().mean()):.2f}"
            if published is not None and count == 10_000:
                missed += error != f"{published:.2f}"
            shown = "" if published is None else (published if count == 10_000 else f"({published} over all)")
            rows.append([name, epsilon, title, count, error, shown, f"{seconds:.2f}"])
    report(
        "salman_table", ["network", "epsilon", "method", "images", "certified error %", "published", "seconds"], rows
    )
    return min(missed, 1)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=10_000)
    torch.set_num_threads(2)
    sys.exit(main(options.parse_args().images))
