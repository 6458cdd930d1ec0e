"""Verdicts do not depend on how many processes look for them, and every failure of one is an exception."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.networks import query
from support.proofs import accepted, ops
from support.questions import exact_clause, hard
from support.tasks import SlowJob

import verify
from verify.branch import cascade, race
from verify.branch.decide import _Judge, decide
from verify.branch.outcome import why_open
from verify.branch.relu import Branched
from verify.certify import team
from verify.certify.options import Options
from verify.certify.run import margin_table
from verify.errors import UsageError, WorkerFailed
from verify.property import Property, rows_as_clauses
from verify.verdict import Verdict


def children() -> list[str]:
    """The processes that this one has started and not buried."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    return [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def _stopped(reason: str):
    """A plain search that has done nothing."""
    return lambda problem, start, *_, **__: Branched(start, None, reason, 0, torch.zeros(problem.count), 0.0)


@pytest.fixture
def raced(monkeypatch):
    """Nothing but the last stage decides: no input splits, no attack, no quick search, no rounds. Counts the races."""
    monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: False)
    monkeypatch.setattr(cascade, "by_relu_splits", _stopped("work"))
    monkeypatch.setattr(cascade, "ROUNDS", 0)
    monkeypatch.setattr(_Judge, "attack", lambda *_: None)
    races = []

    def counted(*arguments):
        races.append(arguments)
        return race.side_by_side(*arguments)

    monkeypatch.setattr(cascade, "side_by_side", counted)
    return races


def asked(gap):
    """A network, and a property of two clauses of which the second holds anyway; ``gap`` > 0 says that the first does."""
    q = query("mlp", 6, "0.5")
    return q.network, Property((exact_clause(q, gap), exact_clause(q, 10.0, 1)))


QUESTIONS = {"holds": (0.003, Verdict.VERIFIED), "is broken": (-0.003, Verdict.FALSIFIED)}


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_two_workers_answer_what_one_does(name, raced):
    gap, verdict = QUESTIONS[name]
    network, prop = asked(gap)
    for count in (1, 2):
        assert decide(network, prop, workers=count).verdict is verdict
    assert len(raced) == 1 and not children()


def test_the_deadline_ends_a_race(raced):
    net, clause = hard()
    begun = time.perf_counter()
    decision = decide(net, Property((clause,)), timeout=4.0, workers=2)
    assert (decision.verdict, decision.reason) == (Verdict.UNKNOWN, "timeout")
    assert time.perf_counter() - begun < 5.0
    assert not children()


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_a_child_alone_can_answer(name, raced, monkeypatch):
    """Plain search is out of memory at once: what is answered is the child's work."""
    monkeypatch.setattr(race, "by_relu_splits", _stopped("memory"))
    gap, verdict = QUESTIONS[name]
    assert decide(*asked(gap), workers=2).verdict is verdict
    assert len(raced) == 1 and not children()


@pytest.mark.parametrize("rounds", [0, 1])
@pytest.mark.parametrize("alone", [False, True])
def test_what_either_process_verified_has_a_certificate(rounds, alone, raced, monkeypatch):
    """``rounds`` at the roots come first: what the child refutes rests on what this process has recorded of them."""
    monkeypatch.setattr(cascade, "ROUNDS", rounds)
    if alone:
        monkeypatch.setattr(race, "by_relu_splits", _stopped("memory"))
    network, prop = asked(1e-6)
    decision = decide(network, prop, workers=2, certificate=True)
    assert decision.verdict is Verdict.VERIFIED and len(raced) == 1
    accepted(decision.certificate, network)
    inside = [op for op in ops(decision.certificate.data) if op.startswith("in ")]
    assert (inside[1] == "in bounds") == (rounds > 0)
    assert "in split" in inside or "in tree" in inside


