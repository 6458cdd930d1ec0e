"""A gallery of attacked images: the input, the change magnified, the result, and what the network calls the two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import verify
from verify.plot.canvas import SIGNED, check, new_figure, save

MOST = 16
"""Most columns: more images a picture are too small to look at."""
_SIDE = 1.15  # inches of an image

Image = npt.NDArray[np.float64]


def plot_gallery(report: verify.AttackReport, inputs: Any, path: str | Path, *, title: str = "") -> None:
    """Draw the points of ``report`` beside the ``inputs`` that were attacked, into ``path``, a PNG or SVG file.

    ``inputs`` (N, H, W), (N, 1, H, W) or (N, 3, H, W), at most 16: a column each. The change is magnified so that the largest of
    all spans the scale. Where no counterexample was found, the lowest point met is shown. Raises UsageError for other shapes.
    """
    check(path)
    before = _images(inputs)
    if len(before) != len(report.inputs):
        raise verify.UsageError(
            f"the report is about {len(report.inputs)} inputs, {len(before)} are given: give the same"
        )
    after = report.points.numpy().reshape(before.shape)
    low, high = (before.min(), before.max()) if report.clip is None else (float(end) for end in report.clip)
    most = float(np.abs(after - before).max()) or 1.0
    figure = new_figure(_SIDE * len(before) + 1.6, 3 * _SIDE + 1.1)
    panels = figure.subplots(3, len(before), squeeze=False)
    for column, one in enumerate(report.inputs):
        _show(panels[0, column], before[column], low, high)
        shown = _show_change(panels[1, column], after[column] - before[column], most)
        _show(panels[2, column], after[column], low, high)
        panels[0, column].set_title(f"class {one.label}, called {one.predicted}", fontsize="small")
        found = one.counterexample
        panels[2, column].set_xlabel("none found" if found is None else f"called {found.predicted}", fontsize="small")
    magnified = (high - low) / (2 * most)
    for row, words in enumerate(("input", f"change\n(magnified {magnified:.3g} times)", "result")):
        panels[row, 0].set_ylabel(words)
    if shown is not None:
        figure.colorbar(shown, ax=list(panels[1]), pad=0.01, label="change\n(units of the input)")
    figure.suptitle(f"{title}: {_asked(report)}" if title else _asked(report), fontsize="medium")
    save(figure, path)


def _asked(report: verify.AttackReport) -> str:
    norm = {"linf": r"\infty", "l2": "2", "l1": "1"}[report.norm]
    radius = "any distance" if report.epsilon is None else f"$|x' - x|_{{{norm}}} \\leq {float(report.epsilon):g}$"
    return f"{report.method}, {radius}, error {report.clean_error:.0%} clean, {report.attacked_error:.0%} attacked"


def _images(inputs: Any) -> Image:
    """The inputs as (N, H, W) or (N, 3, H, W)."""
    array = np.asarray(inputs.detach().cpu() if isinstance(inputs, torch.Tensor) else inputs, dtype=np.float64)
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[1] not in (1, 3)):
        raise verify.UsageError(
            f"inputs of shape {array.shape} are no images: give (N, H, W), (N, 1, H, W) or (N, 3, H, W)"
        )
    if not 1 <= len(array) <= MOST:
        raise verify.UsageError(f"{len(array)} images do not fit one gallery: choose from 1 to {MOST}")
    return array[:, 0] if array.ndim == 4 and array.shape[1] == 1 else array


def _show(panel: Any, image: Image, low: float, high: float) -> None:
    share = (image - low) / ((high - low) or 1.0)
    _bare(panel).imshow(np.moveaxis(share, 0, -1) if share.ndim == 3 else share, cmap="gray", vmin=0.0, vmax=1.0)


def _show_change(panel: Any, change: Image, most: float) -> Any:
    """Grey images: red below zero, blue above, with the scale that a colour bar needs. Coloured ones: around middle grey."""
    if change.ndim == 3:
        _bare(panel).imshow(np.moveaxis(0.5 + change / (2 * most), 0, -1))
        return None
    return _bare(panel).imshow(change, cmap=SIGNED, vmin=-most, vmax=most)


def _bare(panel: Any) -> Any:
    panel.set(xticks=[], yticks=[])
    return panel
