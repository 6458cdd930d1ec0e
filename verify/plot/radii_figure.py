"""Error against radius: what is certified of a data set and what is broken, for one network or several in one picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import verify
from verify.plot.canvas import COLOURS, check, new_figure, save

_WIDTH, _HEIGHT = 5.6, 3.6  # inches


@dataclass(frozen=True)
class Radii:
    """The radii of the inputs of one network: verified up to ``certified`` (None: misclassified), broken from ``broken`` on.

    ``broken``: None where nothing up to ``most`` breaks the input. ``norm``: of all of them.
    """

    name: str
    certified: tuple[Fraction | None, ...]
    broken: tuple[Fraction | None, ...]
    most: Fraction
    norm: str

    def certified_error(self, epsilon: Fraction) -> float:
        """Share of the inputs that are not verified at ``epsilon``: the error under attack is at most this."""
        return sum(r is None or r < epsilon for r in self.certified) / len(self.certified)

    def attacked_error(self, epsilon: Fraction) -> float:
        """Share of the inputs with a counterexample within ``epsilon``: the error under attack is at least this."""
        return sum(r is not None and r <= epsilon for r in self.broken) / len(self.broken)


def read_radii(path: str | Path) -> Radii:
    """The radii that ``reluproof radius --json`` wrote. Raises LoadError for another file."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        radii = data["radii"]
        certified, broken = ([one[k] for one in radii] for k in ("certified", "broken"))
        return Radii(
            name=str(data["network"]["source"]).rsplit("/", 1)[-1],
            certified=tuple(None if r is None else Fraction(r) for r in certified),
            broken=tuple(None if r is None else Fraction(r) for r in broken),
            most=Fraction(data["most"]),
            norm=str(data["region"]["norm"]),
        )
    except OSError as error:
        raise verify.LoadError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise verify.LoadError(f"{str(path)!r} is not what `reluproof radius --json` writes ({error!r})") from None


def plot_radii(networks: Sequence[Radii], path: str | Path) -> None:
    """Draw the errors of ``networks`` against the radius into ``path``, a PNG or SVG file.

    A full line is the certified error, a dashed one the attacked error, and the true error under attack lies in the band between.
    Raises UsageError for no networks, and for radii in different norms.
    """
    check(path)
    if not networks:
        raise verify.UsageError("there are no radii to draw: give one file at least")
    norms = sorted({one.norm for one in networks})
    if len(norms) > 1:
        raise verify.UsageError(f"radii in {' and '.join(norms)} cannot share an axis: draw a picture for each norm")
    figure = new_figure(_WIDTH, _HEIGHT)
    panel = figure.subplots()
    for colour, one in zip(_repeated(len(networks)), networks, strict=True):
        radii = sorted({Fraction(0), one.most, *filter(None, one.certified), *filter(None, one.broken)})
        # An input certified up to r is lost right after r: the step of the certified error comes after its radius.
        x = np.array([float(r) for r in radii])
        above = [100 * one.certified_error(r) for r in radii]
        below = [100 * one.attacked_error(r) for r in radii]
        panel.step(x, above, where="pre", color=colour, label=f"{one.name} ({len(one.certified)} inputs)")
        panel.step(x, below, where="post", color=colour, linestyle="--")
        fine = np.repeat(x, 2)
        panel.fill_between(
            fine[1:-1], np.repeat(below, 2)[:-2], np.repeat(above, 2)[2:], color=colour, alpha=0.15, linewidth=0
        )
    sign = {"linf": r"\infty", "l2": "2", "l1": "1"}[norms[0]]
    panel.set(
        xlabel=f"radius $\\epsilon$ in $\\ell_{{{sign}}}$ (units of the input)", ylabel="error, %", ylim=(-2, 102)
    )
    panel.set_xlim(0, max(float(one.most) for one in networks))
    panel.grid(alpha=0.3)
    panel.legend(title="full: certified, dashed: attacked", fontsize="small", title_fontsize="small")
    save(figure, path)


def _repeated(count: int) -> list[Any]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
