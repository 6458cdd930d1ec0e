"""The line of every input of one check: from kept evidence where that holds up, else worked out afresh.

The order: a certificate or a counterexample in the cache (checked again), certificates of other networks (transferred), inputs that
the baseline knows to be unknown to the very same question, and a run over what is left, as long as the budget lasts.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import verify
from verify.gate.evidence import CERTIFICATE, POINT, Evidence, digest, read_point
from verify.gate.ledger import Account
from verify.gate.outcome import Line
from verify.gate.policy import Check

TRANSFERS = 3  # certificates of other networks that are tried for one input
BUDGET = "the gate's budget was spent"
OPEN = ("timeout", "memory", BUDGET)  # how the reasons of unknown inputs begin that more time or memory might settle


@dataclass(frozen=True)
class Asked:
    """One check with its network, the inputs it is about, and what each claims. ``index``: in the data set, in order."""

    check: Check
    network: verify.Network
    data: verify.Dataset
    index: tuple[int, ...]
    claims: tuple[verify.Claim, ...]


@dataclass
class Answers:
    """Lines by place in ``Asked.index``, where each came from, evidence that was rejected, and what else was noticed."""

    lines: dict[int, Line] = field(default_factory=dict)
    sources: Counter[str] = field(default_factory=Counter)
    rejected: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def put(self, place: int, source: str, line: Line) -> None:
        """The line of an input, and where it came from."""
        self.lines[place] = line
        self.sources[source] += 1


def read_asked(check: Check, folder: Path) -> Asked:
    """Load what a check names, relative to the policy's ``folder``. Errors are those of the loaders, with the check's name."""
    try:
        network = verify.load(_found(check.model, folder), arch=check.arch, input_shape=check.input_shape)
        scale = None if check.scale is None else float(verify.parse_decimal(check.scale, "scale"))
        where = ":".join(_found(part, folder) for part in check.data.split(":"))
        data = verify.load_data(where, label_column=check.label_column, split=check.split, scale=scale)
        text = f"0:{len(data)}" if check.index == "all" else check.index
        index = tuple(sorted(verify.parse_index(text, len(data))))
        if missing := sorted(set(check.thresholds.verified or ()) - set(index)):
            raise verify.UsageError(f"input {missing[0]} must be verified, and index {check.index!r} leaves it out")
        chosen = data.select(index)
        made = verify.claims(
            network,
            chosen.inputs,
            chosen.labels.tolist(),
            epsilon=check.epsilon,
            clip=check.clip,
            norm=check.norm,
            semantics=check.semantics,
        )
    except (verify.UsageError, verify.LoadError) as error:
        raise type(error)(f"check {check.name!r}: {error}") if type(error) in _PLAIN else error from None
    return Asked(check, network, data, index, tuple(made))


_PLAIN = (verify.UsageError, verify.LoadError)  # errors that are made of one message


def _found(name: str, folder: Path) -> str:
    """A file beside the policy where there is one; anything else (module:attribute, say) as it stands."""
    return str(folder / name) if (folder / name).exists() else name


def answer(
    asked: Asked, evidence: Evidence | None, before: Account | None, *, end: float | None, workers: int
) -> Answers:
    """A line for every input. ``end``: when the budget is spent, as a time of ``perf_counter``."""
    found = Answers()
    if evidence is not None:
        for place in range(len(asked.index)):
            _from_cache(asked, place, evidence, found)
        for place in _left(asked, found):
            _transferred(asked, place, evidence, found)
    for place in _left(asked, found):
        _known_unknown(asked, place, before, found)
    _afresh(asked, evidence, found, end, workers)
    return found


def _left(asked: Asked, found: Answers) -> list[int]:
    return [place for place in range(len(asked.index)) if place not in found.lines]


def _line(asked: Asked, place: int, **known: Any) -> Line:
    claim = asked.claims[place]
    return Line(
        **{
            "index": asked.index[place],
            "label": claim.label,
            "question": claim.digest,
            "predicted": claim.predicted,
            **known,
        }
    )


def _proved(asked: Asked, place: int, certificate: bytes) -> Line | str:
    """The line of an input that ``certificate`` proves, with the margin that the checker derived; or why it proves nothing."""
    claim = asked.claims[place]
    report = verify.recheck(claim, certificate)
    if not report.accepted:
        return report.reason
    targets = [t for t in range(asked.network.outputs) if t != claim.label]
    lowest = min(report.margins, key=lambda clause: report.margins[clause], default=0)
    known = len(report.margins) == len(targets)  # a clause may be refuted with no number derived
    return _line(
        asked,
        place,
        state="verified",
        evidence="certified",
        certificate=digest(certificate),
        lower=report.margins[lowest] if known else None,
        target=targets[lowest] if known else None,
    )


def _broken(asked: Asked, place: int, file: bytes) -> Line | str:
    """The line of an input that the point in ``file`` breaks, or why it breaks nothing."""
    witness = verify.refuted(asked.claims[place], read_point(file))
    if witness is None:
        return "it is no counterexample"
    return _line(asked, place, state="falsified", target=witness.target, counterexample=digest(file))


KINDS = {CERTIFICATE: _proved, POINT: _broken}
"""By the kind of a file of evidence: what it shows of an input."""


def _from_cache(asked: Asked, place: int, evidence: Evidence, found: Answers) -> None:
    """What kept evidence shows, if it shows anything. Raises SoundnessError where one file proves what another refutes."""
    claim, shown = asked.claims[place], list[Line]()
    for kind, show in KINDS.items():
        content = evidence.read(claim, kind)
        line = None if content is None else show(asked, place, content)
        if isinstance(line, Line):
            shown.append(line)
        elif line is not None:
            found.rejected.append(f"{evidence.path(claim, kind)} (input {asked.index[place]}): {line}")
    if len(shown) > 1:
        raise verify.SoundnessError(
            f"check {asked.check.name!r}, input {asked.index[place]}: the checker accepts {evidence.path(claim, CERTIFICATE)}, and "
            f"{evidence.path(claim, POINT)} is a counterexample: no number of this run can be trusted"
        )
    if shown:
        found.put(place, "cache", shown[0])


def _transferred(asked: Asked, place: int, evidence: Evidence, found: Answers) -> None:
    claim = asked.claims[place]
    for old in evidence.of_other_networks(claim, TRANSFERS):
        try:
            new = verify.transfer(old, claim.query.network)
        except verify.LoadError as error:
            found.notes.append(f"input {asked.index[place]}: a certificate of another network: {error}")
            continue
        line = _proved(asked, place, new.data) if isinstance(new, verify.Certificate) else new.reason
        if isinstance(new, verify.Certificate) and isinstance(line, Line):
            evidence.keep(claim, CERTIFICATE, new.data)
            found.put(place, "transfer", line)
            return


def _known_unknown(asked: Asked, place: int, before: Account | None, found: Answers) -> None:
    """What the baseline could not decide about the very same question, with the same means, is not tried again."""
    claim = asked.claims[place]
    if before is None or asked.check.retry or before.network != claim.identity or before.versions != verify.versions():
        return
    same = {k: v for k, v in asked.check.facts().items() if k != "index"}
    line = before.lines.get(asked.index[place])
    if line is None or {k: v for k, v in before.asked.items() if k != "index"} != same:
        return
    if line.state == "unknown" and line.question == claim.digest and line.reason != BUDGET:
        found.put(place, "baseline", _line(asked, place, state="unknown", reason=line.reason))


def _afresh(asked: Asked, evidence: Evidence | None, found: Answers, end: float | None, workers: int) -> None:
    """A run over the inputs that are left, certificates and counterexamples going into the cache."""
    left = _left(asked, found)
    budget = None if end is None else end - time.perf_counter()
    if left and (budget is None or budget > 0):
        check = asked.check
        with tempfile.TemporaryDirectory() as folder:
            done = verify.run(
                asked.network,
                asked.data,
                Path(folder) / "run",
                index=[asked.index[place] for place in left],
                epsilon=check.epsilon,
                clip=check.clip,
                norm=check.norm,
                method=check.method,
                timeout=check.timeout,
                semantics=check.semantics,
                trust_solver=check.trust_solver,
                seed=check.seed,
                certificates=True,
                execution=verify.Execution(workers=workers, budget=budget),
            )
            for place in left:
                record = done.records.get(asked.index[place])
                if record is not None:
                    found.put(place, "fresh", _kept(asked, place, record, done.folder, evidence))
    for place in _left(asked, found):
        found.put(place, "not asked", _line(asked, place, state="unknown", reason=BUDGET))


def _kept(asked: Asked, place: int, record: verify.Record, folder: Path, evidence: Evidence | None) -> Line:
    """The line of a record, by the evidence that it left, which goes into the cache where there is one."""
    for file, kind in ((record.certificate, CERTIFICATE), (record.counterexample, POINT)):
        if file is None:
            continue
        content = (folder / file.name).read_bytes()
        line = KINDS[kind](asked, place, content)
        if isinstance(line, str):
            raise verify.SoundnessError(
                f"input {record.index}: evidence that was just accepted is not any more: {line}"
            )
        if evidence is not None:
            evidence.keep(asked.claims[place], kind, content)
        return line
    proved = record.state == "verified"
    return _line(
        asked,
        place,
        state=record.state,
        reason=record.reason,
        evidence=record.evidence,
        target=record.target if proved else None,
        lower=record.lower if proved else None,
    )
