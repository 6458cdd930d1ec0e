"""The picture of a :class:`verify.Surface`: a panel a network, one scale of colours for all, the decision boundary and the ball."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from verify.plot.canvas import SIGNED, UNSIGNED, check, new_figure, save
from verify.plot.surface import Surface

_LABELS = {"margin": "margin (label's score less the highest other)", "loss": "loss (cross-entropy, nats)"}
_PANEL, _BAR = 3.1, 1.2  # inches


def plot_surface(surface: Surface, path: str | Path) -> None:
    """Draw ``surface`` into ``path``, a PNG or SVG file."""
    check(path)
    count = len(surface.names)
    figure = new_figure(_PANEL * count + _BAR, _PANEL + 0.7)
    panels = figure.subplots(1, count, squeeze=False, sharey=True)[0]
    for panel, name, values in zip(panels, surface.names, surface.values, strict=True):
        shown = _panel(panel, surface, values)
        panel.set_title(name)
        panel.set_xlabel("signs of minus the margin's gradient\n(units of the input)")
    panels[0].set_ylabel("random signs\n(units of the input)")
    figure.colorbar(shown, ax=list(panels), label=_LABELS[surface.quantity])
    boundary = "black line: another class overtakes; " if surface.quantity == "margin" else ""
    figure.suptitle(
        f"class {surface.label}; {boundary}dashed: $|x' - x|_\\infty = {surface.epsilon:g}$", fontsize="medium"
    )
    save(figure, path)


def _panel(panel: Any, surface: Surface, values: Any) -> Any:
    reach, epsilon = surface.along[-1], surface.epsilon
    if surface.quantity == "margin":
        most = np.abs(surface.values).max()
        colours, ink = {"cmap": SIGNED, "vmin": -most, "vmax": most}, "black"
    else:
        colours, ink = {"cmap": UNSIGNED, "vmin": 0.0, "vmax": surface.values.max()}, "white"
    shown = panel.pcolormesh(surface.along, surface.across, values, shading="gouraud", rasterized=True, **colours)
    if surface.quantity == "margin" and values.min() < 0 < values.max():
        panel.contour(surface.along, surface.across, values, levels=[0.0], colors=ink, linewidths=1.2)
    # |along| + |across| is the distance in the l_inf norm: the ball cuts this plane in a diamond.
    panel.plot([epsilon, 0, -epsilon, 0, epsilon], [0, epsilon, 0, -epsilon, 0], "--", color=ink, linewidth=1.0)
    panel.plot([0], [0], "o", color=ink, markersize=3)
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    panel.locator_params(nbins=5)
    return shown
