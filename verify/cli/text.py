"""Plain text for a terminal: aligned columns and short numbers."""

from __future__ import annotations

from collections.abc import Sequence

from verify.wording import number as number
from verify.wording import seconds as seconds


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
