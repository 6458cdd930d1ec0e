"""Step `boxes`: the frame's box is cut into parts, which are clipped and refuted in batches, level by level."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.backward import Multipliers
from verify.check.forms import require
from verify.check.model import Frame, apply_interval
from verify.check.proof import MAX_ENDS, Proof, batches, pre_activation, refutations, require_refuted

Array = NDArray[Any]


def check_boxes(proof: Proof, step: dict[str, Any]) -> None:
    """Parts are numbered level by level, and from left to right; the lower half of each is the left one."""
    require(proof.region.is_box, "boxes are for regions that are boxes or linf balls")
    cut, known, model = step["cut"], proof.model.known[0], proof.model
    multipliers = proof.multipliers(step["multipliers"], len(cut))
    lower, upper = proof.frame.lower[known].copy(), proof.frame.upper[known].copy()
    widest, end = 2 * max(layer.node.size for layer in model.layers), 0
    while count := lower.shape[1]:
        begin, end = end, end + count
        require(end <= len(cut), f"part {len(cut)} is missing")
        require(lower.size <= MAX_ENDS, f"{count} parts of one level, which have over {MAX_ENDS} ends")
        going = cut[begin:end] >= 0
        for part in batches(model, count, widest):
            found = _refuted_or_clipped(proof, multipliers, begin + part, lower[:, part], upper[:, part], going[part])
            lower[:, part], upper[:, part] = found
        # both halves, cut in the middle of their coordinate; the middle belongs to both
        lower, upper = lower[:, going], upper[:, going]
        columns, at = np.arange(lower.shape[1]), cut[begin:end][going]
        low, high = lower[at, columns], upper[at, columns]
        below, above = upper.copy(), lower.copy()
        below[at, columns] = above[at, columns] = np.clip(low / 2 + high / 2, low, high)
        lower, upper = (np.stack(pair, axis=2).reshape(len(lower), -1) for pair in ((lower, above), (below, upper)))
    require(end == len(cut), f"{len(cut)} parts, of which {end} are the box and the halves of those that are cut")
    proof.close()
    proof.leaves += len(cut) // 2


def _refuted_or_clipped(
    proof: Proof, multipliers: Multipliers, numbers: Array, lower: Array, upper: Array, going: Array
) -> tuple[Array, Array]:
    """Derive the parts' bounds. Those that are not ``going`` on must be refuted; the boxes of the others are clipped."""
    arithmetic, model, inside = proof.model.arithmetic, proof.model, proof.model.known[0].stop
    outer = (np.repeat(ends[inside:], len(numbers), axis=1) for ends in (proof.frame.lower, proof.frame.upper))
    ends = (np.concatenate(pair) for pair in zip((lower, upper), outer, strict=True))
    frame = Frame(proof.frame.clause, *ends)
    for relu, node in enumerate(model.relus):
        frame = _tightened(proof, apply_interval(model, frame, relu), relu, model.known[node])
    good, least, a = refutations(proof, frame, multipliers.taken(numbers))
    require_refuted("part", numbers, good | going, least)
    require((np.isfinite(least) | good).all(), "a derived bound is not a finite number")
    # x with a . x + c <= 0 has every a_i x_i at most -least above its smallest
    a, room = np.where(good, 0, a), np.where(good, 0.0, -least)
    reach = arithmetic.up(arithmetic.lift(np.broadcast_to(room, a.shape)) / np.where(a == 0, 1, np.abs(a)))
    ceiling = arithmetic.ends(arithmetic.up(arithmetic.lift(lower) + reach), 1)
    floor = arithmetic.ends(arithmetic.down(arithmetic.lift(upper) - reach), -1)
    return np.where((a < 0) & (floor > lower), floor, lower), np.where((a > 0) & (ceiling < upper), ceiling, upper)


def _tightened(proof: Proof, frame: Frame, relu: int, known: slice) -> Frame:
    """Rule `backward` for both sides of every neuron that is unstable, where it is."""
    lower, upper = frame.lower[known], frame.upper[known]
    unstable = (lower < 0) & (upper > 0)
    neurons = np.flatnonzero(unstable.any(axis=1))
    sides = np.repeat([1, -1], len(neurons))
    bounds = pre_activation(proof, frame, relu, np.tile(neurons, 2), sides, Multipliers())
    better = lower.copy(), upper.copy()
    for ends, side in zip(better, (bounds[: len(neurons)], -bounds[len(neurons) :]), strict=True):
        ends[neurons] = np.where(unstable[neurons], side, ends[neurons])
    return frame.intersected(known, *better)
