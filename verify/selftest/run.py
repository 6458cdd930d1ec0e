"""``verify.selftest``: every method on questions whose answer is known, with the libraries that are installed here."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from fractions import Fraction

import torch

from verify.branch.decide import decide
from verify.certificate import Certificate
from verify.certify.methods import METHODS
from verify.certify.options import Options
from verify.check import check
from verify.errors import SoundnessError, UsageError
from verify.exact_evaluation import exact_rows
from verify.floating import require_gradual_underflow
from verify.network import Semantics
from verify.proof.canonical import canonical
from verify.property import rows_as_clauses
from verify.selftest.networks import KINDS
from verify.selftest.questions import FLAVOURS, NETWORKS, Question, question, scores_at
from verify.verdict import Verdict

PATIENCE = 0.5  # seconds for one method on one question: ties keep complete methods busy for ever
ORACLE = 1e-7  # relative: what the enumeration's linear programs may be off
CLAIMS = 1e-5  # and a solver's claim, which is trusted no further
TIMES = {"planted at a point": 4}  # in a round: quick, and a rounding that is not paid for shows in every other one
DECIDE = "decide"
ARITHMETICS = ("float64", "exact")


@dataclass
class Row:
    """What one method did about one semantics: how many questions, bounds compared with the truth, rows it verified."""

    semantics: Semantics
    method: str
    questions: int = 0
    bounds: int = 0
    verified: int = 0
    falsified: int = 0
    open: int = 0
    certificates: int = 0
    contradictions: int = 0


@dataclass(frozen=True)
class SelfTest:
    """What was tried, and every ``contradiction`` with the truth, in words. It passed when there is none."""

    seed: int
    seconds: float
    questions: int
    rows: tuple[Row, ...]
    contradictions: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing contradicted the truth."""
        return not self.contradictions


@dataclass
class _Notes:
    rows: dict[tuple[Semantics, str], Row] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)

    def row(self, asked: Question, method: str) -> Row:
        """The row of a method and the question's semantics."""
        return self.rows.setdefault((asked.semantics, method), Row(asked.semantics, method))

    def wrong(self, asked: Question, method: str, what: str) -> None:
        """Note a contradiction."""
        self.row(asked, method).contradictions += 1
        self.contradictions.append(f"{method}: {asked.name}: {what}")


def selftest(*, seed: int = 0, seconds: float = 40.0) -> SelfTest:
    """Ask every method questions about small random networks for about ``seconds``, and compare with the truth.

    The truth: exact values at points (tolerance: none), and minima by enumerating activation patterns. Certificates of
    ``decide`` are checked in both arithmetics. The same ``seed`` asks the same questions in the same order; how many is a
    matter of time, but each kind of question is asked at least once. Raises UsageError for a time that is not positive.
    """
    if not seconds > 0:
        raise UsageError(f"seconds is {seconds}: give a positive number")
    begun, notes, count = time.perf_counter(), _Notes(), 0
    try:
        require_gradual_underflow()
    except SoundnessError as error:
        return SelfTest(seed, 0.0, 0, (), (str(error),))
    generator = torch.Generator().manual_seed(seed)
    for kind, semantics, flavour in itertools.cycle(_plan()):
        if count >= len(_plan()) and time.perf_counter() - begun > seconds:
            break
        _examine(question(generator, semantics, kind, flavour), notes)
        count += 1
    rows = tuple(notes.rows.values())
    return SelfTest(seed, time.perf_counter() - begun, count, rows, tuple(notes.contradictions))


def _plan() -> list[tuple[str, Semantics, str]]:
    """One round: every kind of network, each semantics, every flavour; what is hardly true is so by enumeration."""
    words: tuple[Semantics, ...] = ("real", "float32")
    known = [(k, s, f) for k in NETWORKS for s in words for f in FLAVOURS for _ in range(TIMES.get(f, 1))]
    return [(k, s, f) for k, s, f in known if f != "hardly true" or (s == "real" and k in KINDS)]


def _examine(asked: Question, notes: _Notes) -> None:
    query = asked.query
    for name, method in METHODS.items():
        if (method.claims and asked.semantics != "real") or (name == "linear" and query.network.relus):
            continue
        row = notes.row(asked, name)
        row.questions += 1
        options = Options(semantics=asked.semantics, timeout=PATIENCE, deadline=time.perf_counter() + PATIENCE)
        try:
            found = method.certify(query, options)
        except SoundnessError as error:
            notes.wrong(asked, name, str(error))
            continue
        for s, (proved, claimed) in enumerate(zip(found.proved[0].tolist(), found.lower[0].tolist(), strict=True)):
            row.bounds += 1
            row.verified += proved > 0
            row.open += not proved > 0
            _compare(asked, notes, name, s, proved, claimed)
    _decide(asked, notes)


def _compare(asked: Question, notes: _Notes, name: str, s: int, proved: float, claimed: float) -> None:
    """One row's bound against the truth."""
    if proved != proved or Fraction(max(proved, -1e300)) > asked.attained[s]:
        notes.wrong(asked, name, f"proved {proved!r} of row {s}, which is {float(asked.attained[s])!r} at a point")
    elif asked.lowest is not None:
        lowest = asked.lowest[s]
        size = 1.0 + abs(lowest)
        if proved > lowest + ORACLE * size or claimed > lowest + CLAIMS * size:
            notes.wrong(asked, name, f"bound {max(proved, claimed)!r} of row {s}, whose minimum is {lowest!r}")


def _decide(asked: Question, notes: _Notes) -> None:
    """The decision about the question, its counterexample or its certificate."""
    query, row = asked.query, notes.row(asked, DECIDE)
    row.questions += 1
    try:
        prop = rows_as_clauses(query)
        decision = decide(query.network, prop, timeout=PATIENCE, certificate=True, semantics=asked.semantics)
    except SoundnessError as error:
        notes.wrong(asked, DECIDE, str(error))
        return
    row.verified += decision.verdict is Verdict.VERIFIED
    row.falsified += decision.verdict is Verdict.FALSIFIED
    row.open += decision.verdict is Verdict.UNKNOWN
    if decision.verdict is Verdict.VERIFIED and min(asked.attained) <= 0:
        notes.wrong(asked, DECIDE, f"verified, but a row is {float(min(asked.attained))!r} at a point")
    if decision.counterexample is not None:
        spec, k = query.specification, decision.counterexample.clause
        x = decision.counterexample.x
        value = exact_rows(spec.C[0, k : k + 1], spec.d[0, k : k + 1], scores_at(query.network, x))[0]
        inside = bool(query.region.contains(x.unsqueeze(0)).all())
        if value > 0 or not inside:
            notes.wrong(asked, DECIDE, f"a counterexample whose row is {float(value)!r}, inside: {inside}")
    if decision.verdict is Verdict.VERIFIED:
        _check(asked, notes, decision.certificate)


def _check(asked: Question, notes: _Notes, found: object) -> None:
    """The certificate by the independent checker, in both arithmetics."""
    if not isinstance(found, Certificate):
        notes.wrong(asked, DECIDE, f"no certificate: {getattr(found, 'reason', found)}")
        return
    notes.row(asked, DECIDE).certificates += 1
    file = canonical(asked.query.network)
    for arithmetic in ARITHMETICS:
        report = check(found.data, file, arithmetic=arithmetic)
        if not report.accepted:
            notes.wrong(asked, DECIDE, f"certificate rejected in {arithmetic} arithmetic: {report.reason}")
        for k, margin in report.margins.items():
            if Fraction(margin) > asked.attained[k]:
                notes.wrong(asked, DECIDE, f"the checker derived {margin!r} of row {k}, above its value at a point")
