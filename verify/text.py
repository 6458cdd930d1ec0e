"""Plain text for a terminal: aligned columns and short numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Rows under a header, columns two spaces apart; the first ``left`` columns are flush left, the rest right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    texts = [
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([texts[0], "-" * max(len(t) for t in texts), *texts[1:]])


def number(value: float, digits: int = 4) -> str:
    """A number with ``digits`` decimals, never rounded across zero: a positive bound does not print as 0.0000."""
    if not math.isfinite(value):
        return "-inf" if value < 0 else ("inf" if value > 0 else "nan")
    if value == math.ulp(0.0):
        return "> 0"  # what branch and bound proves of a margin: its sign
    text = f"{value:.{digits}f}"
    if value != 0 and float(text) == 0:
        return f"{value:.1e}"
    return text


def seconds(value: float) -> str:
    """A time with its unit."""
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"
