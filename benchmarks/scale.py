"""Whole data sets: time by stage, the bracket of the error that a run reaches, and what a second worker gains.

Run: python benchmarks/scale.py [--images N] [--only NAME] [--timeout S] [--pair]. Each network from a clean folder with two
workers; with ``--pair`` once more with one, and the ratio of the last stage's wall times. Memory is what the coordinator and
its largest worker hold, at most, in the first and in the second half of the last stage.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from common import DATA, report
from networks import NETWORKS, Reference

import verify

LAST = "complete"


@dataclass
class Watch:
    """What is seen of a run after each task: the wall seconds of each stage, and the MiB held in each half of the last one."""

    walls: dict[str, float] = field(default_factory=dict)
    own: list[float] = field(default_factory=lambda: [0.0, 0.0])
    worker: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def listen(self, progress: verify.Progress) -> None:
        """Note the time and, in the last stage, the memory."""
        self.walls[progress.stage] = progress.seconds
        if progress.stage == LAST:
            half = int(2 * progress.settled > progress.asked)
            self.own[half] = max(self.own[half], held("self"))
            children = [held(pid) for pid in children_of("self")]
            self.worker[half] = max(self.worker[half], *children)

    def memory(self) -> str:
        """Coordinator's and worker's, first half -> second half."""
        return ", ".join(f"{a:.0f} -> {b:.0f}" for a, b in (self.own, self.worker))


def held(process: str) -> float:
    """Resident memory of a process in MiB; 0 where it has just ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except FileNotFoundError:
        return 0.0


def children_of(process: str) -> list[str]:
    """The processes that this one's threads started."""
    return [pid for file in Path(f"/proc/{process}/task").glob("*/children") for pid in file.read_text().split()]


def watched(reference: Reference, images: int, timeout: float, workers: int) -> tuple[verify.Run, Watch]:
    """A run from a clean folder, and what was seen of it."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        done = verify.run(
            reference.load(),
            verify.load_data(DATA / "mnist"),
            Path(folder) / "run",
            epsilon=reference.epsilon,
            clip=(0, 1),
            index=range(images),
            timeout=timeout,
            execution=verify.Execution(workers=workers, listen=watch.listen),
        )
    return done, watch


def main(images: int, only: str | None, timeout: float, pair: bool) -> None:
    """A row for each network."""
    rows = []
    for reference in NETWORKS:
        if only not in (None, reference.name):
            continue
        begun = time.perf_counter()
        done, watch = watched(reference, images, timeout, 2)
        walls = watch.walls
        seconds, counts = time.perf_counter() - begun, done.tally
        gain = ""
        if pair and LAST in walls:
            _, alone = watched(reference, images, timeout, 1)
            gain = f"{alone.walls[LAST] / walls[LAST]:.2f}"
        error = f"{100 * counts.attacked_error:.2f} to {100 * counts.certified_error:.2f}"
        stages = ", ".join(f"{stage} {wall:.0f}" for stage, wall in walls.items())
        published = f"{reference.low} to {reference.high}"
        unknown = counts.states["unknown"]
        rows.append(
            [
                reference.name,
                reference.epsilon,
                images,
                error,
                published,
                unknown,
                f"{seconds:.0f}",
                stages,
                gain,
                watch.memory(),
            ]
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
        "MiB",
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