def test_what_a_child_did_not_record_is_missing(raced, monkeypatch):
    monkeypatch.setattr(race, "by_relu_splits", _stopped("memory"))
    monkeypatch.setattr(race._Race, "_recorded", lambda *_: None)
    decision = decide(*asked(0.003), workers=2, certificate=True)
    assert decision.verdict is Verdict.VERIFIED
    assert "the record of branch and bound is incomplete" in decision.certificate.reason


def test_memory_that_was_met_is_said_when_time_ends_the_other_search(raced, monkeypatch):
    monkeypatch.setattr(race, "by_relu_splits", _stopped("memory"))
    net, clause = hard()
    decision = decide(net, Property((clause,)), timeout=3.0, workers=2)
    assert (decision.verdict, decision.reason) == (Verdict.UNKNOWN, "timeout (memory limit met)")


@pytest.mark.parametrize(
    ("reasons", "why"),
    [
        (("timeout", "timeout"), "timeout"),
        (("memory", "timeout"), "timeout (memory limit met)"),
        (("leaf", "timeout"), "timeout"),
        (("memory", "leaf"), "memory"),
        (("leaf", "leaf"), "leaf"),
    ],
)
def test_the_reason_of_two_searches(reasons, why):
    assert why_open(reasons) == why


def test_a_failing_child_is_an_exception(raced, monkeypatch):
    monkeypatch.setattr(race, "TASK", "support.tasks:dies")
    net, clause = hard()
    with pytest.raises(WorkerFailed, match="exit code 7"):
        decide(net, Property((clause,)), timeout=60.0, workers=2)
    assert not children()


def test_a_child_that_cannot_start_changes_nothing(raced, monkeypatch):
    monkeypatch.setattr(race, "TASK", "no.such.module:task")
    for gap, verdict in QUESTIONS.values():
        assert decide(*asked(gap), workers=2).verdict is verdict
    assert len(raced) == 2


def test_a_script_without_a_main_guard_is_run_once(tmp_path):
    """The child imports nothing of the caller's."""
    script = tmp_path / "script.py"
    script.write_text(
        "import verify\nprint('once')\nfrom support.networks import query\nfrom verify.certify.team import Job, Team\n"
        "q = query('mlp', 6, '0.5', count=1)\njob = Job(verify.Property(()), None, None, 0)\n"
        "with Team(q.network, 2) as team:\n    team._start()\n    print(team._helpers[0].wait(60))\n"
        "    print(team.settled([job, job])[0].verdict.value)\n"
    )
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == ["once", "True", "verified"], done.stderr


def test_many_inputs_are_settled_in_order_whoever_settles_them():
    q = query("mlp", 13, "0.3", count=9)
    (one, _), (two, _) = (margin_table(q, "complete", Options(workers=count)) for count in (1, 2))
    assert one.verdicts() == two.verdicts() and Verdict.VERIFIED in one.verdicts()
    assert one.lower.equal(two.lower) and one.proved.equal(two.proved)
    assert not children()


def test_a_team_shares_its_jobs_and_raises_what_a_helper_raises(monkeypatch):
    q = query("mlp", 13, "0.3", count=2)
    jobs = [team.Job(rows_as_clauses(q, i % 2), None, None, 0) for i in range(4)]
    alone = [job.settled(q.network).verdict for job in jobs]
    with team.Team(q.network, 2) as both:
        assert [d.verdict for d in both.settled(jobs)] == alone
    monkeypatch.setattr(team, "TASK", "support.tasks:refuses")
    slow = [SlowJob(job.prop, job.known, job.seconds, job.seed) for job in jobs * 30]
    with team.Team(q.network, 2) as both, pytest.raises(UsageError, match="the child's own words"):
        both.settled(slow)
    assert not children()


@pytest.mark.parametrize("count", [0, -2, 1.5])
def test_impossible_numbers_of_workers_are_refused(count):
    q = query("mlp", 3, "0.05")
    with pytest.raises(UsageError, match="workers is"):
        verify.decide(q.network, rows_as_clauses(q), workers=count)
    with pytest.raises(UsageError, match="workers is"):
        verify.certify(q.network, q.region.centre[0], 0, epsilon=0.05, workers=count)
