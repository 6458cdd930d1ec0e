"""What every picture shares: a matplotlib Figure of its own, the colours, and the file that it becomes.

Only the Figure object is used: no pyplot, hence no window, no back end to choose and no state that outlives a picture.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import verify

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Lines and bars, told apart with any colour vision (Okabe and Ito 2008)."""
SIGNED, UNSIGNED = "RdBu", "cividis"
"""Colour maps: of numbers with a sign, below zero red and above it blue, and of others. Neither sets red against green."""

SUFFIXES = {".png": "png", ".svg": "svg"}
_DOTS_PER_INCH = 150
# Letters stay letters in SVG, and the same picture is the same file.
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "reluproof", "font.size": 9.0}


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of this size in inches, which keeps labels apart by itself.

    Raises MissingDependency without matplotlib.
    """
    return _matplotlib("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: str | Path) -> None:
    """Write ``figure`` as PNG or SVG, which the suffix says.

    Raises as :func:`check` does, and UsageError where it cannot be written.
    """
    kind = check(path)
    try:
        with _matplotlib("matplotlib").rc_context(_STYLE):
            figure.savefig(path, format=kind, dpi=_DOTS_PER_INCH, metadata={"Date": None} if kind == "svg" else None)
    except OSError as error:
        raise verify.UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None


def check(path: str | Path) -> str:
    """``"png"`` or ``"svg"``, asked before anything is computed for a picture.

    Raises UsageError for a name with another suffix, and MissingDependency without matplotlib.
    """
    _matplotlib("matplotlib")
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise verify.UsageError(f"cannot draw into {str(path)!r}: give a name that ends in {' or '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def _matplotlib(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise verify.MissingDependency(f'pictures need matplotlib ({error}): pip install "reluproof[plot]"') from error
