"""Why a bound is loose: where the relaxation of one input loses what, and what other methods would say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from verify.bounds.backward import Rows, backward
from verify.bounds.nouns import Bounds, Interval, unstable
from verify.bounds.optimise import optimised_lines, search_copy
from verify.bounds.relaxation import Lines
from verify.certify.alpha import STEPS
from verify.certify.answer import rows_of
from verify.certify.api import batch_of, certify, classification_query, read_options
from verify.certify.methods import METHODS
from verify.certify.pre_activation import pre_activation_bounds
from verify.executed import meant
from verify.network import Network
from verify.specification import Query
from verify.verdict import Result

LADDER = ("interval", "crown", "alpha", "lp", "milp", "complete")
"""The methods that an explanation tries, cheapest first; ``milp`` only about real arithmetic, the one that it speaks of."""


@dataclass(frozen=True)
class NeuronLoss:
    """An unstable neuron: its layer, its place in the layer's flattened value, ``lower <= y <= upper``, and what it may lose."""

    layer: str
    neuron: int
    lower: float
    upper: float
    loss: float


@dataclass(frozen=True)
class LayerLoss:
    """How many neurons of a layer are active, inactive and unstable, and what the unstable ones may lose together."""

    layer: str
    active: int
    inactive: int
    unstable: int
    loss: float


@dataclass(frozen=True)
class Explanation:
    """Of one input: the margins by method, and where alpha-CROWN's bound of row ``target`` loses at most what.

    ``target``: the row whose bound is lowest. The true margin of that row is at most ``lower + sum of the layers' losses``.
    ``later``: the answer of ``complete`` with more time, where its time was up.
    """

    label: int
    target: int
    lower: float
    upper: float
    layers: tuple[LayerLoss, ...]
    neurons: tuple[NeuronLoss, ...]
    results: dict[str, Result]
    later: Result | None = None

    @property
    def loss(self) -> float:
        """What the relaxation may lose in all."""
        return sum(layer.loss for layer in self.layers)


def explain(
    network: Network,
    x: Any,
    label: int,
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    most: int = 10,
    more: float = 60.0,
    **options: Any,
) -> Explanation:
    """Why the bounds of one input are as loose as they are; arguments and errors of :func:`verify.certify`.

    ``timeout`` is each method's; where it was not enough for ``complete``, that gets ``more`` seconds beyond it: nothing
    tells beforehand whether a search is about to end. ``most``: how many neurons are named. The bounds are recomputed; the
    losses are an account of them, in plain float64, and prove nothing.
    """
    typed = read_options(options)
    network = meant(network, typed.semantics)
    asked: dict[str, Any] = {"epsilon": epsilon, "clip": clip, "norm": norm}
    tried = [m for m in LADDER if typed.semantics == "real" or not METHODS[m].claims]
    results = {m: certify(network, x, label, method=m, **asked, **options) for m in tried}
    later = None
    if typed.timeout is not None and more > 0 and results["complete"].reason.startswith("timeout"):
        longer = {**options, "timeout": typed.timeout + more}
        later = certify(network, x, label, method="complete", **asked, **longer)
    query = classification_query(network, batch_of(network, x, single=True), torch.tensor([label]), **asked)
    bounds = pre_activation_bounds(query, typed, "alpha")
    search = search_copy(query.network, query.region, bounds)
    rows = rows_of(query)
    at = optimised_lines(search, bounds, rows, typed.ascent(STEPS))
    lower = backward(query.network, query.region, bounds, rows, at)[0]
    worst = int(lower.argmin())
    losses = _losses(query, bounds, rows, at, worst)
    return Explanation(
        label=int(label),
        target=int(query.specification.targets[0, worst]),
        lower=float(lower[worst]),
        upper=min(result.margins[worst].upper for result in results.values()),
        layers=tuple(_layer(network, r, bounds.pre[r], losses[r]) for r in bounds.pre),
        neurons=_neurons(network, bounds, losses, most),
        results=results,
        later=later,
    )


def _losses(query: Query, bounds: Bounds, rows: Rows, at: dict[int, Lines], worst: int) -> dict[int, Tensor]:
    """By ReLU, (*shape): the most that the line which the row took lies off the ReLU, times the row's coefficient there.

    Where the coefficient is positive the lower line ``a y`` was taken, off by ``max((1 - a) u, -a l)``; else the upper one
    ``s y + t``, off by ``t`` at ``y = 0``.
    """
    seen: dict[int, Tensor] = {}
    pick = slice(worst, worst + 1)
    row = replace(rows, coefficient=rows.coefficient[:, pick], constant=rows.constant[:, pick])
    lines = {r: line.rows(pick) for r, line in at.items()}
    backward(query.network, query.region, bounds, row, lines, seen=seen)
    found = {}
    for r, pre in bounds.pre.items():
        if r not in seen:
            found[r] = torch.zeros_like(pre.lower[0])
            continue
        coefficient, line = seen[r][0, 0], lines[r]
        slope = line.lower.expand(1, 1, *pre.lower.shape[1:])[0, 0]
        below = torch.maximum((1 - slope) * pre.upper[0], -slope * pre.lower[0])
        above = line.intercept.expand(1, 1, *pre.lower.shape[1:])[0, 0]
        loss = coefficient.abs() * torch.where(coefficient > 0, below, above)
        found[r] = torch.where(unstable(pre)[0], loss, 0.0)
    return found


def _layer(network: Network, r: int, pre: Interval, loss: Tensor) -> LayerLoss:
    free, inactive = int(unstable(pre).sum()), int((pre.upper <= 0).sum())
    return LayerLoss(network.nodes[r].name, pre.lower.numel() - free - inactive, inactive, free, float(loss.sum()))


def _neurons(network: Network, bounds: Bounds, losses: dict[int, Tensor], most: int) -> tuple[NeuronLoss, ...]:
    """The neurons that may lose most."""
    places = [(r, k) for r, loss in losses.items() for k in range(math.prod(loss.shape))]
    flat = torch.cat([loss.flatten() for loss in losses.values()]) if losses else torch.zeros(0)
    values, order = flat.topk(min(most, int((flat > 0).sum())))
    found = []
    for value, place in zip(values.tolist(), order.tolist(), strict=True):
        r, k = places[place]
        pre = bounds.pre[r]
        found.append(
            NeuronLoss(
                network.nodes[r].name, k, float(pre.lower[0].flatten()[k]), float(pre.upper[0].flatten()[k]), value
            )
        )
    return tuple(found)
