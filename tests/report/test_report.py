"""What a report says: the numbers of the run, escaped; the same file every time; and one line for what does not fit."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from support.demo import demo_data, demo_network
from support.runs import made_run

import verify
from verify.cli.main import main
from verify.dataset.record import Witness
from verify.demo import demo_digits_path, demo_network_path
from verify.gate.outcome import Change, CheckOutcome, GateOutcome, Held, Line, RadiusChange, Status
from verify.gate.policy import Check, Policy, Thresholds
from verify.report.gallery import gallery_of

EVIL = "</script><script>alert(1)</script><b>&amp; <!-- "


def text_of(file: Path) -> str:
    """What a reader sees, on one line."""
    body = re.sub(r"<(script|style).*?</\1>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def table_of(file: Path) -> dict:
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', file.read_text(encoding="utf-8"))
    return json.loads(text)


def test_the_table_holds_every_number_exactly(tmp_path):
    run = made_run(tmp_path, 200)
    table = table_of(verify.report(run, tmp_path / "report.html"))
    for name in ("index", "label", "predicted", "lower", "upper", "target", "seconds"):
        assert table["columns"][name] == [getattr(r, name) for r in run.records.values()]
    for name in ("state", "reason", "stage", "evidence"):
        words = [table["words"][name][k] for k in table["columns"][name]]
        assert words == [getattr(r, name) for r in run.records.values()]
    for name in ("certificate", "counterexample"):
        files = [getattr(r, name) for r in run.records.values()]
        assert table["columns"][name] == [None if f is None else f.sha256 for f in files]


def test_the_counts_and_the_bracket_are_those_of_the_run(tmp_path):
    run = made_run(tmp_path, 300)
    counts = run.tally
    text = text_of(verify.report(run, tmp_path / "report.html"))
    for share in (counts.clean_error, counts.attacked_error, counts.certified_error):
        assert f"{share:.2%}".replace("%", " %") in text
    falsified = [r for r in run.records.values() if r.state == "falsified"]
    wrong = sum(r.misclassified for r in falsified)
    assert f"falsified: misclassified as it is {wrong}" in text
    assert f"falsified: counterexample within the region {len(falsified) - wrong}" in text
    for reason, count in counts.reasons.items():
        assert f"unknown: {reason} {count}" in text
    assert f"error: no answer was computed {counts.states['error']}" in text


def test_the_claim_the_identity_and_the_versions_are_said(digits, tmp_path):
    run = digits["0.1"]
    text = text_of(verify.report(run, tmp_path / "report.html"))
    for words in (
        "every x within [0, 1] with |x - input|_inf <= 0.1, network in exact real arithmetic over the stored weights",
        run.identity["network"],
        run.identity["data"]["sha256"],
        f"torch {run.identity['versions']['torch']}",
        "method alpha",
    ):
        assert words in text


def test_a_run_that_is_not_finished_says_what_is_missing(tmp_path):
    run = made_run(tmp_path, 50)
    run.identity["data"]["inputs"] = 80
    assert "not asked yet 30 37.50 %" in text_of(verify.report(run, tmp_path / "report.html"))


def test_solvers_claims_are_named_where_they_verify(tmp_path):
    words = "1 of the verified inputs rest on a solver's own claim"
    facts = {"state": "verified", "reason": "", "stage": "milp", "lower": 1.0}
    for evidence, said in (("solver claim", True), ("recomputed", False)):
        run = made_run(tmp_path, 20, evidence=evidence, **facts)
        assert (words in text_of(verify.report(run, tmp_path / "report.html"))) is said


def test_sizes_of_margins_are_not_made_up_where_only_the_sign_is_known(tmp_path):
    run = made_run(tmp_path, 300)
    lowers = [r.lower for r in run.records.values() if r.state == "verified"]
    signs = lowers.count(math.ulp(0.0))
    rest = sorted(value for value in lowers if value > math.ulp(0.0))
    text = text_of(verify.report(run, tmp_path / "report.html"))
    assert (
        f"{len(lowers)} inputs, of {signs} only the sign was proved (“> 0”) and not a size, the other {len(rest)} "
        in text
    )
    assert f"from {rest[0]:.4g} to {rest[-1]:.4g}" in text


@pytest.mark.parametrize("lowers", [(math.ulp(0.0),), (2.0,), (1.0, 1.0), (1e-9, 1e9), (-0.0, 5e-300)])
def test_odd_margins_are_drawn_too(tmp_path, lowers):
    run = made_run(tmp_path, len(lowers))
    records = {i: verify.Record(i, 0, 0, "verified", "crown", "", lower=low) for i, low in enumerate(lowers)}
    assert "NaN" not in verify.report(replace(run, records=records), tmp_path / "report.html").read_text()


def test_text_of_the_data_stays_text(page, tmp_path):
    folder = tmp_path / "<img src=x onerror=alert(2)>"
    folder.mkdir()
    run = made_run(folder, 20, state="unknown", reason=EVIL, stage=EVIL, evidence=EVIL, certificate=None)
    run = replace(run, notes=(EVIL,))
    file = verify.report(run, tmp_path / "report.html")
    assert file.read_text().count("<script") == 2 and "<img src=x" not in file.read_text()
    page.open(file)
    cells = page.run("[...document.querySelector('#body tr').children].map((cell) => cell.textContent)")
    assert cells.count(EVIL) == 3
    assert page.run("document.querySelectorAll('script').length") == 2 and EVIL.strip() in page.run(
        "document.body.innerText"
    )


def test_the_same_arguments_give_the_same_file(digits, tmp_path):
    first, second = (verify.report(digits["0.1"], tmp_path / name, data=demo_data()) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()


def test_ten_thousand_inputs_are_a_small_file(tmp_path):
    assert verify.report(made_run(tmp_path, 10_000), tmp_path / "report.html").stat().st_size < 10e6


def test_counterexamples_are_shown_beside_their_inputs(digits, tmp_path):
    run = digits["0.1"]
    found = [r for r in run.records.values() if r.counterexample and not r.misclassified]
    file = verify.report(run, tmp_path / "report.html", data=demo_data())
    text = text_of(file)
    assert len(re.findall(r'<img src="data:image/png;base64,', file.read_text())) == 3 * len(found) > 0
    for r in found:
        assert f"input {r.index} label {r.label}, margin {r.counterexample.margin:.4f}" in text
        assert f"called {r.label} change × 5 called {r.counterexample.predicted}" in text


@pytest.mark.parametrize(
    ("shape", "shown"), [((3, 20, 20), 24), ((1, 200, 200), 24), ((3, 256, 256), 8), ((3, 257, 9), 0), ((5, 9, 9), 0)]
)
def test_pictures_of_any_size_leave_the_file_small(tmp_path, shape, shown):
    g = np.random.default_rng(0)
    inputs = g.random((30, *shape))
    (tmp_path / "counterexamples").mkdir()
    records = {}
    for i, x in enumerate(inputs):
        content = io.BytesIO()
        np.save(content, (x + 0.1 * g.random(shape)).clip(0, 1))
        name = f"counterexamples/{i}.npy"
        (tmp_path / name).write_bytes(content.getvalue())
        witness = Witness(name, hashlib.sha256(content.getvalue()).hexdigest(), 1, -1.0)
        records[i] = verify.Record(i, 0, 0, "falsified", "attack", "", upper=-1.0, counterexample=witness)
    run = replace(made_run(tmp_path, 30), records=records)
    data = verify.Dataset(torch.from_numpy(inputs), torch.zeros(30).long(), "pictures", "as stored")
    found = gallery_of(run, data)
    assert (0 if found is None else len(found.pictures)) == shown
    if found is not None:
        assert found.found == 30 and sum(len(p.before + p.difference + p.after) for p in found.pictures) < 8e6


def test_flat_inputs_have_no_pictures(digits, tmp_path):
    data = demo_data()
    flat = replace(data, inputs=data.inputs.flatten(1))
    assert "<img" not in verify.report(digits["0.1"], tmp_path / "report.html", data=flat).read_text()


def test_the_ladder_asks_every_method_about_the_closest_calls(written, digits):
    text = text_of(written)
    states = [r.state for r in digits["0.1"].records.values()]
    assert states.count("unknown") and "? unknown in the run; smallest margin at most" in text
    assert "✗ falsified in the run" in text and "✓ verified in the run" in text
    for method in ("interval", "dual", "crown", "alpha", "lp", "milp", "complete"):
        assert len(re.findall(rf" {method} (?:-?\d+\.\d{{4}}|> 0) -?\d", text)) == 3
    assert "solver claim" in text


def test_runs_at_several_radii_and_files_of_radii_are_curves(digits, tmp_path):
    F = Fraction
    other = verify.Radii("other", (F(1, 20), None), (None, F(0)), F(1, 10), "linf")
    runs = [digits[epsilon] for epsilon in ("0.1", "0.03", "0.05")]
    file = verify.report(runs, tmp_path / "report.html", radii=[other], data=demo_data(), network=demo_network())
    text = text_of(file)
    certified = [f"{1 - digits[e].tally.certified_error:.2%}" for e in ("0.03", "0.05", "0.1")]
    unbroken = [f"{1 - digits[e].tally.attacked_error:.2%}" for e in ("0.03", "0.05", "0.1")]
    rows = " ".join(
        f"{e} {low} {high}" for e, low, high in zip(("0.03", "0.05", "0.1"), certified, unbroken, strict=True)
    )
    assert rows in text and "other (2 inputs)" in text and "mlp.onnx (60 inputs)" in text
    assert "0.05 50.00% 50.00% 0.1 0.00% 50.00%" in text
    assert table_of(file)["titles"] == ["mlp-0.1", "mlp-0.03", "mlp-0.05"]


def test_runs_that_contradict_each_other_are_refused(tmp_path):
    wide, narrow = made_run(tmp_path / "wide", 40, epsilon="1/5"), made_run(tmp_path / "narrow", 40)
    falsified = next(i for i, r in narrow.records.items() if r.state == "falsified")
    wide.records[falsified] = verify.Record(falsified, 0, 0, "verified", "crown", "", lower=1.0)
    with pytest.raises(
        verify.SoundnessError, match=rf"input {falsified} is verified at radius 1/5 and falsified at 0.1"
    ):
        verify.report([wide, narrow], tmp_path / "report.html")


def gate_outcome(lines, *, name="digits", changes=()):
    check = Check(name=name, model="mlp.onnx", data="digits.npz", epsilon="0.1", thresholds=Thresholds())
    thresholds = (
        Held("certified_accuracy", Status.PASSED, "at least 80 %", "82 %", 0.02),
        Held("lost", Status.FAILED, "at most 0", "2", -2, tuple(range(30))),
    )
    outcome = CheckOutcome(
        check=check,
        network="ab" * 32,
        lines=tuple(lines),
        thresholds=thresholds,
        sources=Counter(cache=3),
        changes=changes,
        seconds=1.0,
        notes=("a certificate was rejected",),
    )
    radii = (RadiusChange("mlp.onnx", 1, "0.1", "0.05", True), RadiusChange("mlp.onnx", 2, None, "0.1", False))
    return GateOutcome(
        policy=Policy(file=Path("reluproof.toml"), checks=(check,)),
        checks=(outcome,),
        radii=radii,
        baseline="ledger.json",
        versions={"reluproof": "0.1.0"},
        seconds=1.0,
    )


def lines(count):
    facts = {
        "verified": {"lower": 1.0, "evidence": "certified", "certificate": "cd" * 32},
        "unknown": {"lower": -math.inf},
    }
    states = ["verified" if i % 3 else "unknown" for i in range(count)]
    return [
        Line(index=i, label=i % 10, question="", state=s, predicted=i % 10, **facts[s]) for i, s in enumerate(states)
    ]


def test_the_outcome_of_a_gate_is_said(tmp_path):
    changes = (Change(0, "verified", "unknown"), Change(1, "unknown", "verified"))
    file = verify.report([], tmp_path / "report.html", gate=gate_outcome(lines(30), changes=changes))
    text = text_of(file)
    for words in (
        "Gate ✗ failed",
        "certified_accuracy ✓ passed at least 80 % 82 % +0.02",
        "lost ✗ failed at most 0 2 -2 0, 1, 2, 3,",
        "and 10 more",
        "1 lost their certificate: input 0 (now unknown)",
        "1 gained one: input 1 (was unknown)",
        "mlp.onnx 1 0.1 0.05 ↓ shrank",
        "mlp.onnx 2 none 0.1 ↑ grew",
        "baseline ledger.json",
        "Note: a certificate was rejected",
    ):
        assert words in text
    assert table_of(file)["columns"]["lower"][:2] == [None, 1.0]


def test_a_gate_without_a_baseline_and_beside_a_run(tmp_path, page):
    outcome = replace(gate_outcome(lines(5), changes=None), baseline=None, radii=())
    file = verify.report(made_run(tmp_path / "run", 7), tmp_path / "report.html", gate=outcome)
    text = text_of(file)
    assert "There is no baseline" in text and "lost their certificate" not in text and "Radii that changed" not in text
    assert table_of(file)["titles"] == ["run", "digits"]
    page.open(file)
    assert page.run("document.getElementById('status').textContent") == "1 to 12 of 12 inputs"


MODEL, DIGITS = str(demo_network_path("mlp")), str(demo_digits_path())


def test_the_command_writes_the_report(digits, tmp_path, capsys):
    out, folder = tmp_path / "report.html", str(digits["0.1"].folder)
    asked = ["--data", DIGITS, "--model", MODEL, "--ladder", "1", "--timeout", "0.2"]
    assert main(["report", folder, "--out", str(out), *asked]) == 0
    assert capsys.readouterr().out.startswith(f"written to {out} (0.") and "mlp.onnx" in text_of(out)


MISTAKES = {
    "no run": (["missing"], "cannot read the journal 'missing/journal.jsonl'"),
    "data in other units": (
        ["RUN", "--data", DIGITS, "--scale", "1/2"],
        "it answers about input 0, and the data holds another",
    ),
    "fewer data": (["RUN", "--data", "FEW"], "it answers about input 5, and the data has no such input"),
    "another network": (
        ["RUN", "--data", DIGITS, "--model", str(demo_network_path("cnn"))],
        "is not the network of the run",
    ),
    "a ladder without a network": (["RUN", "--data", DIGITS, "--ladder", "1"], "give a run, its data and its network"),
    "a negative ladder": (["RUN", "--ladder", "-1"], "ladder is -1"),
    "no folder to write to": (["RUN", "--out", "no/such/report.html"], "'no/such' is no folder"),
    "a folder as the file": (["RUN", "--out", "."], "cannot write '.': Is a directory"),
    "no file of radii": (["RUN", "--radii", DIGITS], "is not what `reluproof radius --json` writes"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line(digits, tmp_path, monkeypatch, capsys, mistake):
    monkeypatch.chdir(tmp_path)
    np.savez("few.npz", x=demo_data().inputs[:5], y=demo_data().labels[:5])
    words, message = MISTAKES[mistake]
    names = {"RUN": str(digits["0.1"].folder), "FEW": "few.npz"}
    out = [] if "--out" in words else ["--out", "report.html"]
    assert main(["report", *(names.get(word, word) for word in words), *out]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not Path("report.html").exists()


def test_nothing_to_report_and_a_run_without_an_answer_are_refused(tmp_path):
    for runs, words in (
        ([], "there is nothing to report"),
        (replace(made_run(tmp_path, 1), records={}), "no answer yet"),
    ):
        with pytest.raises(verify.UsageError, match=words):
            verify.report(runs, tmp_path / "report.html")


@pytest.mark.parametrize("damage", ["gone", "another"])
def test_a_counterexample_that_is_not_the_runs_is_refused(digits, tmp_path, damage):
    run = replace(digits["0.1"], folder=tmp_path)
    names = [r.counterexample.name for r in run.records.values() if r.counterexample]
    (tmp_path / "counterexamples").mkdir()
    for name in names:
        if damage == "another":
            np.save(tmp_path / name, torch.zeros(1, 28, 28).double().numpy())
    words = {"gone": "cannot read", "another": "is not the file that the journal names"}[damage]
    with pytest.raises(verify.LoadError, match=words):
        verify.report(run, tmp_path / "report.html", data=demo_data())
