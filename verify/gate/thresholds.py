"""What a policy may ask of the inputs of a check: a table of thresholds, each held, missed or not decided in time.

An input that stayed unknown for want of time or memory may still turn out either way. A threshold is held if it is held
whatever becomes of such inputs, failed if it is missed whatever becomes of them, and undecided otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.gate.answers import BUDGET, OPEN
from verify.gate.compare import Comparison
from verify.gate.outcome import Held, Line, Status
from verify.gate.policy import Thresholds


@dataclass(frozen=True)
class Facts:
    """What thresholds are about: the lines, the comparison with the baseline (None without one), and rejected evidence."""

    lines: Sequence[Line]
    compared: Comparison | None
    rejected: Sequence[str]

    def where(self, state: str) -> list[Line]:
        """The lines of one state."""
        return [line for line in self.lines if line.state == state]

    @property
    def open(self) -> list[Line]:
        """The unknown inputs that more time or memory might settle."""
        return [line for line in self.where("unknown") if line.reason.startswith(OPEN)]


Judge = Callable[[Facts, Any], Held]


def judged(wanted: Thresholds, facts: Facts) -> tuple[Held, ...]:
    """Every threshold that the policy asks for, and those that always hold or fail."""
    asked = [(name, getattr(wanted, name)) for name in ASKED]
    found = [
        _uncompared(name) if name in COMPARING and facts.compared is None else ASKED[name](facts, value)
        for name, value in asked
        if value is not None
    ]
    return (*found, *(judge(facts, None) for judge in ALWAYS))


def _share(name: str, sign: int, counted: Callable[[Facts], int], either: Callable[[Facts], int]) -> Judge:
    """A least (``sign`` 1) or most (-1) value for a share: ``counted`` inputs have the property, ``either`` more may yet."""

    def judge(facts: Facts, wanted: float) -> Held:
        total, sure, maybe = len(facts.lines), counted(facts), either(facts)
        bounds = (sure, sure + maybe) if sign > 0 else (sure + maybe, sure)  # at worst, at best
        slacks = [sign * (count / total - wanted) for count in bounds]
        status = Status.PASSED if slacks[0] >= 0 else Status.FAILED if slacks[1] < 0 else Status.UNDECIDED
        words = f"{_percent(sure, total, sign)} ({sure} of {total})"
        if maybe:
            words += f", up to {_percent(sure + maybe, total, sign)} with {maybe} inputs that were not decided in time"
        return Held(name, status, f"at {'least' if sign > 0 else 'most'} {wanted:.2%}", words, slacks[0])

    return judge


def _percent(count: int, total: int, sign: int) -> str:
    """Rounded to the side that flatters nobody: accuracy down, errors up."""
    hundredths = count * 10_000 // total if sign > 0 else -(-count * 10_000 // total)
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def _unknown(facts: Facts, most: int) -> Held:
    """Inputs that the budget left unasked are nobody's failure yet; any other unknown one counts."""
    unknown = facts.where("unknown")
    tried = [line for line in unknown if line.reason != BUDGET]
    late = len(tried) <= most < len(unknown)
    status = Status.UNDECIDED if late else Status.PASSED if len(unknown) <= most else Status.FAILED
    return Held(
        "unknown", status, f"at most {most}", f"{len(unknown)} of {len(facts.lines)}", most - len(unknown), _at(unknown)
    )


def _named(facts: Facts, wanted: Sequence[int]) -> Held:
    missed = [line for line in facts.lines if line.index in set(wanted) and line.state != "verified"]
    undecided = {line.index for line in facts.open}
    status = Status.PASSED
    if missed:
        status = Status.UNDECIDED if all(line.index in undecided for line in missed) else Status.FAILED
    words = f"{len(wanted) - len(missed)} of {len(wanted)} verified"
    return Held("verified", status, f"{len(wanted)} named inputs verified", words, -len(missed), _at(missed))


def _uncompared(name: str) -> Held:
    """Only where the caller asked for no comparison: a policy that compares is refused otherwise."""
    return Held(name, Status.PASSED, "a baseline", "no comparison was asked for", 0)


