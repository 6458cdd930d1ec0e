"""The noun for what a verified query leaves behind; only :mod:`verify.proof.certificate` and ``transfer`` make one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from verify.errors import UsageError

if TYPE_CHECKING:
    from verify.check import Report


@dataclass(frozen=True)
class Certificate:
    """The file's bytes, and the report of the checker that accepted it."""

    data: bytes
    report: Report

    def save(self, path: str | Path) -> None:
        """Write the file. Raises UsageError where that cannot be done."""
        try:
            Path(path).write_bytes(self.data)
        except OSError as error:
            raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None


@dataclass(frozen=True)
class Refused:
    """Why there is no certificate, although the query is verified."""

    reason: str
