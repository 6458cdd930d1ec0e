"""NumPy files: an ``.npz`` archive or two ``.npy`` files become one array of inputs and one of labels."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from verify.errors import LoadError
from verify.load.idx import Split

Array = npt.NDArray[Any]

# Accepted names of (inputs, labels), first those that name a split, then those that do not.
SPLIT_NAMES: dict[Split, tuple[tuple[str, str], ...]] = {
    "test": (("x_test", "y_test"), ("test_images", "test_labels"), ("test_inputs", "test_labels")),
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("train_inputs", "train_labels")),
}
PLAIN_NAMES = (("x", "y"), ("X", "y"), ("inputs", "labels"), ("images", "labels"), ("data", "labels"))


def choose_names(present: Iterable[str], *, source: str, split: Split) -> tuple[str, str]:
    """The pair of names in ``present`` that hold the inputs and labels of ``split``.

    Names that say the split win; otherwise exactly one pair without a split must be there.

    Raises:
        LoadError: no pair or several pairs; the message lists the names that are there and those accepted.
    """
    names = sorted(present)
    for candidates in (SPLIT_NAMES[split], PLAIN_NAMES):
        pairs = [pair for pair in candidates if set(pair) <= set(names)]
        if len(pairs) == 1:
            return pairs[0]
        if pairs:
            raise LoadError(f"{source}: {_spell(pairs)} could each be the data; keep one of them (found {names})")
    other: Split = "train" if split == "test" else "test"
    if any(set(pair) <= set(names) for pair in SPLIT_NAMES[other]):
        raise LoadError(f"{source}: no {split} data, only {names}; give split={other!r} to read the {other} data")
    raise LoadError(
        f"{source}: no inputs with labels, only {names}; name them one of {_spell(SPLIT_NAMES[split] + PLAIN_NAMES)}"
    )


def _spell(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{inputs}/{labels}" for inputs, labels in pairs)


def read_npz(path: Path, *, split: Split) -> tuple[Array, Array]:
    """Inputs and labels of an ``.npz`` archive, under the names of :func:`choose_names`.

    Raises:
        LoadError: not an archive, damaged, holding Python objects (never unpickled), or without a known pair of names.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            inputs, labels = choose_names(archive.files, source=str(path), split=split)
            return np.asarray(archive[inputs]), np.asarray(archive[labels])
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        TypeError,
        AttributeError,
    ) as error:
        raise LoadError(f"{path}: not a readable .npz archive of plain arrays ({_first_line(error)})") from error


def read_npy(path: Path) -> Array:
    """The array of one ``.npy`` file.

    Raises:
        LoadError: missing, damaged, or holding Python objects (never unpickled).
    """
    try:
        with path.open("rb") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise LoadError(f"{path}: not a readable .npy array ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
