"""``verify.report``: runs, and the outcome of a gate, as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import verify
from verify.report import verdicts
from verify.report.curves import charts
from verify.report.gallery import MOST, Gallery, gallery_of
from verify.report.gate import gate_of
from verify.report.histogram import Histogram, margin_histograms
from verify.report.ladder import Ladder, ladders
from verify.report.page import page
from verify.report.subject import Subject, subject_of_check, subject_of_run
from verify.report.table import table_of

if TYPE_CHECKING:
    from verify.gate.outcome import GateOutcome


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """All that the page says of one subject."""

    subject: Subject
    parts: tuple[verdicts.Part, ...]
    errors: tuple[verdicts.Share, ...]
    evidence: tuple[tuple[str, int], ...]
    stages: tuple[tuple[str, int, float], ...]
    histograms: tuple[Histogram, ...]
    ladders: tuple[Ladder, ...]
    gallery: Gallery | None


def report(
    runs: verify.Run | Sequence[verify.Run],
    out: str | Path,
    *,
    data: verify.Dataset | None = None,
    network: verify.Network | None = None,
    ladder: int = 0,
    timeout: float = 10.0,
    radii: Sequence[verify.Radii] = (),
    gate: GateOutcome | None = None,
) -> Path:
    """Write the report of ``runs``, and of ``gate``, to ``out``: one HTML file that needs no network and nothing beside it.

    ``data``, which the runs must be about, adds pictures of counterexamples where the inputs are images. With the ``network``
    too, ``ladder`` inputs of the first run are asked of every method (:func:`verify.compare`), ``timeout`` seconds each.
    ``radii`` (:func:`verify.read_radii`) add curves of certified accuracy, as do runs about one question at several radii.
    The same arguments give the same file, but for the times that a ladder measures.

    Raises UsageError where there is nothing to report, ``data`` or ``network`` is not that of the runs, or ``out`` cannot be
    written, LoadError where a counterexample's file is missing or another, and SoundnessError where runs contradict each other.
    """
    asked = [runs] if isinstance(runs, verify.Run) else list(runs)
    path = Path(out)
    _check(asked, path, data=data, network=network, ladder=ladder, gate=gate)
    chapters = [
        _chapter(
            subject_of_run(run, title, network),
            gallery=None if data is None else gallery_of(run, data, max(1, MOST // len(asked))),
            ladders=() if run is not asked[0] else _ladders(run, network, data, ladder, timeout),
        )
        for run, title in zip(asked, _titles(asked), strict=True)
    ]
    if gate is not None:
        chapters += [_chapter(subject_of_check(one, gate.versions)) for one in gate.checks]
    subjects = [chapter.subject for chapter in chapters]
    text = page(
        chapters=chapters,
        charts=charts(subjects, radii),
        gate=None if gate is None else gate_of(gate),
        table=table_of(subjects),
        rows=sum(len(one.rows) for one in subjects),
        timeout=timeout,
        version=verify.__version__,
    )
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise verify.UsageError(f"cannot write {str(out)!r}: {error.strerror}") from None
    return path


def _check(
    runs: Sequence[verify.Run],
    path: Path,
    *,
    data: verify.Dataset | None,
    network: verify.Network | None,
    ladder: int,
    gate: GateOutcome | None,
) -> None:
    """Whatever does not fit is said before anything is computed."""
    if not runs and gate is None:
        raise verify.UsageError("there is nothing to report: give a run, or the outcome of a gate")
    if not path.parent.is_dir():
        raise verify.UsageError(f"cannot write {str(path)!r}: {str(path.parent)!r} is no folder")
    if ladder < 0:
        raise verify.UsageError(f"ladder is {ladder}: give how many inputs every method is asked about, or 0")
    if ladder and (not runs or data is None or network is None):
        raise verify.UsageError("a ladder is computed anew: give a run, its data and its network")
    if network is not None and runs and verify.identity(network) != runs[0].identity["network"]:
        raise verify.UsageError(
            f"{network.source} is not the network of the run in {str(runs[0].folder)!r}: give that one"
        )
    for run in runs:
        if not run.records:
            raise verify.UsageError(f"the run in {str(run.folder)!r} has no answer yet: go on with it first")
        if data is not None:
            run.require(data)


def _titles(runs: Sequence[verify.Run]) -> list[str]:
    """The folders' names, or their whole paths where two have the same."""
    names = [run.folder.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.folder) for run in runs]


def _chapter(subject: Subject, *, gallery: Gallery | None = None, ladders: tuple[Ladder, ...] = ()) -> Chapter:
    return Chapter(
        subject=subject,
        parts=verdicts.parts_of(subject),
        errors=verdicts.errors_of(subject),
        evidence=verdicts.evidence_of(subject),
        stages=verdicts.settled_by(subject),
        histograms=margin_histograms(subject),
        ladders=ladders,
        gallery=gallery,
    )


def _ladders(
    run: verify.Run, network: verify.Network | None, data: verify.Dataset | None, count: int, timeout: float
) -> tuple[Ladder, ...]:
    if not count or network is None or data is None:
        return ()
    return ladders(run, network, data, count=count, timeout=timeout)
