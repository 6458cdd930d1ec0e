"""The inputs as compact JSON, a list for each column, which the page's script searches, sorts and shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from verify.report.subject import Subject

WORDS = ("state", "reason", "stage", "evidence")
"""Columns of few different words: each cell is the word's place in the column's list of words."""
PLAIN = ("index", "label", "predicted", "lower", "upper", "target", "seconds", "certificate", "counterexample")


def table_of(subjects: Sequence[Subject]) -> str:
    """JSON: ``titles`` of the subjects, ``words`` by column, ``columns`` by name (``subject`` first); None is null."""
    rows = [(k, row) for k, one in enumerate(subjects) for row in one.rows]
    words = {name: list(dict.fromkeys(getattr(row, name) for _, row in rows)) for name in WORDS}
    place = {name: {word: k for k, word in enumerate(known)} for name, known in words.items()}
    columns: dict[str, list[Any]] = {"subject": [k for k, _ in rows]}
    columns |= {name: [getattr(row, name) for _, row in rows] for name in PLAIN}
    columns |= {name: [place[name][getattr(row, name)] for _, row in rows] for name in WORDS}
    data = {"titles": [one.title for one in subjects], "words": words, "columns": columns}
    return in_script(json.dumps(data, separators=(",", ":"), allow_nan=False))


def in_script(text: str) -> str:
    """JSON that a ``<script>`` element may hold: no text of it can end the element or begin a comment."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
