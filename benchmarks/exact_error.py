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
from networks import NETWORKS

import verify

BATCH = 250  # images between two lines of progress


def main(images: int, only: str | None, timeout: float) -> int:
    """Print a row for every network; progress goes to standard error."""
    digits = verify.load_data(DATA / "mnist")
    rows, missed = [], 0
    for reference in NETWORKS:
        name, epsilon, low, high = reference.name, reference.epsilon, reference.low, reference.high
        if only not in (None, name):
            continue
        network = reference.load()
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
    options.add_argument("--only", choices=[reference.name for reference in NETWORKS])
    options.add_argument("--timeout", type=float, default=20.0, help="seconds for each image")
    chosen = options.parse_args()
    sys.exit(main(chosen.images, chosen.only, chosen.timeout))
