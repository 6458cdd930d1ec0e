"""The journal of a run: an append-only file of JSON lines, each with its checksum, on disk before anything counts as done.

The first line says which run it is; every other is the record of one input, or says that a stage is done with a block.
A process that is killed while it writes leaves at most one torn line, the last, which the next run drops.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from verify.dataset.question import differences
from verify.dataset.record import File, Record, record_of
from verify.errors import LoadError, UsageError

NAME, FORMAT = "journal.jsonl", 1
_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)  # Windows would write line ends of its own


@dataclass(frozen=True)
class Passed:
    """A cheap stage is done with a block, given by the index of its first input: who is still open was not settled by it."""

    stage: str
    block: int
    seconds: float


@dataclass(frozen=True)
class Past:
    """What a journal holds: the run's identity, records by index, passed stages, and how many torn bytes end it."""

    run: dict[str, Any]
    records: dict[int, Record]
    passed: tuple[Passed, ...]
    torn: int = 0
    size: int = 0  # of the part that is whole


def read_journal(path: Path) -> Past:
    """The journal at ``path``. Raises LoadError where a line but the last is damaged, or an input has two records."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LoadError(f"cannot read the journal {str(path)!r}: {error.strerror}") from None
    run: dict[str, Any] = {}
    records: dict[int, Record] = {}
    passed: list[Passed] = []
    size = 0
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        entry = _entry(line)
        if entry is None:
            if number == len(lines) - 1 and not lines[-1]:
                break  # the last line: torn, though its end came through
            raise LoadError(
                f"{path}, line {number}: damaged; a crash can only tear the last line, so something else wrote here. "
                "Start again in another folder"
            )
        kind, body = entry
        size += len(line) + 1
        if kind == "run":
            run = body
        elif kind == "passed":
            passed.append(Passed(**body))
        else:
            record = record_of(body)
            if record.index in records:
                raise LoadError(f"{path}, line {number}: input {record.index} has a second record")
            records[record.index] = record
    if not run:
        raise LoadError(
            f"{path} does not say which run it is of: it is torn at its first line. Delete it and start again"
        )
    return Past(run, records, tuple(passed), len(content) - size, size)


class Journal:
    """A journal that is written; one process at a time holds its folder. Use it in a ``with`` statement."""

    def __init__(self, folder: Path, run: Mapping[str, Any], *, resume: bool) -> None:
        self.path = folder / NAME
        self._lock = _Lock(folder / "lock")
        try:
            self.past = self._opened(run, resume=resume)
        except BaseException:
            self._lock.release()
            raise

    def _opened(self, asked: Mapping[str, Any], *, resume: bool) -> Past:
        run: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **asked}))
        if not self.path.exists() or not self.path.stat().st_size:
            self._file = os.open(self.path, _APPEND | os.O_CREAT, 0o644)
            self._write([_line("run", run)])
            _sync_folder(self.path.parent)
            return Past(run, {}, ())
        if not resume:
            raise UsageError(
                f"{str(self.path.parent)!r} holds a run already: go on with it (resume), or name another folder"
            )
        past = read_journal(self.path)
        if other := differences(past.run, run):
            raise UsageError(
                f"{str(self.path.parent)!r} holds another run ({'; '.join(other[:4])}): none of its records may be used "
                "for this one. Name another folder"
            )
        self._file = os.open(self.path, _APPEND)
        if past.torn:
            os.ftruncate(self._file, past.size)
            os.fsync(self._file)
        return past

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)
        self._lock.release()

    def add(self, records: Iterable[Record], passed: Iterable[Passed] = ()) -> None:
        """Append the records, then that their stages have passed their blocks; on disk when this returns.

        Raises UsageError where the disk does not take it; what was written before is safe.
        """
        lines = [_line("record", record.data()) for record in records]
        lines += [_line("passed", asdict(entry)) for entry in passed]
        self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise UsageError(
                f"cannot write {str(self.path)!r}: {error.strerror}; what was written before is safe: make room, then resume"
            ) from None


class _Lock:
    """A lock on a folder that the system lets go of when its holder dies, in whatever way."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from None
        try:
            _lock(self._file)
        except OSError:
            os.close(self._file)
            raise UsageError(
                f"another process is writing into {str(path.parent)!r}: wait for it, or name another folder"
            ) from None

    def release(self) -> None:
        os.close(self._file)


def _lock(file: int) -> None:
    """Lock the file for this process, or raise OSError at once."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _line(kind: str, body: Mapping[str, Any]) -> bytes:
    text = json.dumps({"kind": kind, kind: body}, allow_nan=False)
    return f'{text[:-1]}, "crc": {zlib.crc32(text.encode())}}}\n'.encode()


def _entry(line: bytes) -> tuple[str, dict[str, Any]] | None:
    """Kind and body of a line, or None where it is damaged."""
    text, mark, crc = line.rpartition(b', "crc": ')
    if not mark or not crc.endswith(b"}") or not crc[:-1].isdigit() or zlib.crc32(text + b"}") != int(crc[:-1]):
        return None
    whole = json.loads(text + b"}")
    return whole["kind"], whole[whole["kind"]]


def _sync_folder(folder: Path) -> None:
    """Make the folder's own entry of a new file last, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def content_of(folder: Path, file: File) -> bytes:
    """The bytes of a record's file. Raises LoadError where they are not those that the record was written for."""

    try:
        content = (folder / file.name).read_bytes()
    except OSError as error:
        raise LoadError(f"cannot read {str(folder / file.name)!r}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise LoadError(f"{str(folder / file.name)!r} is not the file that the journal names: its SHA-256 differs")
    return content
