"""The shards of one run become one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verify.dataset.journal import Journal, content_of
from verify.dataset.question import differences
from verify.dataset.record import Record
from verify.dataset.result import CERTIFICATES, COUNTEREXAMPLES, NETWORK, Run, read_run
from verify.dataset.summary import write_summary
from verify.errors import UsageError
from verify.files import keep, made


def merge(shards: Sequence[str | Path], out: str | Path) -> Run:
    """The run in the new folder ``out`` that holds the records and files of the runs ``shards``.

    Raises UsageError unless they are the shards of one run, each once, and LoadError where a file of theirs is missing or
    is not the one that its record names. Shards that are missing, or not finished, are said in the notes.
    """
    if not shards:
        raise UsageError("nothing to merge: name the folders of the shards")
    runs = [read_run(folder) for folder in shards]
    first = _but_shard(runs[0].identity)
    for run in runs[1:]:
        if other := differences(first, _but_shard(run.identity)):
            raise UsageError(
                f"{str(runs[0].folder)!r} and {str(run.folder)!r} are of different runs: {'; '.join(other[:4])}"
            )
    parts = [tuple(run.identity["shard"]) for run in runs]
    if twice := next((part for part in parts if parts.count(part) > 1), None):
        raise UsageError(f"shard {twice[0]}/{twice[1]} is there twice")
    records = {i: record for run in runs for i, record in run.records.items()}
    if len(records) < sum(len(run.records) for run in runs):
        raise UsageError("two shards answer about the same input: they are not shards of one selection")
    folder = made(out)
    identity = {**first, "shard": [1, 1]}
    with Journal(folder, {k: v for k, v in identity.items() if k != "format"}, resume=False) as journal:
        keep(folder / NETWORK, (runs[0].folder / NETWORK).read_bytes())
        for name in (CERTIFICATES, COUNTEREXAMPLES):
            made(folder / name)
        for run in runs:
            for record in run.records.values():
                _bring(run.folder, folder, record)
            journal.add(run.records.values(), run.passed)
        passed = tuple(entry for run in runs for entry in run.passed)
        whole = Run(folder, journal.past.run, dict(sorted(records.items())), passed, _notes(runs))
        write_summary(whole)
    return whole


def _notes(runs: Sequence[Run]) -> tuple[str, ...]:
    """What is missing from the whole."""
    wanted, have = int(runs[0].identity["data"]["inputs"]), sum(len(run.records) for run in runs)
    return () if have == wanted else (f"{wanted - have} of {wanted} inputs have no record in these shards",)


def _but_shard(identity: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in identity.items() if k != "shard"}


def _bring(source: Path, folder: Path, record: Record) -> None:
    """Copy the files of a record, which must be what it says."""
    for file in (record.counterexample, record.certificate):
        if file is not None:
            keep(folder / file.name, content_of(source, file))
