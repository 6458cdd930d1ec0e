"""Input branch and bound on the VNN-COMP sets with few inputs: verdicts, boxes and seconds of every instance.

Usage: python benchmarks/input_splits.py [acasxu rl_benchmarks ...] [--timeout SECONDS]

The slowest instances, and totals in the last row; the JSON beside it has every instance. Loading is not counted. No attack runs
first: counterexamples are those that the search meets.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path
from typing import Any

from common import DATA, report

from verify.branch.inputs import by_input_splits
from verify.branch.outcome import Limits
from verify.load.onnx import load_onnx
from verify.load.vnnlib import load_property
from verify.network import Network
from verify.verdict import Verdict

WORDS = {Verdict.VERIFIED: "unsat", Verdict.FALSIFIED: "sat"}


def solve(network: Network, file: Path, timeout: float) -> tuple[str, int, float]:
    """Answer in VNN-LIB's words, boxes bounded, seconds."""
    prop = load_property(file, network)
    start, boxes, answer = time.perf_counter(), 0, "unsat"
    for number, clause in enumerate(prop.clauses):
        outcome = by_input_splits(network, clause, Limits(deadline=start + timeout), number=number)
        boxes += outcome.domains
        if outcome.verdict is not Verdict.VERIFIED:
            answer = WORDS.get(outcome.verdict, outcome.reason)
            break
    return answer, boxes, time.perf_counter() - start


def stored(path: Path) -> Path:
    """The file, or its compressed copy."""
    return path if path.exists() else path.with_name(path.name + ".gz")


def main() -> None:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=["acasxu", "rl_benchmarks"])
    parser.add_argument("--timeout", type=float, default=116.0)
    options = parser.parse_args()
    header = ["set", "network", "property", "expected", "answer", "boxes", "seconds"]
    for name in options.sets:
        folder = DATA / "vnncomp" / name
        rows: list[list[Any]] = []
        for line in csv.DictReader((folder / "instances.csv").open()):
            network = load_onnx(stored(folder / line["onnx"]))
            answer, boxes, seconds = solve(network, stored(folder / line["vnnlib"]), options.timeout)
            known = [name, Path(line["onnx"]).stem, Path(line["vnnlib"]).stem, line["verdict"]]
            rows.append([*known, answer, boxes, round(seconds, 3)])
        rows.sort(key=lambda row: -row[-1])
        times = [row[-1] for row in rows]
        agree = sum(row[3] == row[4] for row in rows)
        total = [name, f"{len(rows)} instances", f"median {statistics.median(times):.3f} s", "", f"{agree} as expected"]
        report(f"input_splits_{name}", header, [*rows, [*total, sum(row[5] for row in rows), round(sum(times), 2)]])


if __name__ == "__main__":
    main()
