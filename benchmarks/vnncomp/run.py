"""Run whole VNN-COMP benchmark sets and compare every answer with the known one; every witness is checked again.

Run: python benchmarks/vnncomp/run.py FOLDER [FOLDER ...] [--limit N] [--timeout-cap S] [--in-process] [--json FILE]
A folder holds ``instances.csv`` (onnx, vnnlib, timeout, and perhaps the verdict; with or without a header). By default every
instance is a process of its own, as in the competition, killed a little after its time; a time is then the whole
process, ``import torch`` included. Exits 1 when an answer contradicts the known one or a witness does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import RESULTS, machine, show
from recheck import recheck

from verify.cli.main import main as command_line

ANSWERS = ("sat", "unsat", "unknown", "timeout")
GRACE = 1.05, 5.0  # a process is killed at timeout * 1.05 + 5 s: the search itself ends at the timeout


@dataclass(frozen=True)
class Instance:
    """One line of ``instances.csv``; ``truth`` is sat, unsat or unknown."""

    name: str
    model: Path
    prop: Path
    timeout: float
    truth: str


@dataclass(frozen=True)
class Outcome:
    """What came of an instance: an answer or ``error``, and whether it is right."""

    instance: str
    answer: str
    truth: str
    seconds: float
    note: str

    @property
    def mark(self) -> str:
        """``WRONG`` contradicts the truth; ``BAD WITNESS`` does not hold; ``new`` settles what nobody had."""
        if {self.answer, self.truth} == {"sat", "unsat"}:
            return "WRONG"
        if self.answer == "sat" and self.note:
            return "BAD WITNESS"
        if self.answer not in ("sat", "unsat"):
            return self.answer
        return "ok" if self.answer == self.truth else "new"


def instances(folder: Path) -> list[Instance]:
    """The instances of a set; files may be compressed where the table names them uncompressed."""
    with (folder / "instances.csv").open(newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if rows and rows[0][0] == "onnx":
        rows = rows[1:]
    return [
        Instance(
            name=f"{Path(row[0]).stem} {Path(row[1]).name.removesuffix('.gz').removesuffix('.vnnlib')}",
            model=_found(folder / row[0]),
            prop=_found(folder / row[1]),
            timeout=float(row[2]),
            truth=row[3] if len(row) > 3 and row[3] else "unknown",
        )
        for row in rows
    ]


def _found(file: Path) -> Path:
    compressed = file.with_name(file.name + ".gz")
    return compressed if compressed.exists() and not file.exists() else file


def answer(instance: Instance, timeout: float, *, in_process: bool) -> Outcome:
    """Ask the command line about one instance."""
    with tempfile.TemporaryDirectory() as folder:
        witness = Path(folder) / "witness"
        words = [
            "verify",
            str(instance.model),
            str(instance.prop),
            "--timeout",
            f"{timeout:g}",
            "--witness",
            str(witness),
        ]
        begun = time.perf_counter()
        said, note = _inside(words) if in_process else _outside(words, timeout)
        seconds = time.perf_counter() - begun
        if said == "sat":
            note = _witness(instance, witness)
    return Outcome(instance.name, said, instance.truth, seconds, note)


def _inside(words: list[str]) -> tuple[str, str]:
    out, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
        code = command_line(words)
    return _read(out.getvalue(), complaints.getvalue(), code)


def _outside(words: list[str], timeout: float) -> tuple[str, str]:
    command = [sys.executable, "-m", "verify.cli.main", *words]
    limit = timeout * GRACE[0] + GRACE[1]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return "timeout", f"killed after {limit:.0f} s"
    return _read(done.stdout, done.stderr, done.returncode)


def _read(out: str, complaints: str, code: int) -> tuple[str, str]:
    """The answer on the first line, or ``error`` and the last complaint."""
    said = out.split("\n", 1)[0]
    if said in ANSWERS:
        return said, ""
    return "error", (complaints.strip().splitlines() or [f"exit code {code}"])[-1]


def _witness(instance: Instance, file: Path) -> str:
    if not file.exists():
        return "no witness was written"
    try:
        return recheck(instance.model, instance.prop, file.read_text())
    except (KeyError, ValueError, TypeError) as error:
        return f"not checked: {type(error).__name__} {error}"


def summary(name: str, outcomes: list[Outcome]) -> list[str]:
    """The row of one set."""
    marks = [o.mark for o in outcomes]
    solved = [o for o in outcomes if o.mark in ("ok", "new")]
    counts = [len(outcomes), len(solved), *(sum(o.answer == a for o in solved) for a in ("sat", "unsat"))]
    counts += [
        sum(m in ("WRONG", "BAD WITNESS") for m in marks),
        *(marks.count(m) for m in ("timeout", "unknown", "error")),
    ]
    times = [o.seconds for o in outcomes]
    return [name, *map(str, counts), f"{sum(times):.1f}", f"{statistics.median(times or [0.0]):.2f}"]


def main(arguments: argparse.Namespace) -> int:
    """Run the sets, print a line an instance and a row a set, write JSON."""
    rows, results = [], {}
    for folder in arguments.folders:
        outcomes = []
        for instance in instances(folder)[: arguments.limit]:
            timeout = min(instance.timeout, arguments.timeout_cap or instance.timeout)
            outcome = answer(instance, timeout, in_process=arguments.in_process)
            outcomes.append(outcome)
            cells = (f"{outcome.answer:8}{outcome.truth:8}", f"{outcome.seconds:8.2f} s", outcome.mark, outcome.note)
            print(f"{folder.name}  {instance.name:60}", *cells, flush=True)
        rows.append(summary(folder.name, outcomes))
        results[folder.name] = [asdict(o) | {"mark": o.mark} for o in outcomes]
    header = ["set", "instances", "solved", "sat", "unsat", "wrong", "timeout", "unknown", "error", "seconds", "median"]
    print()
    show(header, rows)
    data = {"machine": machine(), "timeout_cap": arguments.timeout_cap, "in_process": arguments.in_process}
    data |= {"summary": [dict(zip(header, row, strict=True)) for row in rows], "instances": results}
    file = arguments.json or RESULTS / "vnncomp.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data, indent=2) + "\n")
    print(f"\nwritten to {file}", file=sys.stderr)
    return int(any(int(row[5]) for row in rows))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", nargs="+", type=Path)
    options.add_argument("--limit", type=int, help="only the first N instances of each set")
    options.add_argument("--timeout-cap", type=float, metavar="S", help="no instance gets more than S seconds")
    options.add_argument("--in-process", action="store_true", help="one process for all: quicker, nothing is killed")
    options.add_argument("--json", type=Path, metavar="FILE", help="default: benchmarks/results/vnncomp.json")
    sys.exit(main(options.parse_args()))
