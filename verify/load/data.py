"""Foreign data files become one noun, :class:`Dataset`: one table from the kind of file to its reader."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from verify.errors import LoadError, UsageError
from verify.load.arrays import choose_names, read_npy, read_npz
from verify.load.attribute import ATTRIBUTE_SPEC, import_attribute
from verify.load.dataset import Dataset as Dataset
from verify.load.idx import Split as Split
from verify.load.idx import find_idx_pair, read_idx
from verify.load.index import parse_index as parse_index
from verify.load.scaling import make_dataset
from verify.load.table import LabelColumn as LabelColumn
from verify.load.table import read_csv

Array = npt.NDArray[Any]

_SPLITS: tuple[Split, ...] = ("test", "train")
_LABEL_COLUMNS: tuple[LabelColumn, ...] = ("first", "last")


@dataclass(frozen=True, kw_only=True)
class _Options:
    label_column: LabelColumn
    split: Split
    scale: float | None


def load_data(
    spec: str | Path,
    *,
    label_column: LabelColumn = "first",
    split: Split = "test",
    scale: float | None = None,
) -> Dataset:
    """Read labelled inputs from ``spec``.

    ================================  ===============================================================================
    ``spec``                          what is read
    ================================  ===============================================================================
    ``digits.npz``                    two arrays: ``x``/``y``, ``inputs``/``labels``, ``images``/``labels``,
                                      ``data``/``labels``, or of a split ``x_test``/``y_test``,
                                      ``test_images``/``test_labels`` (and ``train`` likewise)
    ``x.npy:y.npy``                   the inputs, then the labels
    a folder of ``.npy`` files        the same names as in an ``.npz``, such as ``images.npy`` and ``labels.npy``
    an IDX folder                     ``t10k-images-idx3-ubyte`` and its labels (``train-...`` for the other split),
                                      ``.gz`` or not, in the folder, its ``raw`` or ``MNIST/raw``; shape (N, 1, H, W)
    ``table.csv``, ``table.csv.gz``   one input a line with its label in ``label_column``; shape (N, columns - 1)
    ``module:attribute``              a torch Dataset, or a callable that returns one, of (tensor, label) items
    ================================  ===============================================================================

    The scale is never guessed. With ``scale=None``: uint8 is divided by 255 in float32, as torchvision's ``ToTensor``
    does; floating-point values stay as stored (float16 becomes float32, CSV text becomes float64); whole numbers of
    any other type, CSV columns of whole numbers included (unless all are 0 or 1), are refused. With a ``scale`` every
    value is multiplied by it; whole numbers then become float32, and ``scale=1/255`` equals division by 255 exactly.

    Args:
        spec: a path, ``inputs.npy:labels.npy`` or ``module:attribute``.
        label_column: where a CSV line holds its label.
        split: which part of an IDX folder, or of an archive that holds both, is read.
        scale: the factor from stored values to network inputs, positive.

    Returns:
        The dataset; its ``pixel_scale`` says what was done to the values.

    Raises:
        UsageError: an option is wrong, or ``spec`` is of no known kind.
        LoadError: the file is missing, damaged, of another kind, or holds no valid labelled inputs.
    """
    if label_column not in _LABEL_COLUMNS:
        raise UsageError(f"label_column is {label_column!r}; give 'first' or 'last'")
    if split not in _SPLITS:
        raise UsageError(f"split is {split!r}; give 'test' or 'train'")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise UsageError(f"scale is {scale!r}; give a positive number such as 1/255")
    text = str(spec)
    options = _Options(label_column=label_column, split=split, scale=scale)
    for kind in _KINDS:
        if kind.accepts(text):
            return kind.read(text, options)
    known = ", ".join(kind.example for kind in _KINDS)
    if Path(text).exists():
        raise UsageError(f"data {text!r} is of no known kind; give one of: {known}")
    raise UsageError(f"data {text!r} does not exist and is of no known kind; give one of: {known}")


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise LoadError(f"{text}: no such file; check the path")
    return path


def _from_npz(text: str, options: _Options) -> Dataset:
    inputs, labels = read_npz(_existing(text), split=options.split)
    return make_dataset(inputs, labels, source=text, scale=options.scale)


def _from_npy_pair(text: str, options: _Options) -> Dataset:
    middle = text.lower().index(".npy:") + len(".npy")
    inputs, labels = (read_npy(_existing(part)) for part in (text[:middle], text[middle + 1 :]))
    return make_dataset(inputs, labels, source=text, scale=options.scale)


def _from_csv(text: str, options: _Options) -> Dataset:
    inputs, labels = read_csv(_existing(text), label_column=options.label_column)
    return make_dataset(inputs, labels, source=text, scale=options.scale, is_text=True)


def _from_folder(text: str, options: _Options) -> Dataset:
    folder = Path(text)
    pair = find_idx_pair(folder, split=options.split)
    if pair is not None:
        images, labels = read_idx(pair[0], dimensions=3), read_idx(pair[1], dimensions=1)
        return make_dataset(images[:, None], labels, source=str(pair[0]), scale=options.scale)
    arrays = {path.stem: path for path in folder.glob("*.npy")}
    if arrays:
        names = choose_names(arrays, source=text, split=options.split)
        inputs, label_array = (read_npy(arrays[name]) for name in names)
        return make_dataset(inputs, label_array, source=text, scale=options.scale)
    prefix = {"test": "t10k", "train": "train"}[options.split]
    raise LoadError(
        f"{text}: a folder without {options.split} data; put {prefix}-images-idx3-ubyte[.gz] and "
        f"{prefix}-labels-idx1-ubyte[.gz], or images.npy and labels.npy, into it"
    )


def _from_attribute(text: str, options: _Options) -> Dataset:
    found: Any = import_attribute(text)
    if isinstance(found, type) or not hasattr(found, "__getitem__"):
        if not callable(found):
            raise LoadError(f"{text}: a {type(found).__name__}; name a torch Dataset or a callable that returns one")
        try:
            found = found()
        except Exception as error:  # whatever the user's callable raises
            raise LoadError(f"{text}: calling it failed ({type(error).__name__}: {error}); correct it") from error
    if not (hasattr(found, "__getitem__") and hasattr(found, "__len__")):
        raise LoadError(f"{text}: gives a {type(found).__name__}, which has no length or items; give a torch Dataset")
    items = [_item(text, row, found) for row in range(len(found))]
    if not items:
        raise LoadError(f"{text}: no data; give a dataset of one item or more")
    first = items[0][0]
    for row, (values, _) in enumerate(items):
        if (values.shape, values.dtype) != (first.shape, first.dtype):
            raise LoadError(
                f"{text}: item {row} is {values.dtype} of shape {values.shape}, item 0 is {first.dtype} of shape "
                f"{first.shape}; give items of one type and shape"
            )
    return make_dataset(
        np.stack([values for values, _ in items]),
        np.asarray([label for _, label in items]),
        source=text,
        scale=options.scale,
    )


def _item(text: str, row: int, items: Any) -> tuple[Array, Any]:
    try:
        tensor, label = items[row]
        if isinstance(tensor, torch.Tensor):
            return tensor.detach().cpu().numpy(), label.item() if hasattr(label, "item") else label
    except Exception as error:  # whatever the user's dataset raises, and items that are no pairs
        raise LoadError(
            f"{text}: item {row} is no (tensor, whole number) pair ({type(error).__name__}: {error}); correct it"
        ) from error
    raise LoadError(f"{text}: item {row} holds a {type(tensor).__name__}; give the dataset transform=ToTensor()")


class _Kind(NamedTuple):
    example: str
    accepts: Callable[[str], bool]
    read: Callable[[str, _Options], Dataset]


# The first kind that accepts the text reads it.
_KINDS = (
    _Kind(
        "a folder with MNIST's IDX files or with images.npy and labels.npy",
        lambda s: bool(s) and Path(s).is_dir(),
        _from_folder,
    ),
    _Kind("inputs.npy:labels.npy", lambda s: ".npy:" in s.lower(), _from_npy_pair),
    _Kind("data.npz", lambda s: s.lower().endswith(".npz"), _from_npz),
    _Kind("table.csv[.gz]", lambda s: s.lower().endswith((".csv", ".csv.gz")), _from_csv),
    _Kind("module:attribute", lambda s: ATTRIBUTE_SPEC.fullmatch(s) is not None, _from_attribute),
)
