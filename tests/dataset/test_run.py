"""A run gives every input the answer that certify gives it, once, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import inline_pool
from support.demo import demo_data, demo_network

import verify
import verify.dataset.pool
import verify.dataset.run
from verify.dataset.journal import NAME, read_journal

WHERE = {"epsilon": "0.05", "clip": (0, 1)}
INPUTS = range(60)  # two blocks


@pytest.fixture
def inline(monkeypatch):
    """Tasks are done in this process."""
    monkeypatch.setattr(verify.dataset.run, "local_pool", inline_pool.inline_pool)


def run(out, *, index=INPUTS, method="alpha", execution=None, **options):
    return verify.run(
        demo_network(), demo_data(), out, index=index, method=method, execution=execution, **{**WHERE, **options}
    )


def answers(found: verify.Run) -> dict[int, verify.Record]:
    """The records without their times, which differ from run to run."""
    return {i: replace(record, seconds=0.0) for i, record in found.records.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify.dataset.run, "local_pool", inline_pool.inline_pool)
        return run(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("method", ["interval", "crown", "alpha", "complete"])
def test_the_verdicts_are_those_of_certify(tmp_path, inline, method):
    index = [*range(0, 60, 5), 44, 51]
    found = run(tmp_path / "run", index=index, method=method, epsilon="0.07")
    data = demo_data().select(index)
    results = verify.certify_batch(demo_network(), data.inputs, data.labels, epsilon="0.07", clip=(0, 1), method=method)
    assert list(found.records) == sorted(index)
    for i, result in zip(index, results, strict=True):
        record = found.records[i]
        assert (record.state, record.predicted) == (result.verdict.value, result.predicted)
        assert record.upper is not None and (record.lower is None or record.lower <= record.upper)


def test_each_counterexample_is_kept_and_breaks_the_network(whole):
    found = [record for record in whole.records.values() if record.counterexample is not None]
    assert found and all(record.state == "falsified" for record in found)
    network, data = demo_network(), demo_data()
    for record in found:
        content = (whole.folder / record.counterexample.name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == record.counterexample.sha256
        x = torch.from_numpy(np.load(whole.folder / record.counterexample.name))
        assert float((x - data.inputs[record.index].double()).abs().max()) <= 0.05
        assert int(network(x.unsqueeze(0)).argmax()) == record.counterexample.predicted != record.label


def test_the_summary_is_what_the_records_say(whole):
    facts = json.loads((whole.folder / "summary.json").read_text())
    states = [record.state for record in whole.records.values()]
    assert facts["states"] == {state: states.count(state) for state in set(states)}
    assert facts["certified_error"] == 1 - states.count("verified") / len(INPUTS)
    assert facts["attacked_error"] == states.count("falsified") / len(INPUTS)
    rows = (whole.folder / "samples.csv").read_text().splitlines()
    assert len(rows) == 1 + len(INPUTS) and rows[1].startswith("0,0,0,verified,")
    again = verify.load_data(whole.folder / "counterexamples.npz")
    assert len(again) == states.count("falsified")


def test_shards_merge_into_the_whole(tmp_path, inline, whole):
    for k in (1, 2):
        run(tmp_path / f"{k}", execution=verify.Execution(shard=(k, 2)))
    merged = verify.merge([tmp_path / "2", tmp_path / "1"], tmp_path / "merged")
    assert answers(merged) == answers(whole) and merged.notes == ()
    half = verify.merge([tmp_path / "2"], tmp_path / "half")
    assert len(half.records) == 10 and "50 of 60 inputs have no record" in half.notes[0]


@pytest.mark.parametrize("seed", range(12))
def test_a_journal_cut_anywhere_resumes_to_the_same_records(tmp_path, inline, whole, seed):
    content = (whole.folder / NAME).read_bytes()
    first = content.index(b"\n") + 1
    cut = int(torch.randint(first, len(content), (), generator=torch.Generator().manual_seed(seed)))
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    (folder / NAME).write_bytes(content[:cut])
    found = run(folder, execution=verify.Execution(resume=True))
    assert answers(found) == answers(whole)
    assert answers(verify.read_run(folder)) == answers(whole)  # nothing twice: the reader refuses that


def test_a_finished_run_resumes_to_itself_without_work(tmp_path, inline, whole, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    monkeypatch.setattr(inline_pool, "perform", None)
    assert run(folder, execution=verify.Execution(resume=True)).records == whole.records


def test_verified_inputs_have_certificates_that_the_checker_accepts(tmp_path, inline):
    from verify.check import check

    found = run(tmp_path / "run", index=[0, 1], certificates=True)
    for record in found.records.values():
        assert record.state == "verified" and record.evidence == "certified"
        certificate = (found.folder / record.certificate.name).read_bytes()
        assert check(certificate, (found.folder / "network.reluproof").read_bytes()).accepted


MISTAKES = {
    "another radius": ({"epsilon": "0.06"}, "region.epsilon: 1/20, now 3/50"),
    "another method": ({"method": "crown"}, "method: alpha, now crown"),
    "another seed": ({"seed": 3}, "options.seed: 0, now 3"),
    "other inputs": ({"index": range(1, 61)}, "data.sha256"),
    "another shard": ({"execution": verify.Execution(resume=True, shard=(1, 2))}, "shard"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_journal_of_another_run_is_not_used(whole, inline, name):
    change, words = MISTAKES[name]
    with pytest.raises(verify.UsageError, match="holds another run.*" + words.replace(".", r"\.")):
        run(whole.folder, **{"execution": verify.Execution(resume=True), **change})


def test_a_journal_of_another_network_is_not_used(whole, inline):
    nodes = list(demo_network().nodes)
    last = nodes[-1].operator
    nodes[-1] = replace(nodes[-1], operator=replace(last, bias=last.bias + 2**-40))
    other = replace(demo_network(), nodes=tuple(nodes))
    with pytest.raises(verify.UsageError, match=r"holds another run .*network: "):
        verify.run(
            other,
            demo_data(),
            whole.folder,
            index=INPUTS,
            method="alpha",
            execution=verify.Execution(resume=True),
            **WHERE,
        )


def test_a_folder_with_a_run_is_not_overwritten(whole, inline):
    with pytest.raises(verify.UsageError, match="holds a run already"):
        run(whole.folder)


def test_a_counterexample_that_was_tampered_with_is_noticed(tmp_path, inline, whole):
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    next((folder / "counterexamples").glob("*.npy")).write_bytes(b"other")
    with pytest.raises(verify.LoadError, match="is not the file that the journal names"):
        verify.merge([folder], tmp_path / "merged")


def test_a_second_process_is_refused_while_one_is_at_work(whole, inline):
    from verify.dataset.journal import _Lock

    held = _Lock(whole.folder / "lock")
    try:
        with pytest.raises(verify.UsageError, match="another process is writing into"):
            run(whole.folder, execution=verify.Execution(resume=True))
    finally:
        held.release()


def test_a_journal_damaged_in_the_middle_is_refused(tmp_path, whole):
    content = bytearray((whole.folder / NAME).read_bytes())
    place = content.index(b"verified")
    content[place : place + 8] = b"faked!!!"
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(verify.LoadError, match="damaged"):
        read_journal(tmp_path / NAME)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epsilon": "-1"}, "must not be negative"),
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"index": []}, "no input is selected"),
        ({"execution": verify.Execution(shard=(3, 2))}, "shard 3/2 does not exist"),
        ({"execution": verify.Execution(shard=(9, 9))}, "shard 9/9 of 60 inputs is empty"),
        ({"magic": 1}, "unknown option 'magic'"),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(tmp_path, options, words):
    with pytest.raises(verify.UsageError, match=words):
        run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_an_input_that_always_kills_its_worker_becomes_an_error_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(verify.dataset.pool, "TASK", "support.inline_pool:deadly")
    data = demo_data().select(range(4))
    inputs = data.inputs.clone().double()
    inputs.flatten(1)[2, 0] = inline_pool.DEADLY
    found = verify.run(
        demo_network(), replace(data, inputs=inputs), tmp_path / "run", method="interval", epsilon="0.001"
    )
    states = [record.state for record in found.records.values()]
    assert states == ["verified", "verified", "error", "verified"]
    assert "exit code -9" in found.records[2].reason and "(3 tries)" in found.records[2].reason


def test_a_worker_that_is_killed_once_changes_nothing(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(verify.dataset.pool, "TASK", "support.inline_pool:accident")
    monkeypatch.setenv("RELUPROOF_TEST_MARK", str(tmp_path / "killed"))
    found = run(tmp_path / "run", execution=verify.Execution(workers=2))
    assert (tmp_path / "killed").exists()
    assert answers(found) == answers(whole)


def test_a_worker_that_never_answers_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(verify.dataset.pool, "TASK", "support.inline_pool:silent")
    monkeypatch.setattr(verify.dataset.run, "LIMIT", (0.0, 0.2))
    monkeypatch.setattr(verify.dataset.run, "TRIES", 1)
    found = run(tmp_path / "run", index=[0], method="interval", timeout=5)
    assert found.records[0].state == "error" and "no answer within" in found.records[0].reason


def test_a_budget_stops_a_run_where_it_is_and_resuming_gives_the_undisturbed_one(tmp_path, inline, whole):
    stopped = run(tmp_path / "run", execution=verify.Execution(budget=1e-9))
    assert not stopped.records and "budget" in stopped.notes[0] and stopped.tally.certified_error == 1.0
    assert answers(run(tmp_path / "run", execution=verify.Execution(resume=True))) == answers(whole)


def test_a_budget_ends_a_run_while_its_worker_is_at_work(tmp_path):
    done = run(tmp_path / "run", epsilon="0.3", method="complete", execution=verify.Execution(budget=0.5))
    assert len(done.records) < len(INPUTS) and "resume" in done.notes[-1]


def test_a_budget_that_is_none_is_refused():
    with pytest.raises(verify.UsageError, match="budget is 0"):
        verify.Execution(budget=0)
