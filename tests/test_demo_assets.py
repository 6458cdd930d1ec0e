"""The demo networks and digits load, agree with each other and are as good as their README says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from verify.demo import demo_digits_path, demo_network_path
from verify.demo.make_digits import make_digits
from verify.demo.train import build_cnn, build_mlp
from verify.errors import UsageError
from verify.load.data import Dataset, load_data
from verify.train.export import export_onnx

NETWORKS = ("mlp", "cnn")
FILES = (*map(demo_network_path, NETWORKS), demo_digits_path())
README = demo_digits_path().with_name("README.md").read_text(encoding="utf-8")


def logits(path: Path, inputs: torch.Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"image": inputs.numpy()})
    return np.asarray(output)


def clean_error(name: str, data: Dataset) -> float:
    wrong = logits(demo_network_path(name), data.inputs).argmax(1) != data.labels.numpy()
    return 100 * float(wrong.mean())


def recorded_clean_error(name: str, images: str) -> float:
    return float(re.search(rf"^\| {name} \| {re.escape(images)} \| 0\.1 \| ([\d.]+) \|", README, re.MULTILINE)[1])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_one_valid_onnx_file_with_a_free_batch_axis(name: str) -> None:
    model = onnx.load(demo_network_path(name))
    onnx.checker.check_model(model, full_check=True)
    (image,), (output,) = model.graph.input, model.graph.output
    assert [axis.dim_param or axis.dim_value for axis in image.type.tensor_type.shape.dim] == ["batch", 1, 28, 28]
    assert [axis.dim_param or axis.dim_value for axis in output.type.tensor_type.shape.dim] == ["batch", 10]
    assert model.opset_import[0].version == 17
    assert not any(tensor.external_data for tensor in model.graph.initializer)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_small(path: Path) -> None:
    assert path.stat().st_size < {".onnx": 400_000, ".npz": 60_000}[path.suffix]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_readme_records_the_hash_of_each_file(path: Path) -> None:
    assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" in README


def test_the_digits_show_every_class_ten_times_in_turn() -> None:
    digits = load_data(demo_digits_path())
    assert digits.inputs.shape == (100, 1, 28, 28)
    assert digits.labels.tolist() == list(range(10)) * 10
    assert digits.inputs.min() == 0
    assert digits.inputs.max() == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_clean_error_on_the_digits_is_the_recorded_one(name: str) -> None:
    measured = clean_error(name, load_data(demo_digits_path()))
    assert measured == pytest.approx(recorded_clean_error(name, "`digits.npz`, 100"))
    assert measured <= 3


@pytest.mark.parametrize("name", NETWORKS)
def test_clean_error_on_the_test_images_is_the_recorded_one(name: str, reference_data: Path) -> None:
    measured = clean_error(name, load_data(reference_data / "mnist"))
    # Summation order differs between runtimes: two images of ten thousand may change sides.
    assert measured == pytest.approx(recorded_clean_error(name, "MNIST test, 10,000"), abs=0.02)


def test_no_digit_is_a_test_image_and_each_is_a_training_image_that_training_leaves_out(reference_data: Path) -> None:
    digits = {image.numpy().tobytes() for image in load_data(demo_digits_path()).inputs}
    images = {
        split: {image.numpy().tobytes() for image in load_data(reference_data / "mnist", split=split).inputs}
        for split in ("test", "train")
    }
    assert len(digits) == 100
    assert digits <= images["train"]
    assert not digits & images["test"]


@pytest.mark.parametrize("build", [build_mlp, build_cnn])
def test_an_exported_network_computes_what_torch_computes(build: Callable[[], nn.Sequential], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build()
    export_onnx(model, tmp_path / "model.onnx", (1, 28, 28), names=("image", "logits"))
    inputs = load_data(demo_digits_path()).inputs
    with torch.no_grad():
        wanted = model(inputs).numpy()
    np.testing.assert_allclose(logits(tmp_path / "model.onnx", inputs), wanted, atol=1e-5)


def test_digits_are_made_from_the_first_ten_of_each_class(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(10), 12)
    table = np.concatenate([np.arange(120)[:, None] * np.ones((1, 784)), labels[:, None]], axis=1)
    np.savetxt(tmp_path / "sample.csv.gz", table, delimiter=",", fmt="%d")
    make_digits(tmp_path / "sample.csv.gz", tmp_path / "digits.npz")
    with np.load(tmp_path / "digits.npz") as made:
        assert made["x"].dtype == np.uint8
        assert made["x"][:, 0, 0, 0].tolist() == [12 * label + turn for turn in range(10) for label in range(10)]
        assert made["y"].tolist() == list(range(10)) * 10


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'resnet' does not exist; choose one of mlp, cnn"):
        demo_network_path("resnet")
