"""A project with a policy, evidence and a signed-off ledger, and the ways in which tests break it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import verify
import verify.dataset.run
from support import inline_pool
from verify.demo import demo_digits_path, demo_network_path
from verify.gate.ledger import lines_digest

POLICY = """
cache = "evidence"
baseline = "ledger.json"

[[check]]
name = "digits"
model = "model.onnx"
data = "digits.npz"
epsilon = "0.07"
clip = [0, 1]
index = "0,1,2,4,44,51"
[check.thresholds]
certified_accuracy = 0.5
lost = 0
verified = [0, 1]
"""
FALSE = 44, 51  # inputs that are falsified at this radius


def sign_off(folder):
    """A project in ``folder``, with its evidence and its signed-off ledger; everything is worked out in this process."""
    shutil.copy(demo_network_path("mlp"), folder / "model.onnx")
    shutil.copy(demo_digits_path(), folder / "digits.npz")
    (folder / "reluproof.toml").write_text(POLICY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify.dataset.run, "local_pool", inline_pool.inline_pool)
        outcome = verify.gate(verify.read_policy(folder / "reluproof.toml"), compare=False)
    verify.write_ledger(folder / "ledger.json", outcome)


def gated(project, *, more="", **options):
    file = project / "reluproof.toml"
    file.write_text(file.read_text().replace("\n[[check]]", f"{more}\n[[check]]"))
    return verify.gate(verify.read_policy(file), **options)


def held(outcome, name):
    return next(found for found in outcome.checks[0].thresholds if found.name == name)


def change_weights(project, by, *, of=-1):
    """Add ``by`` to one number of the network's last bias."""
    model = onnx.load(project / "model.onnx")
    arrays = [a for a in model.graph.initializer if len(a.dims) == 1 and a.data_type == onnx.TensorProto.FLOAT]
    values = numpy_helper.to_array(arrays[of]).copy()
    values[2] += by
    arrays[of].CopyFrom(numpy_helper.from_array(values, arrays[of].name))
    onnx.save(model, project / "model.onnx")


def change_data(project, change):
    with np.load(project / "digits.npz") as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    change(arrays)
    np.savez(project / "digits.npz", **arrays)


def evidence(project, index):
    """The file about an input that the ledger names."""
    line = verify.read_ledger(project / "ledger.json").accounts["digits"].lines[index]
    wanted = line.certificate or line.counterexample
    files = [path for path in (project / "evidence").rglob("*") if path.is_file()]
    return next(path for path in files if hashlib.sha256(path.read_bytes()).hexdigest() == wanted)


def forge(project, index, **facts):
    """Change a line of the ledger, and its checksum with it."""
    file = project / "ledger.json"
    whole = json.loads(file.read_text())
    line = next(line for line in whole["checks"][0]["lines"] if line["index"] == index)
    line.update(facts)
    file.write_text(json.dumps({**whole, "sha256": lines_digest(whole["checks"])}))


def change_policy(old, new):
    """Change the policy in the current folder."""
    file = Path("reluproof.toml")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
