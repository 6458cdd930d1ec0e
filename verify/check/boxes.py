"""Step `boxes`: the frame's box is cut into parts, which are clipped and refuted in batches, in any order of batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.frame import Frame, apply_interval
from verify.check.multipliers import NO_MULTIPLIERS, Multipliers
from verify.check.proof import Proof, batch, pre_activation, refutations
from verify.check.reasons import require

Array = NDArray[Any]


def check_boxes(proof: Proof, step: dict[str, Any]) -> None:
    """Part 2k + 1 and 2k + 2 are the halves of the k-th part that is cut, since both count level by level."""
    require(proof.region.ball is None, "boxes are for regions that are boxes or linf balls")
    cut = proof.container.array(step["cut"], "I16", (None,), "cut").astype(np.int64)
    size, cuts = proof.frame.lower.shape[1], np.flatnonzero(cut >= 0)
    require(bool(((cut >= -1) & (cut < size)).all()), f"cut has a coordinate that is not of the {size} of the input")
    whole = len(cut) == 1 + 2 * len(cuts) and bool((cuts <= 2 * np.arange(len(cuts))).all())
    require(whole, f"{len(cut)} parts, of which {len(cuts)} are cut, are not one box cut again and again")
    multipliers = proof.multipliers(step["multipliers"], len(cut))
    child = np.zeros(len(cut), dtype=np.int64)
    child[cuts] = 2 * np.arange(len(cuts)) + 1
    step_size = min(batch(proof.model, 2 * max(layer.node.size for layer in proof.model.layers)), 4096)

    waiting = [(np.zeros(1, dtype=np.int64), proof.frame.lower, proof.frame.upper)]
    while waiting:
        # the last parts first: what waits is then at most a batch or two a level
        group = [waiting.pop()]
        while waiting and sum(len(entry[0]) for entry in group) + len(waiting[-1][0]) <= step_size:
            group.append(waiting.pop())
        numbers, lower, upper = (np.concatenate(column) for column in zip(*group, strict=True))
        order = np.argsort(numbers)
        numbers, lower, upper = numbers[order], lower[order], upper[order]
        going = cut[numbers] >= 0
        lower, upper = _refuted_or_clipped(proof, multipliers, numbers, lower, upper, going)
        for halves in _halves(numbers[going], cut, child, lower[going], upper[going]):
            waiting.extend(
                (halves[0][i : i + step_size], halves[1][i : i + step_size], halves[2][i : i + step_size])
                for i in range(0, len(halves[0]), step_size)
            )
    proof.leaves += len(cut) - len(cuts)


def _refuted_or_clipped(
    proof: Proof, multipliers: Multipliers, numbers: Array, lower: Array, upper: Array, going: Array
) -> tuple[Array, Array]:
    """Derive the parts' bounds. Those that are not ``going`` on must be refuted; the boxes of the others are clipped."""
    arithmetic, frame = proof.model.arithmetic, _bounded(proof, proof.frame.within(lower, upper))
    crossed = frame.crossed()
    least, a = refutations(proof, frame, multipliers.taken(numbers))
    require(bool((np.isfinite(least) | crossed).all()), "a derived bound is not a finite number")
    good = crossed | (least > 0)
    failed = np.flatnonzero(~good & ~going)
    if len(failed):
        require(False, f"part {numbers[failed[0]]}: the derived bound is {least[failed[0]]}, not above 0")
    # x with a . x + c <= 0 has every a_i x_i at most -least above its smallest
    a, room = np.where(good[:, None], 0, a), np.where(good, 0.0, -least)[:, None]
    size = np.where(a == 0, 1, np.abs(a))
    reach = arithmetic.up(arithmetic.lift(np.broadcast_to(room, lower.shape)) / size)
    ceiling = arithmetic.upper(arithmetic.up(arithmetic.lift(lower) + reach))
    floor = arithmetic.lower(arithmetic.down(arithmetic.lift(upper) - reach))
    return (
        np.where((a < 0) & (floor > lower), floor, lower),
        np.where((a > 0) & (ceiling < upper), ceiling, upper),
    )


def _bounded(proof: Proof, frame: Frame) -> Frame:
    """For ReLU 0, 1, ... rule `interval`, then rule `backward` for both sides of every neuron that is unstable, where it is."""
    for relu in range(len(proof.model.relus)):
        frame = apply_interval(proof.model, frame, relu)
        lower, upper = frame.pre_lower[relu], frame.pre_upper[relu]
        unstable = (lower < 0) & (upper > 0)
        neurons = np.flatnonzero(unstable.any(axis=0))
        both = np.concatenate([neurons, neurons])
        sides = np.repeat([1, -1], len(neurons))
        bounds = pre_activation(proof, frame, relu, both, sides, NO_MULTIPLIERS)
        better = np.copy(lower), np.copy(upper)
        found = (bounds[:, : len(neurons)], -bounds[:, len(neurons) :])
        for ends, side in zip(better, found, strict=True):
            ends[:, neurons] = np.where(unstable[:, neurons], side, ends[:, neurons])
        frame = frame.intersected(relu, *better)
    return frame


def _halves(numbers: Array, cut: Array, child: Array, lower: Array, upper: Array) -> list[tuple[Array, Array, Array]]:
    """Both halves of the boxes, cut in the middle of their coordinate; the middle belongs to both."""
    rows, at = np.arange(len(numbers)), cut[numbers]
    low, high = lower[rows, at], upper[rows, at]
    middle = np.clip(low / 2 + high / 2, low, high)
    below, above = upper.copy(), lower.copy()
    below[rows, at] = above[rows, at] = middle
    return [(child[numbers], lower, below), (child[numbers] + 1, above, upper)]
