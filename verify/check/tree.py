"""Step `tree`: many splits at once; the leaves are refuted in batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from verify.check.frame import Frame
from verify.check.multipliers import Multipliers
from verify.check.proof import Proof, batch, refutations
from verify.check.reasons import require


class _Leaves:
    """Leaves that wait to be refuted: the ends of all ReLUs' intervals, one after another, a row a leaf."""

    def __init__(self, proof: Proof, multipliers: Multipliers, ends: int) -> None:
        self.proof, self.multipliers = proof, multipliers
        size = min(batch(proof.model), max(1, 2**22 // max(ends, 1)))
        self.lower, self.upper = np.empty((size, ends)), np.empty((size, ends))
        self.done = self.waiting = 0

    def add(self, lower: np.ndarray[Any, Any], upper: np.ndarray[Any, Any]) -> None:
        self.lower[self.waiting], self.upper[self.waiting] = lower, upper
        self.waiting += 1
        if self.waiting == len(self.lower):
            self.refute()

    def refute(self) -> None:
        if not self.waiting:
            return
        outer, count = self.proof.frame, self.waiting
        cuts = np.cumsum([ends.shape[1] for ends in outer.pre_lower])[:-1]
        lower, upper = (tuple(np.split(ends[:count], cuts, axis=1)) for ends in (self.lower, self.upper))
        box = [np.repeat(end, count, axis=0) for end in (outer.lower, outer.upper)]
        rows = self.multipliers.taken(np.arange(self.done, self.done + count))
        frame = Frame(box[0], box[1], lower, upper, outer.clause)
        bounds, _ = refutations(self.proof, frame, rows)
        good = frame.crossed() | ((bounds > 0) & np.isfinite(bounds))
        leaf = int(np.argmin(good))
        require(bool(good.all()), f"leaf {self.done + leaf}: the derived bound is {bounds[leaf]}, not above 0")
        self.done, self.waiting = self.done + count, 0


def check_tree(proof: Proof, step: dict[str, Any]) -> None:
    """Walk the tree in preorder with one pair of interval ends, which each split changes and the way back restores."""
    container, frame = proof.container, proof.frame
    shape = container.array(step["shape"], "I8", (None,), "shape")
    kinds = [int((shape == kind).sum()) for kind in (0, 1, 2)]
    require(sum(kinds) == len(shape) == 2 * kinds[1] + 1, "shape is not that of a binary tree of 0, 1 and 2")
    relu = container.array(step["relu"], "I16", (kinds[1],), "relu").astype(np.int64)
    neuron = container.array(step["neuron"], "I32", (kinds[1],), "neuron").astype(np.int64)
    widths = np.array([ends.shape[1] for ends in frame.pre_lower], dtype=np.int64)
    there = (relu >= 0) & (relu < len(widths))
    there[there] &= (neuron[there] >= 0) & (neuron[there] < widths[relu[there]])
    require(bool(there.all()), f"split {int(np.argmin(there)) if len(there) else 0} is at a neuron that is not there")
    position = ((np.cumsum(widths) - widths)[relu] + neuron).tolist() if len(relu) else []

    leaves = _Leaves(proof, proof.multipliers(step["multipliers"], kinds[0]), int(widths.sum()))
    lower, upper = (np.concatenate([*ends, np.empty((1, 0))], axis=1)[0] for ends in (frame.pre_lower, frame.pre_upper))
    way: list[
        tuple[int, float, float, bool]
    ] = []  # each split above: position, the ends before it, whether in its second child
    split = 0
    for number, kind in enumerate(shape.tolist()):
        require(number == 0 or bool(way), f"entry {number} of shape follows a tree that is complete")
        if kind == 1:
            at = position[split]
            split += 1
            way.append((at, float(lower[at]), float(upper[at]), False))
            lower[at] = max(lower[at], 0.0)
            continue
        if kind == 0:
            leaves.add(lower, upper)
        else:
            require(
                bool((lower > upper).any() or frame.crossed()[0]), f"entry {number} of shape: no interval is crossed"
            )
        while way:
            at, low, high, second = way.pop()
            lower[at], upper[at] = low, high
            if not second:
                upper[at] = min(high, 0.0)
                way.append((at, low, high, True))
                break
    leaves.refute()
    require(not way, "shape ends before its tree is complete")
    proof.leaves += kinds[0] + kinds[2]
