"""Whatever is wrong with data is refused in one line that names the file, the value and the remedy."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.datafiles import FLOATS, LABELS, PIXELS, idx_bytes, write_idx, write_module

from verify.errors import LoadError, ReluproofError, UsageError
from verify.load.data import load_data


def npz(**arrays: np.ndarray) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        np.savez(folder / "d.npz", **arrays)
        return str(folder / "d.npz")

    return make


def text(content: str | bytes, name: str = "t.csv") -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(folder / name)

    return make


def idx(images: bytes | None = None, labels: bytes | None = None, *, ending: str = "") -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        write_idx(folder, gz=bool(ending))
        for name, content in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
            if content is not None:
                (folder / f"{name}{ending}").write_bytes(content)
        return str(folder)

    return make


def two_idx_folders(folder: Path) -> str:
    write_idx(folder / "MNIST" / "raw")
    write_idx(folder / "FashionMNIST" / "raw")
    return str(folder)


def images_without_labels(folder: Path) -> str:
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(PIXELS))
    return str(folder)


def half_npy_folder(folder: Path) -> str:
    np.save(folder / "images.npy", PIXELS)
    return str(folder)


def npy_of_objects(folder: Path) -> str:
    np.save(folder / "a.npy", np.array([{}, []], dtype=object))
    np.save(folder / "b.npy", LABELS)
    return f"{folder / 'a.npy'}:{folder / 'b.npy'}"


NAN = np.where(np.arange(6).reshape(3, 2) == 3, np.nan, FLOATS)
INF = np.where(np.arange(6).reshape(3, 2) == 3, np.inf, FLOATS)
GOOD = idx_bytes(PIXELS)

BAD_FILES = {
    "missing npz": (lambda folder: str(folder / "none.npz"), "no such file"),
    "missing csv": (lambda folder: str(folder / "none.csv"), "no such file"),
    "missing npy": (lambda folder: f"{folder}/a.npy:{folder}/b.npy", "no such file"),
    "no archive": (text("hello", "d.npz"), "not a readable .npz"),
    "truncated npz": (text(b"PK\x03\x04junk", "d.npz"), "not a readable .npz"),
    "unknown keys": (npz(pictures=PIXELS, y=LABELS), r"only \['pictures', 'y'\]; name them one of .*inputs/labels"),
    "two pairs": (npz(x=PIXELS, y=LABELS, images=PIXELS, labels=LABELS), "x/y, images/labels could each be the data"),
    "other split": (npz(x_train=PIXELS, y_train=LABELS), "give split='train'"),
    "pickle in npz": (npz(x=np.array([{}], dtype=object), y=LABELS), "not a readable .npz"),
    "pickle in npy": (npy_of_objects, "not a readable .npy"),
    "nan": (npz(x=NAN, y=LABELS), "input 1 holds nan .value 1.; every value must be finite"),
    "inf": (npz(x=INF, y=LABELS), "input 1 holds inf"),
    "int32": (npz(x=PIXELS.astype(np.int32), y=LABELS), "whole numbers from 0 to 2.. .int32.*give scale=1/255"),
    "bool": (npz(x=PIXELS > 9, y=LABELS), "whole numbers from 0 to 1 .bool"),
    "complex": (npz(x=FLOATS.astype(complex), y=LABELS), "no defined meaning"),
    "strings": (npz(x=np.array([["a"]]), y=LABELS[:1]), "no defined meaning"),
    "count": (npz(x=FLOATS, y=LABELS[:2]), "3 inputs but 2 labels"),
    "half labels": (npz(x=FLOATS, y=np.array([1, 0.5, 2])), "input 1 has the label 0.5; give whole numbers"),
    "nan label": (npz(x=FLOATS, y=np.array([1, np.nan, 2])), "input 1 has the label nan"),
    "huge label": (npz(x=FLOATS, y=np.array([1, 1e300, 2])), "give class numbers"),
    "negative label": (npz(x=FLOATS, y=np.array([1, -1, 2])), "label -1; labels start at 0"),
    "one-hot": (npz(x=FLOATS, y=np.eye(3)), "not one-hot"),
    "word labels": (npz(x=FLOATS, y=np.array(["a", "b", "c"])), "give whole numbers"),
    "empty": (npz(x=FLOATS[:0], y=LABELS[:0]), "no data"),
    "no axis": (npz(x=FLOATS[0], y=LABELS[:2]), "first axis must count"),
    "csv pixels": (text("1,0,255\n"), "whole numbers from 0 to 255 .text.*give scale=1/255"),
    "csv heading": (text("a,b,label\n1,2,3\n"), "names the last column 'label'; give label_column='last'"),
    "csv only heading": (text("label,a\n"), "no data line"),
    "csv empty": (text(""), "no data line"),
    "csv one column": (text("1\n2\n"), "one column only"),
    "csv ragged": (text("1,0.5\n2,0.5,0.5\n"), "data line 2 has 3 fields, the first has 2"),
    "csv word": (text("1,0.5\n2,oops\n"), "data line 2 holds 'oops', which is no number"),
    "csv gap": (text("1,0.5\n2,\n"), "data line 2 holds '', which is no number"),
    "csv nan": (text("1,0.5\n2,nan\n"), "input 1 holds nan"),
    "csv label": (text("0.5,0.5\n"), "label 0.5; give whole numbers .or name the label column"),
    "csv binary": (text(b"\xff\xfe\x00\x80"), "not a text file"),
    "csv.gz plain": (text("1,0.5\n", "t.csv.gz"), "cannot be read .Not a gzipped file"),
    "csv.gz cut": (text(gzip.compress(b"1,0.5\n" * 99)[:-9], "t.csv.gz"), "damaged gzip file"),
    "idx cut": (idx(GOOD[:-1]), "truncated: 75 bytes, but its header announces 76 .shape .3, 4, 5"),
    "idx long": (idx(GOOD + b"x"), "too long: 77 bytes"),
    "idx header": (idx(GOOD[:9]), "9 bytes, shorter than an IDX header of 16"),
    "idx magic": (idx(b"\x00\x00\x0d\x03" + GOOD[4:]), "magic number 0x00000d03.*starts with 0x00000803"),
    "idx swapped": (idx(labels=GOOD), "labels-idx1-ubyte: magic number 0x00000803"),
    "idx gz cut": (idx(gzip.compress(GOOD)[:-9], ending=".gz"), "damaged gzip file"),
    "idx count": (idx(labels=idx_bytes(LABELS[:2])), "3 inputs but 2 labels"),
    "idx no labels": (images_without_labels, "its labels are missing; put t10k-labels-idx1-ubyte"),
    "idx twice": (two_idx_folders, "several folders hold IDX files"),
    "empty folder": (str, "a folder without test data; put t10k-images"),
    "one npy": (text(b"", "images.npy"), "is of no known kind; give one of"),
    "half npy folder": (half_npy_folder, r"only \['images'\]; name them one of"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    make, message = BAD_FILES[case]
    spec = make(tmp_path)
    with pytest.raises(ReluproofError, match=message) as caught:
        load_data(spec)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_module(tmp_path, "my_test_data")
    (tmp_path / "my_broken_data.py").write_text("raise ValueError('half written')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_test_data", raising=False)
    return "my_test_data"


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("absent", "has no attribute 'absent'"),
        ("number", "a int; name a torch Dataset"),
        ("empty", "no data"),
        ("pictures", "item 0 holds a str; give the dataset transform=ToTensor"),
        ("ragged", "item 1 is float32 of shape .3,., item 0"),
        ("triples", "item 0 is no .tensor, whole number. pair"),
        ("words", "give whole numbers"),
        ("fail", "calling it failed .RuntimeError: no download"),
        ("nothing", "gives a NoneType"),
    ],
)
def test_an_attribute_that_is_no_dataset_is_refused(module: str, attribute: str, message: str) -> None:
    with pytest.raises(LoadError, match=f"^{module}:{attribute}: .*{message}"):
        load_data(f"{module}:{attribute}")


@pytest.mark.parametrize(
    ("name", "message"), [("my_absent_data", "ModuleNotFoundError"), ("my_broken_data", "ValueError: half written")]
)
def test_a_module_that_cannot_be_imported_is_refused(module: str, name: str, message: str) -> None:
    with pytest.raises(LoadError, match=f"importing {name} failed .{message}"):
        load_data(f"{name}:dataset")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_column": "middle"}, "give 'first' or 'last'"),
        ({"split": "validation"}, "give 'test' or 'train'"),
        *(({"scale": scale}, "give a positive number") for scale in (0, -1.0, float("nan"), float("inf"))),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_data(npz(x=PIXELS, y=LABELS)(tmp_path), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", ["", "nowhere", "notes.txt", "images.pt"])
def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path, spec: str) -> None:
    with pytest.raises(UsageError, match=r"of no known kind; give one of: .*data\.npz.*module:attribute"):
        load_data(str(tmp_path / spec) if spec.endswith(".txt") else spec)
