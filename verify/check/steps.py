"""The steps of a certificate about one region, executed in order on a stack of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import Arithmetic
from verify.check.backward import Multipliers, backward, read_multipliers
from verify.check.claim import Part
from verify.check.forms import Numbers, Rejected, chosen, read, require
from verify.check.model import Frame, Model, apply_interval, build_model
from verify.check.network import MAX_SIZE, Node, made
from verify.check.region import Region, minimum, read_region

Array = NDArray[Any]
_MAX_OPEN = 4096  # frames at once, and fewer
_MAX_ENDS = 2**26  # when they hold more numbers than this together
_AT_ONCE, _ENDS_AT_ONCE = 512, 2**19  # parts of a tree, and their numbers
_NONE = Multipliers(False, {})


@dataclass
class Proof:
    """What the steps so far have established. ``frames``: the root frame, and those that are still to be refuted, the last first.

    Clause k has the ``rows[k]``, of a frame, which are the argument of the last ReLU.
    """

    model: Model
    region: Region
    rows: list[slice]
    frames: list[Frame]
    clause: int = -1  # that is assumed, outside of the root frame
    refuted: set[int] = field(default_factory=set)
    lemmas: int = 0
    leaves: int = 0

    def run(self, steps: list[Any]) -> None:
        """Execute every step; reject unless no frame is left open."""
        require(type(steps) is list, "the steps of a part are not a list")
        places, multipliers, numbers = range(self.frames[0].lower.size), {"multipliers": dict}, Numbers("I32", (None,))
        cuts = {
            "cut": Numbers("I32", (None,), -1, len(places) - 1),
            "row": Numbers("I32", (None,), -1),
            "derive?": list,
        }
        rules = {
            "bounds": (self._bounds, {"relu": range(len(self.model.relus)), "neurons": numbers, **multipliers}),
            "assume": (self._assume, {"clause": range(len(self.rows))}),
            "split": (self._split, {"at": places}),
            "tree": (self._tree, {**cuts, **multipliers}),
        }
        for number, entry in enumerate(steps):
            name = f"step {number}"
            try:
                rule, form = chosen(rules, entry, "op", "the step")
                op, name = entry["op"], f"step {number} ({entry['op']})"
                given = read({"op": str, **form}, entry, "the step")
                where = "root" if op == "assume" else "assuming"
                require(
                    op == "bounds" or (len(self.frames) == 1) == (op == "assume"), f"it belongs in the {where} frame"
                )
                rule(**{key: item for key, item in given.items() if key != "op"})
            except Rejected as reason:
                raise Rejected(f"{name}: {reason}") from None
        require(len(self.frames) == 1, f"{len(self.frames) - 1} frames are still open after the last step")

    def _bounds(self, relu: int, neurons: Array, multipliers: Any) -> None:
        size = self.model.layers[self.model.relus[relu]].node.size
        for neuron in neurons[(neurons < -size) | (neurons >= size)][:1]:
            raise Rejected(f"ReLU {relu} has no neuron {max(neuron, ~neuron)}")
        frame, given = apply_interval(self.model, self.frames[-1], relu), self._multipliers(multipliers, len(neurons))
        self.frames[-1] = self._tightened(frame, relu, neurons, given)
        require(len(self.frames) > 1 or not self.frames[0].crossed[0], "an interval of the root frame is crossed")
        self.lemmas += len(neurons)

    def lower(self, clause: int) -> Array:
        """Lower bounds of the rows of a clause, over the whole region."""
        found: Array = self.frames[0].lower[self.rows[clause], 0, 0]
        return found

    def _assume(self, clause: int) -> None:
        rows, root = self.rows[clause], self.frames[0]
        self.clause = clause
        self.frames.append(root.within(rows, root.lower[rows], 0.0))

    def _split(self, at: int) -> None:
        most, frame = min(_MAX_OPEN, _MAX_ENDS // self.frames[0].lower.size), self.frames.pop()
        require(len(self.frames) + 2 <= most, f"over {most} frames are open at once")
        self.frames += reversed(self._halves(frame, np.array([at])))

    def _tree(self, cut: Array, row: Array, multipliers: Any, derive: list[Any] | None = None) -> None:
        given, places = self._multipliers(multipliers, int(row.max(initial=-1)) + 1), self.frames[0].lower.size
        cuts = np.flatnonzero(cut >= 0)
        first = dict(
            zip(cuts.tolist(), range(1, 2 * len(cuts), 2), strict=True)
        )  # children; the second is the next part
        good = len(cut) == len(row) == 2 * len(cuts) + 1 and all(child > part for part, child in first.items())
        require(good, f"{len(cut)} parts of which {len(cuts)} are cut, with {len(row)} rows, are no tree")
        known = derive is None or all(type(r) is int and r in range(len(self.model.relus)) for r in derive)
        require(known, f"derive is {derive!r:.80}, not a list of ReLUs")
        frame, most = self.frames.pop(), max(1, min(_AT_ONCE, _ENDS_AT_ONCE // places, self.model.columns))
        stack = [(0, frame.lower, frame.upper)]
        while stack:
            require(len(stack) * places <= _MAX_ENDS, f"{len(stack)} parts are open at once")
            numbers, lowers, uppers = zip(*stack[-most:], strict=True)
            del stack[-most:]
            part, frame = np.array(numbers), Frame(np.concatenate(lowers, axis=2), np.concatenate(uppers, axis=2))
            refuted, least, frame = self._refuted_or_clipped(frame, row[part], given, derive)
            for k in np.flatnonzero(~refuted & (cut[part] < 0))[:1]:
                raise Rejected(f"part {part[k]}: the derived bound is {least[k]}, not above 0")
            going = np.flatnonzero(cut[part] >= 0)
            halves = self._halves(Frame(frame.lower[:, :, going], frame.upper[:, :, going]), cut[part[going]])
            for k, number in enumerate(part[going].tolist()):
                one = (slice(None), slice(None), slice(k, k + 1))
                stack += [(first[number] + h, half.lower[one], half.upper[one]) for h, half in enumerate(halves)]
        self.leaves += len(cuts) + 1
        if len(self.frames) == 1:
            self.refuted.add(self.clause)

    def _refuted_or_clipped(
        self, frame: Frame, row: Array, given: Multipliers, derive: list[Any] | None
    ) -> tuple[Array, Array, Frame]:
        """Which of B parts are refuted, lower bounds (B,) of 0 where they have a row, and the frames of what is left of them."""
        model, inner, least = self.model, frame, np.full(len(row), -np.inf)
        for relu in range(0 if derive is None else len(model.relus)):
            inner = apply_interval(model, inner, relu)
            lower, upper = inner.lower[model.known[relu]], inner.upper[model.known[relu]]
            unstable = np.flatnonzero(((lower < 0) & (upper > 0)).any(axis=(1, 2)))
            if derive and relu in derive:
                inner = self._tightened(inner, relu, np.concatenate([unstable, ~unstable]), _NONE)
        box, asked = model.known[-1], np.flatnonzero(row >= 0)
        if not len(asked):
            return inner.crossed, least, frame
        part = Frame(inner.lower[:, :, asked], inner.upper[:, :, asked])
        a, constant = backward(model, part, {}, (1, len(asked)), given.taken(row[asked]))
        least[asked] = minimum(model, self.region, part, a, constant)[0]
        refuted = inner.crossed | ((least > 0) & (least < np.inf))
        # x with a . x + c <= 0 has every a_i x_i at most -least above its smallest
        clip, room = ~refuted[asked] & self.region.is_box, model.arithmetic.lift(np.maximum(-least[asked], 0.0))
        reach = np.nextafter(model.arithmetic.ends(room / np.where(a == 0, 1, np.abs(a)), 1), np.inf)
        floor, ceiling = np.nextafter(part.upper[box] - reach, -np.inf), np.nextafter(part.lower[box] + reach, np.inf)
        lower, upper = frame.lower.copy(), frame.upper.copy()
        lower[box, :, asked] = np.where(clip & (a < 0), np.maximum(part.lower[box], floor), part.lower[box])
        upper[box, :, asked] = np.where(clip & (a > 0), np.minimum(part.upper[box], ceiling), part.upper[box])
        return refuted, least, Frame(lower, upper)

    def _halves(self, frame: Frame, at: Array) -> tuple[Frame, Frame]:
        """Of B frames, the halves at the places (B,): at 0, or in the middle of an input. First the upper ones."""
        k, inputs = np.arange(len(at)), self.model.known[-1].stop
        low, high = frame.lower[at, 0, k], frame.upper[at, 0, k]
        point = np.where(at < inputs, np.clip(low / 2 + high / 2, low, high), 0.0)
        above, below = frame.lower.copy(), frame.upper.copy()
        above[at, 0, k], below[at, 0, k] = np.maximum(low, point), np.minimum(high, point)
        return Frame(above, frame.upper), Frame(frame.lower, below)

    def _multipliers(self, entry: Any, rows: int) -> Multipliers:
        return read_multipliers(entry, rows, self.frames[0].lower.size)

    def lower_bounds(self, frame: Frame, relu: int, neurons: Array, given: Multipliers) -> Array:
        """Lower bounds (S, B) of the argument of a ReLU at ``neurons``, and for n < 0 of minus that at ``~n``, by rule `backward`."""
        model, count = self.model, frame.lower.shape[2]
        size, bounds, step = (
            model.layers[model.relus[relu]].node.size,
            np.empty((len(neurons), count)),
            max(1, model.columns // count),
        )
        for rows in (np.arange(begin, min(begin + step, len(neurons))) for begin in range(0, len(neurons), step)):
            start = np.zeros((size, len(rows), count))
            start[np.maximum(neurons, ~neurons)[rows], np.arange(len(rows))] = np.where(neurons[rows] < 0, -1.0, 1.0)[
                :, None
            ]
            a, constant = backward(model, frame, {relu: start}, (len(rows), count), given.taken(rows))
            bounds[rows] = minimum(model, self.region, frame, a, constant)
        return bounds

    def _tightened(self, frame: Frame, relu: int, neurons: Array, given: Multipliers) -> Frame:
        """The frames with these bounds."""
        bounds, begin = self.lower_bounds(frame, relu, neurons, given)[:, None], self.model.known[relu].start
        above = neurons < 0
        lowers, uppers = begin + neurons[~above], begin + ~neurons[above]
        frame = frame.within(lowers, bounds[~above], frame.upper[lowers])
        return frame.within(uppers, frame.lower[uppers], -bounds[above])


def begun(arithmetic: Arithmetic, nodes: list[Node], part: Part, float32: bool) -> Proof:
    """What is known of a part of a claim before any step. The rows of its clauses are made the argument of one more ReLU."""
    region, last, count = read_region(part.region, nodes[0].size), len(nodes) - 1, len(part.d)
    taps = {"taps": np.arange(nodes[last].size)[None], "bases": np.zeros(1)}
    rows = made(nodes[last].size, MAX_SIZE, "linear", [last], **taps, weight=part.C[None], bias=part.d)
    model, root = build_model(
        arithmetic, [*nodes, rows, made(count, MAX_SIZE, "relu", [last + 1])], region.box, float32
    )
    ends = (model.known[len(model.relus) - 1].start + np.cumsum(part.rows)).tolist()
    clauses = [slice(end - n, end) for end, n in zip(ends, part.rows.tolist(), strict=True)]
    return Proof(model, region, clauses, [root])
