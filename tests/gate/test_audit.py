"""A ledger is accepted only where every line that claims something is shown by the very file it names."""

from __future__ import annotations

import shutil

import pytest
from support.projects import change_data, change_weights, evidence, forge

import verify


def audited(project, **options):
    return verify.audit(project / "ledger.json", verify.read_policy(project / "reluproof.toml"), **options)


def test_a_ledger_is_confirmed_line_by_line(project):
    found = audited(project)
    assert found.accepted and found.confirmed == {"verified": 4, "falsified": 2} and found.undecided == 0


@pytest.mark.parametrize(
    ("index", "facts"),
    [
        (44, {"state": "verified", "evidence": "certified"}),
        (44, {"state": "verified", "evidence": "recomputed", "counterexample": None}),
        (0, {"state": "falsified"}),
        (0, {"certificate": None}),
        (0, {"certificate": "0" * 64}),
        (44, {"counterexample": "0" * 64}),
        (0, {"lower": 1e3}),
        (0, {"target": 3}),
        (0, {"label": 1}),
        (0, {"predicted": 1}),
        (0, {"question": "0" * 64}),
        (0, {"evidence": "recomputed"}),
        (0, {"reason": "because"}),
    ],
    ids=lambda value: "" if isinstance(value, int) else ",".join(f"{k}={v!s:.9}" for k, v in value.items()),
)
def test_a_forged_line_is_rejected(project, index, facts):
    forge(project, index, **facts)
    found = audited(project)
    assert not found.accepted and len(found.rejected) == 1 and f"input {index}" in found.rejected[0]


def test_a_line_that_claims_nothing_is_not_confirmed(project):
    forge(project, 0, state="unknown", reason="timeout", certificate=None, evidence="", lower=None, target=None)
    found = audited(project)
    assert found.accepted and found.confirmed["verified"] == 3 and found.undecided == 1


def test_lines_that_are_missing_or_too_many_are_rejected(project):
    file = project / "reluproof.toml"
    file.write_text(file.read_text().replace("0,1,2,4,44,51", "0,1,2,3,4,44"))
    assert "such as 3, have no line" in "".join(audited(project).rejected)
    assert "such as 51, are not asked for" in "".join(audited(project).rejected)


def test_another_network_other_data_or_no_evidence_are_rejected(project):
    change_weights(project, 1e-3)
    assert "the ledger is about the network" in audited(project).rejected[0]
    change_data(project, lambda a: a["x"].__iadd__(1))
    assert any("ask another question" in why for why in audited(project).rejected)


def test_evidence_that_is_missing_or_another_is_rejected(project):
    shutil.copy(evidence(project, 1), evidence(project, 0))
    evidence(project, 4).unlink()
    rejected = audited(project).rejected
    assert len(rejected) == 2 and "another claim" in rejected[0] and "missing" in rejected[1]


def test_checks_that_only_one_of_them_has_are_rejected(project):
    file = project / "reluproof.toml"
    file.write_text(file.read_text().replace('"digits"', '"numbers"', 1))
    assert [why.split(":")[1] for why in audited(project).rejected] == [
        " the policy has no such check",
        " the ledger has no such check",
    ]


def test_there_must_be_a_place_for_evidence(project, tmp_path):
    file = project / "reluproof.toml"
    file.write_text(file.read_text().replace('cache = "evidence"', ""))
    with pytest.raises(verify.UsageError, match="no evidence to check with"):
        audited(project)
    assert audited(project, cache=project / "evidence").accepted
    assert len(audited(project, cache=tmp_path / "nowhere").rejected) == 6
