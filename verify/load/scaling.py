"""Stored numbers become network inputs and labels; what is done to them is always said, never guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from verify.errors import LoadError
from verify.load.dataset import Dataset

Array = npt.NDArray[Any]


def make_dataset(inputs: Array, labels: Array, *, source: str, scale: float | None, is_text: bool = False) -> Dataset:
    """A dataset of stored ``inputs`` (N, *shape) and ``labels`` (N,) or (N, 1).

    See :func:`verify.load.data.load_data` for what ``scale`` does to which type.

    Raises:
        LoadError: an element type without a defined meaning, labels that are not whole numbers, or whatever
            :class:`Dataset` refuses.
    """
    scaled, note = _scale_inputs(inputs, source, scale, is_text)
    return Dataset(scaled, _whole_labels(labels, source), source, note)


def _scale_inputs(values: Array, source: str, scale: float | None, is_text: bool) -> tuple[torch.Tensor, str]:
    if values.dtype == np.uint8 and scale is None:
        # Division in float32, as torchvision's ToTensor does: 1/255 times the pixel would differ in the last bit.
        return torch.from_numpy(values.astype(np.float32)).div_(255), "uint8 pixels / 255 in float32"
    if values.dtype.kind not in "biuf":
        raise LoadError(f"{source}: inputs of type {values.dtype} have no defined meaning; store float32 or uint8")
    if values.dtype.kind in "biu" or (is_text and _all_whole(values)):
        return _scale_whole(values, source, scale, is_text)
    # float16 becomes float32 exactly; a longer type than float64 is refused rather than rounded.
    if values.dtype.itemsize > 8:
        raise LoadError(f"{source}: inputs of type {values.dtype} would be rounded; store float64")
    kept = torch.from_numpy(values.astype(np.float64 if values.dtype.itemsize == 8 else np.float32))
    if scale is None:
        return kept, "as written" if is_text else "as stored"
    return kept * scale, f"stored values * {scale!r} in {str(kept.dtype).removeprefix('torch.')}"


def _scale_whole(values: Array, source: str, scale: float | None, is_text: bool) -> tuple[torch.Tensor, str]:
    exact = values.astype(np.float64)
    if scale is not None:
        # One product in float64, rounded once: for pixels and 1/255 this equals float32 division.
        return torch.from_numpy((exact * scale).astype(np.float32)), f"whole numbers * {scale!r}, rounded to float32"
    if is_text and exact.size and exact.min() >= 0 and exact.max() <= 1:
        return torch.from_numpy(exact), "as written"
    span = f" from {exact.min():g} to {exact.max():g}" if exact.size else ""
    raise LoadError(
        f"{source}: the inputs are whole numbers{span} ({'text' if is_text else values.dtype}) and nothing says "
        "in which unit; give scale=1/255 for 8-bit pixels, or scale=1 to take them as they are"
    )


def _whole_labels(labels: Array, source: str) -> torch.Tensor:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise LoadError(
            f"{source}: labels have shape {labels.shape}; give one whole number per input (not one-hot rows)"
        )
    if labels.dtype.kind not in "iuf":
        raise LoadError(f"{source}: labels are of type {labels.dtype}; give whole numbers")
    whole = labels.dtype.kind in "iu" or _whole_mask(labels)
    if not np.all(whole):
        row = int(np.argmin(whole))
        raise LoadError(
            f"{source}: input {row} has the label {labels[row]:g}; give whole numbers (or name the label column)"
        )
    if labels.size and np.abs(labels.astype(np.float64)).max() > 2**53:
        raise LoadError(f"{source}: a label is larger than 2**53; give class numbers")
    return torch.from_numpy(labels.astype(np.int64))


def _whole_mask(values: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(values) & (np.floor(values) == values))


def _all_whole(values: Array) -> bool:
    return bool(_whole_mask(values).all())
