"""Folders and files that are written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from verify.errors import UsageError


def made(folder: str | Path) -> Path:
    """The folder, which is made where it is missing. Raises UsageError where that fails."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from None
    return path


def keep(path: Path, content: bytes) -> None:
    """Write a whole file, or none: on disk under its name when this returns. Raises UsageError where that fails."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}; make room, then resume") from None
