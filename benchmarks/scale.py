"""Whole data sets: time by stage, the bracket of the error that a run reaches, and what a second worker gains.

Run: python benchmarks/scale.py [--images N] [--only NAME] [--timeout S] [--pair]. Each network from a clean folder with two
workers; with ``--pair`` once more with one, and the ratio of the last stage's wall times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import DATA, report
from networks import NETWORKS, Reference

import verify

LAST = "complete"


def timed(reference: Reference, images: int, timeout: float, workers: int) -> tuple[verify.Run, dict[str, float]]:
    """A run from a clean folder, and the wall seconds of each stage."""
    walls: dict[str, float] = {}

    def listen(progress: verify.Progress) -> None:
        walls[progress.stage] = progress.seconds

    with tempfile.TemporaryDirectory() as folder:
        done = verify.run(
            reference.load(),
            verify.load_data(DATA / "mnist"),
            Path(folder) / "run",
            epsilon=reference.epsilon,
            clip=(0, 1),
            index=range(images),
            timeout=timeout,
            execution=verify.Execution(workers=workers, listen=listen),
        )
    return done, walls


def main(images: int, only: str | None, timeout: float, pair: bool) -> None:
    """A row for each network."""
    rows = []
    for reference in NETWORKS:
        if only not in (None, reference.name):
            continue
        begun = time.perf_counter()
        done, walls = timed(reference, images, timeout, 2)
        seconds, counts = time.perf_counter() - begun, done.tally
        gain = ""
        if pair and LAST in walls:
            _, alone = timed(reference, images, timeout, 1)
            gain = f"{alone[LAST] / walls[LAST]:.2f}"
        error = f"{100 * counts.attacked_error:.2f} to {100 * counts.certified_error:.2f}"
        stages = ", ".join(f"{stage} {wall:.0f}" for stage, wall in walls.items())
        published = f"{reference.low} to {reference.high}"
        unknown = counts.states["unknown"]
        rows.append(
            [reference.name, reference.epsilon, images, error, published, unknown, f"{seconds:.0f}", stages, gain]
        )
        print(rows[-1], file=sys.stderr)
    header = [
        "network",
        "epsilon",
        "images",
        "error %",
        "published %",
        "unknown",
        "seconds",
        "wall by stage",
        "gain of 2",
    ]
    report("scale", header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="the first so many test images")
    parser.add_argument("--only", choices=[reference.name for reference in NETWORKS])
    parser.add_argument("--timeout", type=float, default=2.0, metavar="S", help="of an input in the last stage")
    parser.add_argument("--pair", action="store_true", help="also with one worker")
    arguments = parser.parse_args()
    main(arguments.images, arguments.only, arguments.timeout, arguments.pair)
