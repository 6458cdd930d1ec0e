"""Interval bound propagation: the interval of each node from the intervals of the nodes that it reads.

``|W v + b - (W mid + b)| <= |W| rad`` (Gowal et al. 2018, equation 6), plus the rounding of both products.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from verify.bounds.nouns import Interval
from verify.bounds.rounding import slack
from verify.floating import TINY, TINY32, down, gamma, up
from verify.network import Node
from verify.operators import Add, Concat, Linear, ReLU, Reshape, Select
from verify.region import centre_and_radius


def propagate(
    node: Node, inputs: list[Interval], run: Tensor | None = None, *, rounding: bool = True
) -> tuple[Interval, Tensor | None]:
    """The interval of ``node``, and what a backward step through it loses per unit of coefficient, if anything.

    ``run``: how far an execution may be from the exact value (:mod:`verify.bounds.execution`), where that is asked.
    Recomputed with outward rounding from ``inputs``, which are trusted to hold; without ``rounding`` a linear step pays
    for none, which proves nothing and is for training.
    """
    op = node.operator
    if isinstance(op, Linear):
        found, loss = _linear(op, inputs[0]) if rounding else (_linear_unrounded(op, inputs[0]), None)
    else:
        found, loss = _RULES[type(op)](op, inputs), None
    if run is None:
        return found, loss
    return widened(node, found, run), run if loss is None else up(loss + run)


def widened(node: Node, exact: Interval, run: Tensor) -> Interval:
    """The interval of executions of ``node``, from that of its exact value."""
    if isinstance(node.operator, ReLU):  # all that can happen to its output is that a small one is flushed
        return Interval(torch.where(exact.lower > TINY32, exact.lower, 0.0), exact.upper)
    return Interval(down(exact.lower - run), up(exact.upper + run))


def _linear(op: Linear, x: Interval) -> tuple[Interval, Tensor | None]:
    loss = slack(op, x.magnitude())
    if loss is None and isinstance(op, (Reshape, Select)) and op.terms == 0:
        return Interval(op.linear(x.lower), op.linear(x.upper)), None
    mid, rad = centre_and_radius(x.lower, x.upper)
    centre = op.apply(mid)
    radius = up(op.absolute(rad) * (1.0 + gamma(op.terms)) + (op.terms + 1) * TINY)
    if loss is not None:
        # Twice: |mid| may exceed the magnitude that `slack` was told by a rounding.
        radius = up(radius + loss * 2.0)
    return Interval(down(centre - radius), up(centre + radius)), loss


def _linear_unrounded(op: Linear, x: Interval) -> Interval:
    if op.terms == 0 and isinstance(op, (Reshape, Select)):
        return Interval(op.apply(x.lower), op.apply(x.upper))
    centre, radius = op.apply((x.lower + x.upper) / 2), op.absolute((x.upper - x.lower) / 2)
    return Interval(centre - radius, centre + radius)


def _relu(_: ReLU, inputs: list[Interval]) -> Interval:
    return Interval(inputs[0].lower.clamp(min=0), inputs[0].upper.clamp(min=0))


def _add(_: Add, inputs: list[Interval]) -> Interval:
    a, b = inputs
    return Interval(down(a.lower + b.lower), up(a.upper + b.upper))


def _concat(op: Concat, inputs: list[Interval]) -> Interval:
    axis = op.axis + 1
    return Interval(torch.cat([i.lower for i in inputs], axis), torch.cat([i.upper for i in inputs], axis))


_RULES: dict[type, Callable[..., Interval]] = {ReLU: _relu, Add: _add, Concat: _concat}
