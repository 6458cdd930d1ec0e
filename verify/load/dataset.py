"""The noun that every data file becomes: inputs with labels, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from verify.errors import LoadError, UsageError

_FLOATS = (torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled inputs in the units the network sees.

    Attributes:
        inputs: (N, *shape), float32 or float64, all finite, N >= 1.
        labels: (N,) int64, none negative.
        source: the file, folder or attribute they came from, for messages and reports.
        pixel_scale: what was done to the stored values, in words, for reports: ``"as stored"``, for example.

    Raises:
        LoadError: one of these sentences is false; the message names ``source`` and the offending value.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    source: str
    pixel_scale: str

    def __post_init__(self) -> None:
        if self.inputs.dtype not in _FLOATS:
            raise LoadError(f"{self.source}: inputs are {self.inputs.dtype}; give float32 or float64")
        if self.inputs.ndim < 2:
            raise LoadError(
                f"{self.source}: inputs have shape {tuple(self.inputs.shape)}; the first axis must count the inputs, "
                "and at least one more must hold their values"
            )
        if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
            raise LoadError(
                f"{self.source}: labels are {self.labels.dtype} of shape {tuple(self.labels.shape)}; "
                "give one whole number per input"
            )
        if len(self.inputs) != len(self.labels):
            raise LoadError(
                f"{self.source}: {len(self.inputs)} inputs but {len(self.labels)} labels; give one label per input"
            )
        if self.inputs.numel() == 0:
            raise LoadError(
                f"{self.source}: no data (inputs of shape {tuple(self.inputs.shape)}); give one input or more"
            )
        bad = torch.nonzero(~torch.isfinite(self.inputs.flatten(1)))
        if len(bad):
            row, column = (int(k) for k in bad[0])
            value = float(self.inputs.flatten(1)[row, column])
            raise LoadError(f"{self.source}: input {row} holds {value} (value {column}); every value must be finite")
        if int(self.labels.min()) < 0:
            row = int(self.labels.argmin())
            raise LoadError(f"{self.source}: input {row} has the label {int(self.labels[row])}; labels start at 0")

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, indices: Sequence[int]) -> Dataset:
        """The inputs of these numbers, in this order.

        Raises:
            UsageError: no number is given, or one is negative or not below ``len(self)``.
        """
        if not indices:
            raise UsageError(f"{self.source}: no input is selected; choose from its {len(self)}")
        for index in indices:
            if not 0 <= index < len(self):
                raise UsageError(f"{self.source}: input {index} does not exist; choose from 0 to {len(self) - 1}")
        rows = torch.tensor(list(indices), dtype=torch.int64)
        return Dataset(self.inputs[rows], self.labels[rows], self.source, self.pixel_scale)
