"""A gallery of attacked images: the input, the change magnified, the result, and what the network calls the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
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


@dataclass(frozen=True)
class Column:
    """One image: before and after, its label, its class as it is, and that of the result, None where none was found."""

    before: Image
    after: Image
    label: int
    predicted: int
    called: int | None


def plot_gallery(report: verify.AttackReport, inputs: Any, path: str | Path, *, title: str = "") -> None:
    """Draw the points of ``report`` beside the ``inputs`` that were attacked, into ``path``, a PNG or SVG file.

    ``inputs`` (N, H, W), (N, 1, H, W) or (N, 3, H, W), at most 16: a column each. The change is magnified so that the largest of
    all spans the scale. Where no counterexample was found, the lowest point met is shown. Raises UsageError for other shapes.
    """
    before = _images(inputs)
    if len(before) != len(report.inputs):
        raise verify.UsageError(
            f"the report is about {len(report.inputs)} inputs, {len(before)} are given: give the same"
        )
    after = report.points.numpy().reshape(before.shape)
    columns = [
        Column(x, y, one.label, one.predicted, None if one.counterexample is None else one.counterexample.predicted)
        for x, y, one in zip(before, after, report.inputs, strict=True)
    ]
    clip = None if report.clip is None else (float(report.clip[0]), float(report.clip[1]))
    draw_gallery(columns, path, clip=clip, title=f"{title}: {_asked(report)}" if title else _asked(report))


def plot_counterexamples(run: verify.Run, data: verify.Dataset, path: str | Path) -> int:
    """Draw the first 16 counterexamples of ``run``, which was about ``data``, into ``path``; how many there were to draw.

    Inputs that are misclassified as they are have none to show. Raises as :func:`plot_gallery`; with 0 nothing is written.
    """
    found = [(r, w) for r in run.records.values() if (w := r.counterexample) is not None and not r.misclassified][:MOST]
    if not found:
        return 0
    before = _images(data.inputs[[record.index for record, _ in found]])
    after = [np.load(run.folder / witness.name).reshape(before.shape[1:]) for _, witness in found]
    columns = [
        Column(x, y, record.label, record.label, witness.predicted)
        for x, y, (record, witness) in zip(before, after, found, strict=True)
    ]
    region = run.identity["region"]
    clip = None if region["clip"] is None else (float(Fraction(region["clip"][0])), float(Fraction(region["clip"][1])))
    draw_gallery(columns, path, clip=clip, title=f"counterexamples within {float(Fraction(region['epsilon'])):g}")
    return len(found)


def draw_gallery(
    columns: Sequence[Column], path: str | Path, *, clip: tuple[float, float] | None, title: str = ""
) -> None:
    """A column for each image: the input, the change, the result. ``clip``: the range of the grey scale, if it is known."""
    check(path)
    before, after = (np.stack([getattr(c, name) for c in columns]) for name in ("before", "after"))
    low, high = (before.min(), before.max()) if clip is None else clip
    most = float(np.abs(after - before).max()) or 1.0
    figure = new_figure(_SIDE * len(columns) + 1.6, 3 * _SIDE + 1.1)
    panels = figure.subplots(3, len(columns), squeeze=False)
    for k, column in enumerate(columns):
        _show(panels[0, k], column.before, low, high)
        shown = _show_change(panels[1, k], column.after - column.before, most)
        _show(panels[2, k], column.after, low, high)
        panels[0, k].set_title(f"class {column.label}, called {column.predicted}", fontsize="small")
        panels[2, k].set_xlabel("none found" if column.called is None else f"called {column.called}", fontsize="small")
    magnified = (high - low) / (2 * most)
    for row, words in enumerate(("input", f"change\n(magnified {magnified:.3g} times)", "result")):
        panels[row, 0].set_ylabel(words)
    if shown is not None:
        figure.colorbar(shown, ax=list(panels[1]), pad=0.01, label="change\n(units of the input)")
    figure.suptitle(title, fontsize="medium")
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
