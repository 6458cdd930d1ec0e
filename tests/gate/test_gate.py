"""A gate passes while the certificates stand, and every way to lose one, to forge one or to run out of time is seen."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.projects import FALSE, change_data, change_weights, evidence, forge, gated, held

import verify
from verify.gate import answers
from verify.gate.answers import BUDGET
from verify.gate.ledger import ledger_text
from verify.gate.outcome import Status

pytestmark = pytest.mark.usefixtures("inline")


def test_an_unchanged_project_passes_from_evidence_alone_and_signs_off_the_same_ledger(project):
    outcome = gated(project)
    (check,) = outcome.checks
    assert (outcome.status, outcome.exit_code) == (Status.PASSED, 0)
    assert check.sources == {"cache": 6} and check.changes == () and not check.notes
    assert ledger_text(outcome) == (project / "ledger.json").read_text()
    assert {line.index: line.state for line in check.lines} == {
        i: "falsified" if i in FALSE else "verified" for i in (0, 1, 2, 4, 44, 51)
    }


def test_without_a_cache_the_same_lines_are_found_afresh(project):
    shutil.rmtree(project / "evidence")
    outcome = gated(project)
    assert outcome.checks[0].sources == {"fresh": 6} and outcome.status is Status.PASSED
    assert [line.state for line in outcome.checks[0].lines].count("verified") == 4
    again = gated(project)
    assert again.checks[0].sources == {"cache": 6} and again.checks[0].lines == outcome.checks[0].lines


def test_a_network_that_was_tuned_a_little_keeps_its_certificates_by_transfer(project):
    change_weights(project, 1e-4)
    outcome = gated(project)
    assert outcome.status is Status.PASSED and outcome.checks[0].sources["transfer"] == 4
    assert gated(project).checks[0].sources == {"cache": 6}


def test_a_network_with_one_weight_changed_fails_and_the_lost_inputs_are_named(project):
    change_weights(project, 50.0)
    outcome = gated(project)
    lost = {change.index for change in outcome.checks[0].changes if change.lost}
    assert outcome.exit_code == 1 and held(outcome, "lost").status is Status.FAILED
    assert lost == set(held(outcome, "lost").inputs) == {0, 1, 4}  # 2 is the class that the change favours
    assert held(outcome, "verified").inputs == (0, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a["x"].__setitem__(slice(None), a["x"][::-1].copy()),
        lambda a: a["y"].__setitem__(4, 5),
        lambda a: a["x"][4].__iadd__(1),
    ],
    ids=["shuffled", "a label changed", "a pixel changed"],
)
def test_other_data_fails_the_comparison_with_the_baseline(project, change):
    change_data(project, change)
    outcome = gated(project)
    assert outcome.exit_code == 1 and held(outcome, "baseline").status is Status.FAILED
    assert "another question" in held(outcome, "baseline").found and 4 in held(outcome, "baseline").inputs


def test_a_forged_certificate_proves_nothing(project):
    """That of a verified input under the name of one that is falsified, which is then decided afresh."""
    target = evidence(project, 44)
    target.unlink()
    shutil.copy(evidence(project, 0), target.with_suffix(".reluproof"))
    outcome = gated(project)
    assert outcome.exit_code == 1 and "another claim" in held(outcome, "evidence").found
    assert next(line for line in outcome.checks[0].lines if line.index == 44).state == "falsified"


@pytest.mark.parametrize("index", [0, 44])
@pytest.mark.parametrize("content", [b"", b"nonsense", None], ids=["empty", "nonsense", "one bit"])
def test_damaged_evidence_fails_the_gate_and_the_input_is_decided_afresh(project, index, content):
    file = evidence(project, index)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(bytes(damaged) if content is None else content)
    outcome = gated(project)
    if index == 44 and content is None:  # a point one bit away is a counterexample too: it was evaluated
        assert outcome.checks[0].sources["cache"] == 6
    else:
        assert held(outcome, "evidence").status is Status.FAILED and outcome.checks[0].sources["fresh"] == 1
    assert held(outcome, "lost").status is Status.PASSED


def test_a_point_that_is_no_counterexample_refutes_nothing(project):
    file = evidence(project, 0).with_suffix(".npy")
    evidence(project, 0).unlink()
    np.save(file, verify.load_data(project / "digits.npz").inputs[0].double().numpy())
    outcome = gated(project)
    assert outcome.checks[0].lines[0].state == "verified" and held(outcome, "evidence").status is Status.FAILED


def test_evidence_for_and_against_one_claim_stops_everything(project, monkeypatch):
    """As a checker that accepts too much would leave it."""
    shutil.copy(evidence(project, 44), evidence(project, 0).with_suffix(".npy"))
    proves = answers.KINDS[answers.CERTIFICATE]
    monkeypatch.setitem(
        answers.KINDS, answers.POINT, lambda asked, place, _: proves(asked, place, evidence(project, 0).read_bytes())
    )
    with pytest.raises(verify.SoundnessError, match=r"input 0: the checker accepts .* is a counterexample"):
        gated(project)


def test_a_ledger_that_was_edited_is_refused(project):
    file = project / "ledger.json"
    file.write_text(file.read_text().replace('"falsified"', '"verified"', 1))
    with pytest.raises(verify.LoadError, match="edited or damaged"):
        gated(project)


@pytest.mark.parametrize(("index", "state"), [(44, "verified"), (0, "falsified")])
def test_a_forged_line_contradicts_what_is_found(project, index, state):
    forge(project, index, state=state)
    outcome = gated(project)
    assert outcome.exit_code == 1 and "forged" in held(outcome, "baseline").found
    assert index in held(outcome, "baseline").inputs


def test_a_baseline_of_another_network_is_refused(project):
    file = project / "reluproof.toml"
    (project / "model.onnx").rename(project / "other.onnx")
    file.write_text(file.read_text().replace("model.onnx", "other.onnx"))
    with pytest.raises(verify.UsageError, match=r"baseline of 'digits' is of model 'model.onnx'"):
        gated(project)


def test_inputs_that_are_no_longer_asked_about_are_missed(project):
    file = project / "reluproof.toml"
    file.write_text(file.read_text().replace("0,1,2,4,44,51", "0,1,2"))
    outcome = gated(project)
    assert outcome.exit_code == 1 and held(outcome, "baseline").inputs == (4, 44, 51)


@pytest.mark.parametrize(("undecided", "code"), [("report", 3), ("fail", 1)])
def test_a_spent_budget_decides_nothing_and_the_policy_says_whether_that_fails(project, undecided, code):
    shutil.rmtree(project / "evidence")
    outcome = gated(project, more=f'budget = 1e-9\nundecided = "{undecided}"\n')
    assert outcome.exit_code == code
    assert {line.reason for line in outcome.checks[0].lines} == {BUDGET}
    assert {found.status for found in outcome.checks[0].thresholds[:3]} == {Status.UNDECIDED}


def test_with_all_evidence_kept_no_budget_is_needed(project):
    assert gated(project, more="budget = 1e-9\n").status is Status.PASSED


def test_an_input_that_stayed_unknown_is_asked_again_only_when_something_changed(project):
    shutil.rmtree(project / "evidence")
    file = project / "reluproof.toml"
    text = file.read_text().replace("clip = [0, 1]", 'clip = [0, 1]\nmethod = "interval"').replace("lost = 0\n", "")
    file.write_text(text.replace("certified_accuracy = 0.5\n", "unknown = 6\n").replace("verified = [0, 1]\n", ""))
    first = gated(project, compare=False)
    assert first.checks[0].sources["fresh"] == 6 and first.checks[0].states["unknown"] > 0
    verify.write_ledger(project / "ledger.json", first)
    again = gated(project)
    assert (
        again.checks[0].sources["baseline"] == first.checks[0].states["unknown"]
        and not again.checks[0].sources["fresh"]
    )
    file.write_text(file.read_text().replace('method = "interval"', 'method = "interval"\nretry = true'))
    assert gated(project).checks[0].sources["fresh"] == first.checks[0].states["unknown"]


def test_radii_that_shrank_are_named(project):
    """Two checks that differ in their radius; then the network is changed."""
    file = project / "reluproof.toml"
    check = file.read_text().split("[[check]]")[1].replace("lost = 0\n", "").replace("verified = [0, 1]", "")
    small = check.replace('"digits"', '"small"').replace('"0.07"', '"0.001"')
    file.write_text(f'baseline = "ledger.json"\n[[check]]{check}\n[[check]]{small}')
    verify.write_ledger(project / "ledger.json", gated(project, compare=False))
    assert gated(project).radii == ()
    change_weights(project, 8.0)
    changes = {change.index: change for change in gated(project).radii}
    assert changes[0].shrunk and (changes[0].before, changes[0].now) in (("0.07", "0.001"), ("0.07", None))


def test_a_certificate_of_a_larger_ball_is_not_taken_for_one_of_this(project):
    """Nor of the other way round: the claim must be the very same."""
    asked = {"epsilon": "0.05", "clip": (0, 1)}
    network, data = verify.load(project / "model.onnx"), verify.load_data(project / "digits.npz")
    (claim,) = verify.claims(network, data.inputs[:1], data.labels[:1].tolist(), **asked)
    report = verify.recheck(claim, evidence(project, 0).read_bytes())
    assert not report.accepted and "another claim" in report.reason
    (claim,) = verify.claims(network, data.inputs[:1], data.labels[:1].tolist(), **{**asked, "epsilon": "0.07"})
    assert verify.recheck(claim, evidence(project, 0).read_bytes()).accepted
    assert verify.recheck(replace(claim, file=claim.file[:-1]), evidence(project, 0).read_bytes()).accepted is False


@pytest.mark.parametrize("point", [None, "text", np.full((3,), 0.5), np.full((8, 8), np.nan), np.full((8, 8), 0.5)])
def test_what_is_no_counterexample_refutes_no_claim(project, point):
    network, data = verify.load(project / "model.onnx"), verify.load_data(project / "digits.npz")
    (claim,) = verify.claims(network, data.inputs[44:45], data.labels[44:45].tolist(), epsilon="0.07", clip=(0, 1))
    assert verify.refuted(claim, point) is None
    assert verify.refuted(claim, np.load(evidence(project, 44))) is not None
