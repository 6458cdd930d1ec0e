"""Data files become datasets whose values are exactly the stated ones."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.datafiles import FLOATS, LABELS, PIXELS, write_idx, write_module

from verify.errors import LoadError, UsageError
from verify.load.data import Dataset, load_data

AS_TENSOR = torch.from_numpy(PIXELS.astype(np.float32)) / 255  # what torchvision's ToTensor computes


def write_csv(path: Path, *, last: bool = False, heading: str = "") -> None:
    columns = (PIXELS.reshape(3, -1), LABELS[:, None])
    table = np.concatenate(columns if last else columns[::-1], axis=1)
    text = heading + "".join(",".join(map(str, row)) + "\n" for row in table.tolist())
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def assert_pixels(data: Dataset, shape: tuple[int, ...]) -> None:
    assert data.inputs.dtype == torch.float32
    assert data.inputs.shape == shape
    assert torch.equal(data.inputs.flatten(), AS_TENSOR.flatten())
    assert data.labels.dtype == torch.int64
    assert data.labels.tolist() == LABELS.tolist()


# --- every format gives the same pixels ---------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("gz", [False, True])
def test_an_idx_folder_is_found_at_each_place(tmp_path: Path, folder: str, gz: bool) -> None:
    write_idx(tmp_path / folder, gz=gz)
    assert_pixels(load_data(tmp_path), (3, 1, 4, 5))


def test_an_idx_folder_may_name_its_files_with_a_dot(tmp_path: Path) -> None:
    write_idx(tmp_path, separator=".")
    assert_pixels(load_data(str(tmp_path)), (3, 1, 4, 5))


def test_the_split_chooses_the_idx_files(tmp_path: Path) -> None:
    write_idx(tmp_path, prefix="train")
    assert_pixels(load_data(tmp_path, split="train"), (3, 1, 4, 5))
    with pytest.raises(LoadError, match="without test data; put t10k-images"):
        load_data(tmp_path)


NAMES = [
    ("x", "y"),
    ("X", "y"),
    ("inputs", "labels"),
    ("images", "labels"),
    ("data", "labels"),
    ("x_test", "y_test"),
    ("test_images", "test_labels"),
]


@pytest.mark.parametrize(("inputs", "labels"), NAMES)
def test_an_npz_archive_is_read_under_each_pair_of_names(tmp_path: Path, inputs: str, labels: str) -> None:
    np.savez(tmp_path / "d.npz", **{inputs: PIXELS, labels: LABELS, "other": np.zeros(1)})
    assert_pixels(load_data(tmp_path / "d.npz"), (3, 4, 5))


@pytest.mark.parametrize(("inputs", "labels"), NAMES)
def test_a_folder_of_npy_files_is_read_under_each_pair_of_names(tmp_path: Path, inputs: str, labels: str) -> None:
    np.save(tmp_path / f"{inputs}.npy", PIXELS)
    np.save(tmp_path / f"{labels}.npy", LABELS)
    assert_pixels(load_data(tmp_path), (3, 4, 5))


def test_an_archive_of_both_splits_is_read_by_split(tmp_path: Path) -> None:
    other = np.zeros((1, 2), np.float32)
    np.savez(tmp_path / "d.npz", x_train=PIXELS, y_train=LABELS, x_test=other, y_test=np.array([1]))
    assert_pixels(load_data(tmp_path / "d.npz", split="train"), (3, 4, 5))
    assert len(load_data(tmp_path / "d.npz")) == 1


def test_a_pair_of_npy_files_is_inputs_then_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PIXELS)
    np.save(tmp_path / "b.npy", LABELS)
    assert_pixels(load_data(f"{tmp_path / 'a.npy'}:{tmp_path / 'b.npy'}"), (3, 4, 5))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("heading", [False, True])
def test_csv_pixels_with_a_scale_equal_the_idx_ones(tmp_path: Path, name: str, last: bool, heading: bool) -> None:
    fields = [f"pixel{k}" for k in range(20)]
    fields.insert(20 if last else 0, "label")
    write_csv(tmp_path / name, last=last, heading=",".join(fields) + "\n" if heading else "")
    data = load_data(tmp_path / name, label_column="last" if last else "first", scale=1 / 255)
    assert_pixels(data, (3, 20))


def test_a_scale_of_1_over_255_equals_the_division_for_every_pixel_value(tmp_path: Path) -> None:
    every = np.arange(256, dtype=np.uint8)[:, None]
    np.savez(tmp_path / "d.npz", x=every, y=np.zeros(256, np.int64))
    np.savez(tmp_path / "i.npz", x=every.astype(np.int32), y=np.zeros(256, np.int64))
    divided = load_data(tmp_path / "d.npz")
    assert torch.equal(divided.inputs, load_data(tmp_path / "i.npz", scale=1 / 255).inputs)
    assert torch.equal(divided.inputs, load_data(tmp_path / "d.npz", scale=1 / 255).inputs)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_module(tmp_path, "my_test_data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_test_data", raising=False)
    return "my_test_data"


@pytest.mark.parametrize("attribute", ["dataset", "floats", "listed", "make", "Holder.inner"])
def test_a_torch_dataset_is_imported_from_the_working_directory(module: str, attribute: str) -> None:
    before = list(sys.path)
    assert_pixels(load_data(f"{module}:{attribute}"), (3, 4, 5))
    assert sys.path == before


# --- what is done to the values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "scale", "dtype", "factor", "note"),
    [
        (np.float64, None, torch.float64, 1, "as stored"),
        (np.float32, None, torch.float32, 1, "as stored"),
        (np.float16, None, torch.float32, 1, "as stored"),
        (">f8", None, torch.float64, 1, "as stored"),
        (np.float64, 0.5, torch.float64, 0.5, "stored values * 0.5 in float64"),
        (np.float32, 0.5, torch.float32, 0.5, "stored values * 0.5 in float32"),
    ],
)
def test_floats_are_taken_exactly_as_stored(
    tmp_path: Path, stored: str, scale: float | None, dtype: torch.dtype, factor: float, note: str
) -> None:
    np.savez(tmp_path / "d.npz", x=FLOATS.astype(stored), y=LABELS)
    data = load_data(tmp_path / "d.npz", scale=scale)
    assert data.inputs.dtype == dtype
    assert np.array_equal(data.inputs.numpy(), FLOATS.astype(stored).astype(np.float64) * factor)
    assert data.pixel_scale == note


def test_csv_decimals_become_the_nearest_float64(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,0.1,0.3\n\n0,1e-3,1\n")
    data = load_data(tmp_path / "t.csv")
    assert data.inputs.tolist() == [[0.1, 0.3], [1e-3, 1.0]]
    assert data.labels.tolist() == [1, 0]
    assert data.pixel_scale == "as written"


def test_a_csv_of_zeros_and_ones_needs_no_scale(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("3,0,1\n4,1,1\n")
    assert load_data(tmp_path / "t.csv").inputs.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("labels", [LABELS.astype(np.float64), LABELS[:, None], LABELS.astype(">i8")])
def test_labels_may_be_whole_floats_or_one_column(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "d.npz", x=PIXELS, y=labels)
    assert_pixels(load_data(tmp_path / "d.npz"), (3, 4, 5))


# --- the dataset --------------------------------------------------------------------------------------------------


def test_select_keeps_the_asked_inputs_in_their_order() -> None:
    data = Dataset(torch.from_numpy(FLOATS), torch.tensor([7, 0, 2]), "here", "as stored")
    chosen = data.select([2, 0])
    assert len(data) == 3
    assert torch.equal(chosen.inputs, data.inputs[[2, 0]])
    assert chosen.labels.tolist() == [2, 7]
    assert (chosen.source, chosen.pixel_scale) == ("here", "as stored")


@pytest.mark.parametrize(("indices", "message"), [([], "no input is selected"), ([3], "0 to 2"), ([-1], "0 to 2")])
def test_select_refuses_what_is_not_there(indices: list[int], message: str) -> None:
    data = Dataset(torch.from_numpy(FLOATS), torch.tensor([7, 0, 2]), "here", "as stored")
    with pytest.raises(UsageError, match=message):
        data.select(indices)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), "give float32 or float64"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), "first axis must count"),
        (torch.zeros(3, 2), torch.zeros(3), "one whole number per input"),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64), "3 inputs but 2 labels"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), "no data"),
    ],
)
def test_a_dataset_is_never_inconsistent(inputs: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(LoadError, match=f"^here: .*{message}"):
        Dataset(inputs, labels, "here", "as stored")


# --- the real thing -----------------------------------------------------------------------------------------------


def test_the_mnist_test_images_are_read_bit_exactly(reference_data: Path) -> None:
    data = load_data(reference_data / "mnist")
    assert data.inputs.shape == (10000, 1, 28, 28)
    assert torch.bincount(data.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.labels[0] == 7
    stored = np.frombuffer(gzip.decompress((reference_data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8)
    assert np.array_equal(data.inputs.numpy().ravel(), stored[16:].astype(np.float32) / np.float32(255))
    assert data.pixel_scale == "uint8 pixels / 255 in float32"
