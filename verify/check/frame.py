"""Frames, one or many at once (a leading axis B), and the rule `interval` in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.model import Ends, Model, node_interval, relu_output
from verify.check.reasons import require

Array = NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """The input box, flat (B, n_in), and for each ReLU the interval of its argument, flat (B, n): float64.

    ``clause`` is the one that is assumed to be satisfied.
    """

    lower: Array
    upper: Array
    pre_lower: tuple[Array, ...]
    pre_upper: tuple[Array, ...]
    clause: int | None

    def intersected(self, relu: int, lower: Array, upper: Array) -> Frame:
        """The frame in which ReLU ``relu`` is known to be in ``[lower, upper]``, (B, n), too. What is not finite is rejected."""
        require(
            bool(np.isfinite(lower).all() and np.isfinite(upper).all()),
            f"an interval of ReLU {relu} is not of finite numbers",
        )
        return self.replaced(relu, np.maximum(self.pre_lower[relu], lower), np.minimum(self.pre_upper[relu], upper))

    def replaced(self, relu: int, lower: Array, upper: Array) -> Frame:
        """The frame with other ends for one ReLU."""
        lowers, uppers = list(self.pre_lower), list(self.pre_upper)
        lowers[relu], uppers[relu] = lower, upper
        return replace(self, pre_lower=tuple(lowers), pre_upper=tuple(uppers))

    def crossed(self) -> Array:
        """Which of the B frames have a crossed interval: no x is left in them."""
        pairs = [(self.lower, self.upper), *zip(self.pre_lower, self.pre_upper, strict=True)]
        result: Array = np.logical_or.reduce([(lower > upper).any(axis=1) for lower, upper in pairs])
        return result

    def within(self, lower: Array, upper: Array) -> Frame:
        """B frames inside this one (which is one), with boxes (B, n_in)."""
        spread = [
            tuple(np.broadcast_to(a, (len(lower), a.shape[1])) for a in ends)
            for ends in (self.pre_lower, self.pre_upper)
        ]
        return Frame(lower, upper, spread[0], spread[1], self.clause)


def root_frame(model: Model) -> Frame:
    """The frame without assumptions: what building the model derived."""
    arguments = [model.layers[model.argument(r)] for r in range(len(model.relus))]
    box = model.layers[0]
    return Frame(
        box.lower.reshape(1, -1),
        box.upper.reshape(1, -1),
        tuple(layer.lower.reshape(1, -1) for layer in arguments),
        tuple(layer.upper.reshape(1, -1) for layer in arguments),
        None,
    )


def apply_interval(model: Model, frame: Frame, relu: int) -> Frame:
    """Rule `interval`: propagate from the outputs of the ReLUs before ``relu`` (and the box) to its argument, and intersect."""
    values: dict[int, Ends] = {}
    count = len(frame.lower)
    for j in model.segments[relu]:
        node = model.layers[j].node
        shape = (count, *node.shape)
        if node.op == "input":
            values[j] = frame.lower.reshape(shape), frame.upper.reshape(shape)
        elif node.op == "relu":
            r = model.relus.index(j)
            lower, upper = relu_output(frame.pre_lower[r], frame.pre_upper[r], model.float32)
            values[j] = lower.reshape(shape), upper.reshape(shape)
        else:
            values[j] = node_interval(model.arithmetic, model.layers[j], [values[i] for i in node.inputs])
    lower, upper = values[model.argument(relu)]
    return frame.intersected(relu, lower.reshape(count, -1), upper.reshape(count, -1))
