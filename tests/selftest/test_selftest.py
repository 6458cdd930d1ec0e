"""The self-test passes here, and does not pass what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

import verify
from verify.check import Report
from verify.cli.main import main
from verify.selftest import run
from verify.selftest.oracle import exact_minima
from verify.selftest.questions import FLAVOURS, question, scores_at


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "NETWORKS", ("linear", "cancelling"))


def test_it_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--seconds", "1", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "passed" in said
    assert "CONTRADICTION" not in said
    for word in ("real", "float32", "interval", "dual", "crown", "alpha", "lp", "milp", "complete", "decide", "linear"):
        assert word in said


@pytest.mark.usefixtures("few")
def test_what_it_reports() -> None:
    found = verify.selftest(seed=1, seconds=0.1)
    assert isinstance(found, verify.SelfTest)
    assert found.passed
    assert found.questions == len(run._plan())
    decided = {r.semantics: r for r in found.rows if r.method == "decide"}
    for row in decided.values():
        assert row.falsified
        assert row.certificates == row.verified > 0
    assert not any(r.method == "milp" for r in found.rows if r.semantics == "float32")


def no_slack(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("verify.bounds.interval.slack", lambda op, magnitude: None)


def no_executions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("verify.bounds.compute.errors_of", lambda node, inputs: None)


def too_high(patch: pytest.MonkeyPatch) -> None:
    from verify.certify import answer

    honest = answer.spec_bounds
    patch.setattr(answer, "spec_bounds", lambda *words: honest(*words) + 0.1)


def hasty(patch: pytest.MonkeyPatch) -> None:
    """Everything is verified, without looking."""
    honest = run.decide
    patch.setattr(run, "decide", lambda *a, **k: replace(honest(*a, **k), verdict=verify.Verdict.VERIFIED))


def contrary(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(run, "check", lambda *a, **k: Report(False, "because"))


BROKEN: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "rounding is forgotten": (no_slack, "at a point"),
    "executions are forgotten": (no_executions, "float32"),
    "margins are too high": (too_high, "real: proved"),
    "decisions are wrong": (hasty, "verified, but a row is"),
    "the checker disagrees": (contrary, "certificate rejected in exact arithmetic: because"),
}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_does_not_pass(
    what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = BROKEN[what]
    change(monkeypatch)
    assert main(["selftest", "--seconds", "0.1"]) == 1
    said = capsys.readouterr().out
    assert any(line.startswith("CONTRADICTION") and words in line for line in said.splitlines()), said
    assert "FAILED" in said


def test_a_process_that_flushes_subnormals_does_not_pass() -> None:
    if not torch.set_flush_denormal(True):
        pytest.fail("this machine cannot flush subnormal numbers")
    try:
        found = verify.selftest(seconds=0.1)
    finally:
        torch.set_flush_denormal(False)
    assert not found.passed
    assert "flushes subnormal numbers" in found.contradictions[0]


@pytest.mark.usefixtures("few")
def test_the_report_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--seconds", "0.1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["passed"]
    assert data["seed"] == 0
    assert data["contradictions"] == []
    assert {"method", "bounds", "verified"} <= set(data["rows"][0])


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_time_that_is_not_positive_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--seconds", seconds]) == 2
    assert "give a positive number" in capsys.readouterr().err


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_questions_are_what_they_say(flavour: str) -> None:
    asked = question(torch.Generator().manual_seed(5), "real", "residual", flavour)
    again = question(torch.Generator().manual_seed(5), "real", "residual", flavour)
    assert asked.attained == again.attained
    minima, points = exact_minima(asked.query)
    assert asked.lowest is not None
    for s, x in enumerate(torch.from_numpy(points)):
        assert abs(asked.lowest[s] - minima[s]) < 1e-12
        scores = scores_at(asked.query.network, x.reshape(asked.query.network.input_shape))
        row = asked.query.specification.C[0, s].tolist()
        value = sum((Fraction(c) * v for c, v in zip(row, scores, strict=True)), Fraction(0))
        assert abs(float(value) + float(asked.query.specification.d[0, s]) - minima[s]) < 1e-8
        assert float(asked.attained[s]) >= minima[s] - 1e-8
    if flavour.startswith("planted"):
        assert asked.attained[0] <= 0
        assert asked.attained[0] > -1e-15
    if flavour == "hardly true":
        assert 0 < minima[0] < 2e-6