def _lost(facts: Facts, most: int) -> Held:
    assert facts.compared is not None
    lost = [change.index for change in facts.compared.changes if change.lost]
    maybe = {line.index for line in facts.open}
    sure = sum(index not in maybe for index in lost)
    status = Status.PASSED if len(lost) <= most else Status.FAILED if sure > most else Status.UNDECIDED
    words = f"{len(lost)} lost their certificate"
    return Held("lost", status, f"at most {most}", words, most - len(lost), tuple(lost))


def _drop(facts: Facts, most: float) -> Held:
    """By how much certified accuracy fell, over the inputs of the baseline."""
    assert facts.compared is not None
    before, total = facts.compared.verified, facts.compared.total
    shared = [line for line in facts.lines if line.index in facts.compared.shared]
    now, maybe = (sum(line in group for line in shared) for group in (facts.where("verified"), facts.open))
    worst, best = (before - now) / total, (before - now - maybe) / total
    status = Status.PASSED if worst <= most else Status.FAILED if best > most else Status.UNDECIDED
    words = f"{before / total:.2%} before, {now / total:.2%} now"
    return Held("drop", status, f"at most {most:.2%}", words, most - worst)


def _errors(facts: Facts, _: None) -> Held:
    failed = facts.where("error")
    words = f"{len(failed)}" + (f": {failed[0].reason}" if failed else "")
    return Held("errors", Status.FAILED if failed else Status.PASSED, "none", words, -len(failed), _at(failed))


def _evidence(facts: Facts, _: None) -> Held:
    """A kept file that is named for a question and does not answer it was damaged or forged."""
    bad = facts.rejected
    words = "all kept evidence held up"
    if bad:
        words = f"{len(bad)} kept files did not hold up: {bad[0]}; delete what was damaged or forged"
    return Held("evidence", Status.FAILED if bad else Status.PASSED, "none rejected", words, -len(bad))


def _baseline(facts: Facts, _: None) -> Held:
    """The baseline is about the same questions."""
    if facts.compared is None:
        return Held("baseline", Status.PASSED, "the same questions", "no baseline", 0)
    other, gone, strange = facts.compared.other, facts.compared.gone, facts.compared.contradicted
    words = [f"{len(facts.compared.shared)} inputs compared"]
    if other:
        words.append(f"{len(other)} ask another question than the baseline (data, label or region): sign off a new one")
    if gone:
        words.append(f"{len(gone)} of the baseline are not asked about any more")
    if strange:
        words.append(
            f"{len(strange)} contradict the baseline about the very same network, so its lines were forged or a run is unsound"
        )
    bad = (*other, *gone, *strange)
    return Held(
        "baseline", Status.FAILED if bad else Status.PASSED, "the same questions", "; ".join(words), -len(bad), bad
    )


def _at(lines: Sequence[Line]) -> tuple[int, ...]:
    return tuple(line.index for line in lines)


def _count(state: str) -> Callable[[Facts], int]:
    return lambda facts: len(facts.where(state))


def _open(facts: Facts) -> int:
    return len(facts.open)


def _not_verified(facts: Facts) -> int:
    """Without those that may still be."""
    return len(facts.lines) - len(facts.where("verified")) - len(facts.open)


ASKED: Mapping[str, Judge] = {
    "certified_accuracy": _share("certified_accuracy", 1, _count("verified"), _open),
    "certified_error": _share("certified_error", -1, _not_verified, _open),
    "attacked_error": _share("attacked_error", -1, _count("falsified"), _open),
    "clean_error": _share("clean_error", -1, lambda f: sum(line.misclassified for line in f.lines), lambda f: 0),
    "unknown": _unknown,
    "verified": _named,
    "lost": _lost,
    "drop": _drop,
}
"""The thresholds of a policy, by name."""

ALWAYS: tuple[Judge, ...] = (_errors, _evidence, _baseline)
"""What no policy has to ask for."""

COMPARING = ("lost", "drop")
"""The thresholds that need a baseline."""
