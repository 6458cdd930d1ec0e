"""A threshold is held or missed whatever becomes of inputs that time did not decide, or else it is undecided."""

from __future__ import annotations

import pytest
from support.gates import line

from verify.gate.answers import BUDGET
from verify.gate.compare import compared
from verify.gate.ledger import Account
from verify.gate.outcome import Status
from verify.gate.policy import Thresholds
from verify.gate.thresholds import Facts, judged

STATES = {
    "v": {"state": "verified"},
    "f": {"state": "falsified"},
    "m": {"state": "falsified", "predicted": 7},  # misclassified as it is
    "t": {"state": "unknown", "reason": "timeout"},
    "o": {"state": "unknown", "reason": "memory"},
    "b": {"state": "unknown", "reason": BUDGET},
    "i": {"state": "unknown", "reason": "incomplete method"},
    "e": {"state": "error", "reason": "worker died"},
}


def lines(word):
    return [line(k, **STATES[letter]) for k, letter in enumerate(word)]


def facts(word, before=None, *, network="a" * 64, rejected=()):
    account = None
    if before is not None:
        account = Account("digits", {}, "a" * 64, {}, {one.index: one for one in lines(before)})
    return Facts(lines(word), None if account is None else compared(lines(word), network, account), rejected)


def status(name, wanted, given):
    return next(held for held in judged(Thresholds(**{name: wanted}), given) if held.name == name).status


P, F, U = Status.PASSED, Status.FAILED, Status.UNDECIDED


@pytest.mark.parametrize(
    ("name", "wanted", "word", "found"),
    [
        ("certified_accuracy", 0.5, "vvff", P),
        ("certified_accuracy", 0.5, "vfff", F),
        ("certified_accuracy", 0.5, "vtff", U),
        ("certified_accuracy", 0.5, "voff", U),
        ("certified_accuracy", 0.5, "viff", F),  # more time would not help
        ("certified_accuracy", 0.75, "vtff", F),  # nor would it here
        ("certified_accuracy", 0.5, "vvtf", P),
        ("certified_accuracy", 0.5, "veff", F),
        ("certified_accuracy", 1.0, "vvv", P),
        ("certified_error", 0.5, "vvff", P),
        ("certified_error", 0.25, "vvff", F),
        ("certified_error", 0.25, "vvft", U),
        ("certified_error", 0.25, "vvfi", F),
        ("attacked_error", 0.25, "vvvf", P),
        ("attacked_error", 0.25, "vvff", F),
        ("attacked_error", 0.25, "vvft", U),
        ("attacked_error", 0.25, "vvfi", P),
        ("clean_error", 0.25, "vvfm", P),
        ("clean_error", 0.25, "vvmm", F),
        ("unknown", 1, "vvvt", P),
        ("unknown", 0, "vvvt", F),
        ("unknown", 0, "vvvb", U),
        ("unknown", 1, "vtbb", U),
        ("unknown", 0, "vtbb", F),
        ("verified", (0, 1), "vvff", P),
        ("verified", (0, 2), "vvff", F),
        ("verified", (0, 2), "vvtf", U),
        ("verified", (0, 2, 3), "vvtf", F),
        ("errors", None, "vvvv", P),
        ("errors", None, "vvve", F),
    ],
)
def test_each_threshold(name, wanted, word, found):
    given = facts(word)
    if wanted is None:
        assert next(held for held in judged(Thresholds(clean_error=1.0), given) if held.name == name).status is found
    else:
        assert status(name, wanted, given) is found


@pytest.mark.parametrize(
    ("name", "wanted", "before", "now", "found"),
    [
        ("lost", 0, "vvff", "vvff", P),
        ("lost", 0, "vvff", "vfff", F),
        ("lost", 1, "vvff", "vfff", P),
        ("lost", 0, "vvff", "vtff", U),
        ("lost", 0, "vvff", "viff", F),
        ("lost", 0, "vvff", "fvvv", F),  # what is gained makes up for nothing
        ("drop", 0.0, "vvff", "fvvf", P),  # but here it does
        ("drop", 0.25, "vvff", "vfff", P),
        ("drop", 0.0, "vvff", "vfff", F),
        ("drop", 0.0, "vvff", "vtff", U),
        ("drop", 0.0, "vvff", "vvfffff", P),  # new inputs do not count
    ],
)
def test_each_threshold_that_compares(name, wanted, before, now, found):
    assert status(name, wanted, facts(now, before, network="b" * 64)) is found


@pytest.mark.parametrize(("before", "now"), [("v", "f"), ("f", "v")])
def test_the_same_network_cannot_answer_both_ways(before, now):
    bad = facts(now, before)
    assert status("clean_error", 1.0, bad) is P
    assert {held.name for held in judged(Thresholds(clean_error=1.0), bad) if held.status is F} == {"baseline"}
    assert all(held.status is P for held in judged(Thresholds(clean_error=1.0), facts(now, before, network="b" * 64)))


def test_rejected_evidence_fails_and_is_named():
    held = judged(Thresholds(clean_error=1.0), facts("v", rejected=["the file x: why"]))
    assert [h.found for h in held if h.status is F] == [
        "1 kept files did not hold up: the file x: why; delete what was damaged or forged"
    ]


@pytest.mark.parametrize(("name", "words"), [("certified_accuracy", "66.66%"), ("certified_error", "33.34%")])
def test_shares_are_rounded_to_the_side_that_flatters_nobody(name, words):
    held = judged(Thresholds(**{name: 0.5}), facts("vvf"))[0]
    assert held.found.startswith(words)
