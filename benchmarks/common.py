"""What every benchmark shares: the reference data, the machine, a table on the terminal and a JSON file beside it."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

DATA = Path(os.environ.get("RELUPROOF_REFERENCE_DATA") or Path(__file__).parents[2] / "shared" / "data")
RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Versions and hardware: a figure without them is worth nothing."""
    names = ("reluproof", "torch", "numpy", "scipy", "highspy", "pulp", "onnx", "onnxruntime")
    model = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "python": platform.python_version(),
        "processor": model,
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load": os.getloadavg(),
        "versions": {name: _version(name) for name in names},
    }


def _version(name: str) -> str | None:
    """The installed version; None when the package is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def report(name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print the table and write ``results/NAME.json``."""
    show(header, rows)
    RESULTS.mkdir(exist_ok=True)
    data = {"benchmark": name, "machine": machine(), "rows": [dict(zip(header, row, strict=True)) for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=2) + "\n")
    print(f"\nwritten to {RESULTS / name}.json", file=sys.stderr)


def show(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print the table."""
    cells = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    for k, row in enumerate(cells):
        print(
            "  ".join(
                c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
        if k == 0:
            print("-" * (sum(widths) + 2 * len(widths) - 2))
