"""Exact adversarial error by method ``complete``: Salman et al. 2019 (table 1, MILP columns) and Wong & Kolter's CNN.

Run: python benchmarks/exact_error.py [--images N] [--only NAME] [--timeout SECONDS]. For every network the share of images
that are falsified (a counterexample was evaluated; misclassified images included), that of the images that are open, and the
published bracket. Exits 1 when a bracket of ours excludes the published one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from common import DATA, report
from wong_kolter import network as wong_kolter

import verify

# (name, file, epsilon, published lower and upper adversarial error over 10,000 images)
NETWORKS = [
    ("LPD_MLP_B_0.1", "salman/salman_LPD_MLP_B_0.1.npz", "0.1", 14.45, 14.45),
    ("NOR_MLP_B", "salman/salman_NOR_MLP_B.npz", "0.02", 10.16, 13.48),
    ("ADV_MLP_B_0.05", "salman/salman_ADV_MLP_B_0.05.npz", "0.05", 6.11, 11.38),
    ("WONG_KOLTER", "wong_kolter/mnist.pth", "0.1", 4.38, 4.38),
]
BATCH = 250  # images between two lines of progress


def main(images: int, only: str | None, timeout: float) -> int:
    """Print a row for every network; progress goes to standard error."""
    digits = verify.load_data(DATA / "mnist")
    rows, missed = [], 0
    for name, file, epsilon, low, high in NETWORKS:
        if only not in (None, name):
            continue
        arch = wong_kolter if name == "WONG_KOLTER" else "mlp"
        network = verify.load(DATA / file, arch=arch, input_shape=(1, 28, 28) if name == "WONG_KOLTER" else None)
        begun, verdicts, seconds = time.perf_counter(), Counter(), []
        for first in range(0, images, BATCH):
            part = slice(first, min(first + BATCH, images))
            results = verify.certify_batch(
                network, digits.inputs[part], digits.labels[part], epsilon=epsilon, clip=(0, 1), timeout=timeout
            )
            verdicts.update(r.verdict.value for r in results)
            seconds += [r.seconds for r in results]
            print(f"{name} {part.stop}: {dict(verdicts)}, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        falsified, unknown = (100.0 * verdicts[v] / images for v in ("falsified", "unknown"))
        missed += images == 10_000 and (falsified > high + 0.005 or falsified + unknown < low - 0.005)
        median = sorted(seconds)[len(seconds) // 2]
        rows.append(
            [name, epsilon, images, f"{falsified:.2f}", f"{falsified + unknown:.2f}", f"{low} to {high}", f"{median:.4f}",
             f"{max(seconds):.1f}", f"{time.perf_counter() - begun:.0f}"]
        )  # fmt: skip
    header = [
        "network",
        "epsilon",
        "images",
        "error >= %",
        "error <= %",
        "published, 10,000",
        "median s",
        "most s",
        "seconds",
    ]
    report("exact_error", header, rows)
    return min(missed, 1)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, default=10_000)
    options.add_argument("--only", choices=[name for name, *_ in NETWORKS])
    options.add_argument("--timeout", type=float, default=20.0, help="seconds for each image")
    chosen = options.parse_args()
    sys.exit(main(chosen.images, chosen.only, chosen.timeout))
