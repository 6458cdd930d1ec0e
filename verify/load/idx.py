"""IDX, the format of the MNIST files: find an image and label file in a folder and read them."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from verify.errors import LoadError

Pixels = npt.NDArray[np.uint8]
Split = Literal["test", "train"]

_PREFIX: dict[Split, str] = {"test": "t10k", "train": "train"}
# What follows the prefix for images and for labels: as published, and as some archive tools unpack it.
_ENDINGS = (
    ("-images-idx3-ubyte", "-labels-idx1-ubyte"),
    ("-images.idx3-ubyte", "-labels.idx1-ubyte"),
)
_UBYTE = 0x08  # the only element type that image and label files use


def find_idx_pair(folder: Path, *, split: Split) -> tuple[Path, Path] | None:
    """The (image, label) files of ``split`` in ``folder``, ``folder/raw`` or ``folder/*/raw``, or None.

    A plain file is preferred to its ``.gz`` twin, which torchvision leaves beside it.

    Raises:
        LoadError: several sub-folders hold such files, or a folder has the images but not their labels.
    """
    found = []
    for candidate in (folder, folder / "raw", *sorted(folder.glob("*/raw"))):
        pair = _pair_in(candidate, _PREFIX[split])
        if pair is not None:
            found.append(pair)
    if len(found) > 1:
        places = ", ".join(str(images.parent) for images, _ in found)
        raise LoadError(f"{folder}: several folders hold IDX files ({places}); name one of them")
    return found[0] if found else None


def _pair_in(folder: Path, prefix: str) -> tuple[Path, Path] | None:
    for image_ending, label_ending in _ENDINGS:
        images = _plain_or_gz(folder / f"{prefix}{image_ending}")
        if images is None:
            continue
        labels = _plain_or_gz(folder / f"{prefix}{label_ending}")
        if labels is None:
            raise LoadError(f"{images}: its labels are missing; put {prefix}{label_ending}[.gz] beside it")
        return images, labels
    return None


def _plain_or_gz(path: Path) -> Path | None:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    return None


def read_bytes(path: Path) -> bytes:
    """The contents of ``path``, decompressed if its name ends in ``.gz``.

    Raises:
        LoadError: the file is missing, unreadable, or a damaged or truncated gzip file.
    """
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except OSError as error:  # gzip.BadGzipFile is one
        raise LoadError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (EOFError, zlib.error) as error:
        raise LoadError(f"{path}: damaged gzip file ({error}); fetch it again") from error


def read_idx(path: Path, *, dimensions: int) -> Pixels:
    """The unsigned bytes of one IDX file, in its own shape.

    Args:
        path: the file, gzipped if its name ends in ``.gz``.
        dimensions: how many axes it must have: 3 for images (N, height, width), 1 for labels (N,).

    Raises:
        LoadError: another magic number, or fewer or more bytes than the header announces.
    """
    data = read_bytes(path)
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise LoadError(f"{path}: {len(data)} bytes, shorter than an IDX header of {header}; fetch it again")
    magic = int.from_bytes(data[:4], "big")
    wanted = _UBYTE << 8 | dimensions
    if magic != wanted:
        raise LoadError(
            f"{path}: magic number 0x{magic:08x}, but {dimensions}-dimensional unsigned-byte IDX data starts with "
            f"0x{wanted:08x}; this is another kind of file"
        )
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    announced = header + math.prod(shape)
    if len(data) != announced:
        state = "truncated" if len(data) < announced else "too long"
        raise LoadError(
            f"{path}: {state}: {len(data)} bytes, but its header announces {announced} (shape {shape}); fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
