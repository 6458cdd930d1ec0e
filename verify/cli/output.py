"""Results as plain data for JSON, with what identifies the question."""

from __future__ import annotations

import json
import math
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import verify
from verify.cli.inputs import Question

_PACKAGES = ("torch", "numpy", "scipy", "highspy", "pulp", "onnx", "onnxruntime")


def as_data(result: verify.Result) -> dict[str, Any]:
    """One result; infinities become null, since JSON has none."""
    witness = result.counterexample
    return {
        "verdict": result.verdict.value,
        "reason": result.reason,
        "method": result.method,
        "evidence": result.evidence.label,
        "semantics": result.semantics,
        "label": result.label,
        "predicted": result.predicted,
        "seconds": result.seconds,
        "margins": [
            {
                "target": row.target,
                "lower": _finite(row.lower),
                "upper": _finite(row.upper),
                "proved": _finite(row.proved),
                "verdict": row.verdict.value,
                "evidence": row.evidence.label,
            }
            for row in result.margins
        ],
        "relus": {
            name: dict(zip(("active", "inactive", "unstable"), c, strict=True)) for name, c in result.layers.items()
        },
        "counterexample": None
        if witness is None
        else {
            "target": witness.target,
            "predicted": witness.predicted,
            "margin": witness.margin,
            "float32_margin": witness.float32_margin,
            "x": witness.x.flatten().tolist(),
        },
    }


def identity(question: Question) -> dict[str, Any]:
    """What was asked, of which network, with which versions."""
    return {
        "network": named(question.network),
        "region": {
            "epsilon": str(question.where["epsilon"]),
            "norm": question.where["norm"],
            "clip": None if question.where["clip"] is None else [str(v) for v in question.where["clip"]],
        },
        "options": question.options,
        "semantics": question.options.get("semantics", "real"),
        "versions": versions(),
    }


def named(network: verify.Network) -> dict[str, str]:
    """Which network: where it came from, the hash of its canonical file, and that of the file itself."""
    return {"source": network.source, "identity": verify.identity(network), "sha256": network.sha256}


def write(data: dict[str, Any], where: str) -> None:
    """JSON to a file, or to the terminal for ``-``."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if where == "-":
        sys.stdout.write(text)
    else:
        write_text(text, where)


def write_text(text: str, file: str) -> None:
    """Text to a file. Raises UsageError where that fails."""
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise verify.UsageError(f"cannot write {file!r}: {error.strerror}") from None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def versions() -> dict[str, str]:
    """Of reluproof, Python and the packages that compute."""
    found = {"reluproof": verify.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
