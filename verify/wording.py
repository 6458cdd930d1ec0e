"""Words and numbers as people read them, the same on a terminal and in a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

MEANING = {
    "real": "network in exact real arithmetic over the stored weights",
    "float32": "float32 x, network as executed node by node in IEEE float32, in any order of summation",
}
"""What a claim is about, by semantics (docs/semantics.md)."""


def claim(epsilon: Any, norm: str, clip: tuple[Any, Any] | None, semantics: str) -> str:
    """The claim that is made of a verified input, in words; numbers as they are to be printed."""
    inside = "" if clip is None else f" within [{clip[0]}, {clip[1]}]"
    return f"every x{inside} with |x - input|_{norm.replace('linf', 'inf')} <= {epsilon}, {MEANING[semantics]}"


def decimal(text: str) -> str:
    """A rational number as a decimal where that is exact and short: ``7/100`` is 0.07, ``8/255`` stays."""
    short = repr(float(Fraction(text))).removesuffix(".0")
    return short if Fraction(short) == Fraction(text) else text


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
