"""Weights in files: every container and nesting, the modules they belong to, and one line for whatever is wrong."""

import io
import pickle
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import verify
from verify.errors import LoadError, ReluproofError, UsageError
from verify.load.dispatch import load
from verify.load.pytorch import from_torch
from verify.load.states import read_torch
from verify.proof.canonical import identity


def mlp():
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def convnet():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


STATE = mlp().state_dict()
DIGEST = identity(from_torch(mlp(), input_shape=(6,)))


# --- containers and nestings -----------------------------------------------------------------------------------------

CHECKPOINTS = {
    "state-dict": STATE,
    "plain-dict": dict(STATE),
    "state_dict": {"state_dict": STATE, "epoch": 3, "loss": 0.5},
    "model_state_dict": {"model_state_dict": STATE, "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 1}]}},
    "model": {"model": STATE},
    "net": {"net": STATE, "acc": 99.0},
    "network": {"network": STATE},
    "weights": {"weights": STATE},
    "nested-twice": {"model": {"state_dict": STATE}},
    "list-of-one": {"state_dict": [STATE]},
    "data-parallel": {"state_dict": {f"module.{k}": v for k, v in STATE.items()}},
    "under-another-name": {"best": STATE, "epoch": 3},
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints(name, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(CHECKPOINTS[name], path)
    network = load(path, arch=mlp)
    assert identity(network) == DIGEST
    assert network.source == str(path)


def test_parameters_of_an_old_torch_file(tmp_path):
    torch.save(STATE, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert identity(load(tmp_path / "old.pt", arch=mlp)) == DIGEST


def test_safetensors(tmp_path):
    save_file(dict(STATE), tmp_path / "weights.safetensors")
    assert identity(load(tmp_path / "weights.safetensors", arch=mlp)) == DIGEST


def test_npz(tmp_path):
    np.savez(tmp_path / "weights.npz", **{k: v.numpy() for k, v in STATE.items()})
    assert identity(load(tmp_path / "weights.npz", arch=mlp)) == DIGEST


def test_exported_programs(tmp_path):
    program = torch.export.export(mlp().eval(), (torch.zeros(1, 6),), strict=False)
    torch.export.save(program, tmp_path / "net.pt2")
    assert identity(load(tmp_path / "net.pt2")) == DIGEST


# --- architectures ---------------------------------------------------------------------------------------------------


def test_the_named_architecture_mlp_has_a_relu_between_layers(tmp_path):
    torch.save(STATE, tmp_path / "weights.pt")
    assert identity(load(tmp_path / "weights.pt", arch="mlp")) == DIGEST


def test_mlp_follows_the_order_of_the_layers_and_not_of_the_file(tmp_path):
    # safetensors and some savers sort names as text: 10.weight comes before 2.weight
    torch.manual_seed(1)
    sizes = [6] * 8
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    module = nn.Sequential(*layers[:-1])
    save_file(dict(module.state_dict()), tmp_path / "w.safetensors")
    assert identity(load(tmp_path / "w.safetensors", arch="mlp")) == identity(from_torch(module, input_shape=(6,)))


@pytest.mark.filterwarnings("ignore")
def test_an_architecture_is_imported_from_where_the_user_works(tmp_path, monkeypatch):
    (tmp_path / "some_nets_of_mine.py").write_text(
        "from torch import nn\n"
        "def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))\n"
        "NUMBER = 3\n"
    )
    torch.save(STATE, tmp_path / "weights.pt")
    monkeypatch.chdir(tmp_path)
    assert identity(load("weights.pt", arch="some_nets_of_mine:make")) == DIGEST
    with pytest.raises(UsageError, match=r"NUMBER.* is a int"):
        load("weights.pt", arch="some_nets_of_mine:NUMBER")


def test_the_input_shape_is_needed_where_the_first_layer_does_not_tell(tmp_path):
    torch.save(convnet().state_dict(), tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"--input-shape"):
        load(tmp_path / "w.pt", arch=convnet)
    assert load(tmp_path / "w.pt", arch=convnet, input_shape=(1, 4, 4)).input_shape == (1, 4, 4)


def test_an_input_shape_may_be_another_view(tmp_path):
    torch.save(STATE, tmp_path / "w.pt")
    assert load(tmp_path / "w.pt", arch=mlp, input_shape=(1, 2, 3)).input_shape == (1, 2, 3)


# --- what is refused, each in one line -------------------------------------------------------------------------------


class Unpicklable:
    """A class that only a full pickle could bring back."""


def written(content):
    def write(path: Path):
        torch.save(content, path)

    return write


def truncated(path: Path):
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:300])


def other_zip(path: Path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no network")


def raw(content: bytes):
    return lambda path: path.write_bytes(content)


def half_safetensors(path: Path):
    save_file(dict(STATE), path)
    path.write_bytes(path.read_bytes()[:-50])


def pickled_npz(path: Path):
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.array([{"a": 1}], dtype=object))
    path.write_bytes(buffer.getvalue())


# name: (file, how it is written, arguments, what the message says)
BAD = {
    "whole-module": ("m.pt", written(mlp()), {"arch": mlp}, r"state_dict\(\).*--arch"),
    "class": ("m.pt", written({"a": Unpicklable()}), {"arch": mlp}, r"--arch"),
    "plain-pickle": ("m.pt", raw(pickle.dumps({"a": Unpicklable()})), {"arch": mlp}, r"m\.pt"),
    "truncated": ("m.pth", truncated, {"arch": mlp}, r"truncated"),
    "other-zip": ("m.pth", other_zip, {"arch": mlp}, r"m\.pth"),
    "garbage": ("m.pt", raw(b"not a network at all"), {"arch": mlp}, r"m\.pt"),
    "empty": ("m.pt", raw(b""), {"arch": mlp}, r"empty"),
    "no-tensors": ("m.pt", written({"epoch": 3}), {"arch": mlp}, r"no state dict"),
    "a-tensor": ("m.pt", written(torch.zeros(3)), {"arch": mlp}, r"no state dict"),
    "several-state-dicts": ("m.pt", written({"state_dict": [STATE, STATE]}), {"arch": mlp}, r"no state dict|2 state"),
    "two-candidates": ("m.pt", written({"a": STATE, "b": STATE}), {"arch": mlp}, r"'a', 'b'"),
    "no-arch": ("m.pt", written(STATE), {}, r"--arch module:callable.*--arch mlp"),
    "arch-without-colon": ("m.pt", written(STATE), {"arch": "nets"}, r"module:callable"),
    "arch-missing-module": ("m.pt", written(STATE), {"arch": "no_such_module:f"}, r"cannot import 'no_such_module'"),
    "arch-missing-name": ("m.pt", written(STATE), {"arch": "math:no_such"}, r"no attribute 'no_such'"),
    "arch-not-a-module": ("m.pt", written(STATE), {"arch": lambda: 3}, r"int"),
    "arch-needs-arguments": ("m.pt", written(STATE), {"arch": nn.Linear}, r"without arguments.*Linear"),
    "arch-that-does-not-fit": ("m.pt", written(STATE), {"arch": convnet, "input_shape": (1, 4, 4)}, r"Missing key"),
    "mlp-of-a-convnet": ("m.pt", written(convnet().state_dict()), {"arch": "mlp"}, r"also holds '0\.weight'"),
    "mlp-of-unfitting-sizes": (
        "m.pt", written({"a.weight": torch.ones(3, 4), "b.weight": torch.ones(2, 5)}), {"arch": "mlp"}, r"no chain"),
    "mlp-of-layers-in-any-order": (
        "m.pt", written({"a.weight": torch.ones(3, 3), "b.weight": torch.ones(3, 3)}), {"arch": "mlp"}, r"several orders"),
    "mlp-of-nothing": ("m.pt", written({"a": torch.ones(3)}), {"arch": "mlp"}, r"no chain"),
    "broken-safetensors": ("m.safetensors", half_safetensors, {"arch": mlp}, r"safetensors"),
    "broken-npz": ("m.npz", raw(b"PK\x03\x04 broken"), {"arch": mlp}, r"npz"),
    "pickled-npz": ("m.npz", pickled_npz, {"arch": mlp}, r"npz"),
    "broken-program": ("m.pt2", raw(b"PK nothing"), {}, r"torch\.export"),
    "program-with-arch": ("m.pt2", raw(b"x"), {"arch": mlp}, r"leave it out"),
    "unknown-suffix": ("m.h5", raw(b"x"), {}, r"\.onnx, .*\.safetensors"),
    "onnx-with-arch": ("m.onnx", raw(b"x"), {"arch": mlp}, r"leave it out"),
    "wrong-input-shape": ("m.pt", written(STATE), {"arch": mlp, "input_shape": (7,)}, r"\(1, 7\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(name, tmp_path):
    file, write, arguments, message = BAD[name]
    write(tmp_path / file)
    with pytest.raises((LoadError, UsageError), match=message) as error:
        load(tmp_path / file, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["missing.pt", "missing.onnx"])
def test_missing_files(name, tmp_path):
    with pytest.raises(LoadError, match="no such file"):
        load(tmp_path / name)


def test_a_folder_is_no_network(tmp_path):
    with pytest.raises(LoadError, match="folder"):
        load(tmp_path)


def test_no_code_in_a_file_is_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"state_dict": STATE, "bomb": Bomb()}, tmp_path / "m.pt")
    with pytest.raises(LoadError):
        read_torch(tmp_path / "m.pt")
    assert not (tmp_path / "exploded").exists()


def test_every_refusal_is_one_of_our_errors():
    assert issubclass(LoadError, ReluproofError)
    assert verify.LoadError is LoadError
