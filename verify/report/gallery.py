"""Counterexamples as pictures: the input, what changes, magnified, the result, and what the network calls the two."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

import verify
from verify.report.png import data_uri

MOST = 24
"""Most pictures of a report."""
LARGEST = 256
"""Longest side, in pixels, that is shown."""
_BYTES = 5_000_000  # of all pictures before compression: of large images fewer are shown

Image = npt.NDArray[np.float64]
_BELOW, _ABOVE = np.array([178.0, 24.0, 43.0]), np.array([33.0, 102.0, 172.0])  # red and blue, no green beside it


@dataclass(frozen=True)
class Picture:
    """One counterexample: three pictures as addresses, the classes, its margin, and the largest change of an entry."""

    index: int
    label: int
    predicted: int
    called: int
    margin: float
    change: float
    before: str
    difference: str
    after: str


@dataclass(frozen=True)
class Gallery:
    """The first pictures of ``found`` counterexamples; ``magnified``: by how much the change is, the same for all."""

    pictures: tuple[Picture, ...]
    found: int
    magnified: float


def gallery_of(run: verify.Run, data: verify.Dataset, most: int = MOST) -> Gallery | None:
    """The counterexamples of ``run``, which was about ``data``: None where it has none, or its inputs are no images.

    Inputs that are misclassified as they are have no change to show. Raises LoadError where a counterexample's file is missing
    or is not the one that the run's record names.
    """
    shape = _image_shape(tuple(data.inputs.shape[1:]))
    found = [(r, w) for r in run.records.values() if (w := r.counterexample) is not None and not r.misclassified]
    if shape is None or not found:
        return None
    shown = found[: max(1, min(most, _BYTES // (3 * math.prod(shape))))]
    before = [data.inputs[record.index].double().numpy().reshape(shape) for record, _ in shown]
    after = [np.load(io.BytesIO(run.content(witness))).reshape(shape) for _, witness in shown]
    clip = run.identity["region"]["clip"]
    low, high = _range(before + after) if clip is None else (float(Fraction(clip[0])), float(Fraction(clip[1])))
    changes = [b - a for a, b in zip(before, after, strict=True)]
    largest = max(float(np.abs(change).max()) for change in changes) or 1.0
    pictures = tuple(
        Picture(
            index=record.index,
            label=record.label,
            predicted=record.label,
            called=witness.predicted,
            margin=witness.margin,
            change=float(np.abs(change).max()),
            before=data_uri(grey_bytes(x, low, high)),
            difference=data_uri(signed_bytes(change / largest)),
            after=data_uri(grey_bytes(y, low, high)),
        )
        for (record, witness), x, y, change in zip(shown, before, after, changes, strict=True)
    )
    return Gallery(pictures, len(found), (high - low) / (2 * largest))


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """(H, W) or (3, H, W) for the shape of an image, None for others."""
    sizes = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
    image = len(sizes) == 2 or (len(sizes) == 3 and sizes[0] == 3)
    return sizes if image and min(sizes[-2:]) >= 2 and max(sizes[-2:]) <= LARGEST else None


def _range(images: Sequence[Image]) -> tuple[float, float]:
    return min(float(x.min()) for x in images), max(float(x.max()) for x in images)


def grey_bytes(image: Image, low: float, high: float) -> npt.NDArray[np.uint8]:
    """``low`` is black and ``high`` white; three channels are red, green and blue."""
    return _bytes(255.0 * (_last(image) - low) / ((high - low) or 1.0))


def signed_bytes(change: Image) -> npt.NDArray[np.uint8]:
    """Changes from -1 to 1: one channel from red over white to blue, three channels around middle grey."""
    values = _last(change)
    if values.shape[-1] == 3:
        return _bytes(127.5 + 127.5 * values)
    colour = np.where(values < 0, _BELOW, _ABOVE)
    return _bytes(255.0 + np.abs(values) * (colour - 255.0))


def _last(image: Image) -> Image:
    """Channels last: (H, W, 1) or (H, W, 3)."""
    return image[:, :, None] if image.ndim == 2 else np.moveaxis(image, 0, -1)


def _bytes(values: Image) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
