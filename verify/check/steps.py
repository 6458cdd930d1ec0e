"""The steps of a certificate about one region, executed in order on a stack of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verify.check.arithmetic import Arithmetic
from verify.check.backward import Multipliers, backward, read_multipliers
from verify.check.forms import Array, Numbers, Rejected, about, chosen, require
from verify.check.model import Model, apply_interval, build_model, crossed, within
from verify.check.network import Node, made, marked
from verify.check.region import Region, minimum, read_region

_MAX_OPEN, _MAX_ENDS = 4096, 2**26  # frames at once; and fewer, when they have more numbers than this together
_AT_ONCE, _ENDS_AT_ONCE = 512, 2**19  # parts of a tree, and their numbers


@dataclass
class Proof:
    """What the steps so far have established. ``frames``: the root frame, and those that are still to be refuted, the last first.

    ``rows``: where frames have those of each clause, which are the argument of the last ReLU.
    """

    model: Model
    region: Region
    rows: list[slice]
    frames: list[Array]
    clause: int = -1  # that is assumed, outside of the root frame
    refuted: set[int] = field(default_factory=set)
    lemmas: int = 0
    leaves: int = 0

    def run(self, steps: list[Any]) -> None:
        """Execute every step; reject unless no frame is left open."""
        places, given = self.frames[0].shape[1], {"multipliers": dict}
        cut, row = Numbers("I32", (None,), -1, places - 1), Numbers("I32", (None,), -1)
        forms = {
            "bounds": {"relu": range(len(self.model.relus)), "neurons": Numbers("I32", (None,)), **given},
            "assume": {"clause": range(len(self.rows))},
            "split": {"at": range(places)},
            "tree": {"cut": cut, "row": row, "derive?": list, **given},
        }
        for number, step in enumerate(steps):
            op, entries = chosen(forms, "op", step, f"step {number}")
            with about(f"step {number} ({op})"):
                fits = op == "bounds" or (len(self.frames) == 1) == (op == "assume")
                require(fits, f"it belongs in the {'root' if op == 'assume' else 'assuming'} frame")
                getattr(self, f"_{op}")(**entries)
        require(len(self.frames) == 1, f"{len(self.frames) - 1} frames are still open after the last step")

    def lower_bounds(self, frame: Array, relu: int, neurons: Array, chosen: Multipliers) -> Array:
        """Lower bounds (B, S) by rule `backward` of the argument of node ``relu`` at ``neurons``; n < 0: of minus it at ``~n``."""
        known, bounds = self.model.known[relu], np.empty((frame.shape[2], len(neurons)))
        at, signs = np.maximum(neurons, ~neurons), np.where(neurons < 0, -1.0, 1.0)
        most, argument = max(1, self.model.columns // len(bounds)), self.model.layers[relu].node.inputs[0]
        # Functionals of one place together: they are 0 at the same entries, and cost less.
        order = np.argsort(at % self.model.layers[argument].node.index.shape[2], kind="stable")
        for rows in (order[begin : begin + most] for begin in range(0, len(at), most)):
            some, row = marked(at[rows], known.stop - known.start)
            start = np.zeros((len(some), len(bounds), len(rows)))
            start[row[at[rows]], :, np.arange(len(rows))] = signs[rows, None]
            form = backward(self.model, frame, {relu: (some, start)}, len(rows), chosen.taken(rows))
            bounds[:, rows] = minimum(self.model, self.region, frame, *form)
        return bounds

    def _tightened(self, frame: Array, relu: int, neurons: Array, chosen: Multipliers) -> Array:
        """The frames with these bounds."""
        known = self.model.known[relu]
        ends = frame[:, known].copy()
        ends[(neurons < 0) * 1, np.maximum(neurons, ~neurons), :, 0] = self.lower_bounds(frame, relu, neurons, chosen).T
        return within(frame, known, ends)

    def _bounds(self, relu: int, neurons: Array, multipliers: Any) -> None:
        node = self.model.relus[relu]
        size, frame = self.model.layers[node].node.size, apply_interval(self.model, self.frames[-1], node)
        for neuron in neurons[(neurons < -size) | (neurons >= size)][:1]:
            raise Rejected(f"ReLU {relu} has no neuron {max(neuron, ~neuron)}")
        chosen = read_multipliers(multipliers, len(neurons), frame.shape[1])
        self.frames[-1] = self._tightened(frame, node, neurons, chosen)
        require(len(self.frames) > 1 or not crossed(self.frames[0])[0], "an interval of the root frame is crossed")
        self.lemmas += len(neurons)

    def _assume(self, clause: int) -> None:
        self.clause, ends = clause, self.frames[0][:, self.rows[clause]].copy()
        ends[1] = np.maximum(ends[1], 0.0)
        self.frames.append(within(self.frames[0], self.rows[clause], ends))

    def _split(self, at: int) -> None:
        most, frame = min(_MAX_OPEN, _MAX_ENDS // self.frames[0].shape[1]), self.frames.pop()
        require(len(self.frames) + 2 <= most, f"over {most} frames are open at once")
        self.frames += reversed(self._halves(frame, np.array([at])))

    def _halves(self, frame: Array, at: Array) -> list[Array]:
        """Of B frames, the halves at the places (B,): at 0, or in the middle of an input. First the upper ones."""
        k, halves = np.arange(len(at)), [frame.copy(), frame.copy()]
        low, high = frame[0, at, k, 0], -frame[1, at, k, 0]
        middle = np.where(at < self.model.known[0].stop, np.clip(low / 2 + high / 2, low, high), 0.0)
        for side, half in enumerate(halves):
            half[side, at, k, 0] = np.maximum(half[side, at, k, 0], -middle if side else middle)
        return halves

    def _tree(self, cut: Array, row: Array, multipliers: Any, derive: list[Any] | None = None) -> None:
        cuts, places = np.flatnonzero(cut >= 0), self.frames[0].shape[1]
        first = dict(zip(cuts.tolist(), range(1, 2 * len(cuts), 2), strict=True))  # halves; the other is the next part
        good = len(cut) == len(row) == 2 * len(cuts) + 1 and all(half > part for part, half in first.items())
        require(good, f"{len(cut)} parts of which {len(cuts)} are cut, with {len(row)} rows, are no tree")
        good = derive is None or all(type(r) is int and r in range(len(self.model.relus)) for r in derive)
        require(good, f"derive is {derive!r:.80}, not a list of ReLUs")
        chosen = read_multipliers(multipliers, int(row.max(initial=-1)) + 1, places)
        stack, most = [(0, self.frames.pop())], max(1, min(_AT_ONCE, _ENDS_AT_ONCE // places, self.model.columns))
        while stack:
            require(len(stack) * places <= _MAX_ENDS, f"{len(stack)} parts are open at once")
            numbers, frames = zip(*stack[-most:], strict=True)
            del stack[-most:]
            part = np.array(numbers)
            refuted, least, frame = self._refuted(np.concatenate(frames, axis=2), row[part], chosen, derive)
            for k in np.flatnonzero(~refuted & (cut[part] < 0))[:1]:
                raise Rejected(f"part {part[k]}: the derived bound is {least[k]}, not above 0")
            going = np.flatnonzero(cut[part] >= 0)
            halves = self._halves(frame[:, :, going], cut[part[going]])
            for k, number in enumerate(part[going].tolist()):  # copies: a view would keep all of its array
                stack += [(first[number] + side, half[:, :, k : k + 1].copy()) for side, half in enumerate(halves)]
        self.leaves += len(cuts) + 1
        if len(self.frames) == 1:
            self.refuted.add(self.clause)

    def _refuted(self, frame: Array, row: Array, chosen: Multipliers, derive: list[int] | None) -> tuple[Array, ...]:
        """Which of B parts are refuted, lower bounds (B,) of 0 where they have a row, and the frames of what is left of them."""
        model, inner, bounds = self.model, frame, np.full(len(row), -np.inf)
        for number, relu in enumerate([] if derive is None else model.relus):
            inner = apply_interval(model, inner, relu)
            known = inner[:, model.known[relu]]
            unstable = np.asarray((known < 0).all(axis=0))
            some = np.flatnonzero(unstable.any(axis=(1, 2)))
            if derive and number in derive:
                inner = self._tightened(inner, relu, np.concatenate([some, ~some]), Multipliers({}))
                # Of each part alone: where others would halve, what is beside a part must make no difference.
                inner[:, model.known[relu]] = np.where(unstable, inner[:, model.known[relu]], known)
        asked, box, refuted = np.flatnonzero(row >= 0), model.known[0], crossed(inner)
        if len(asked):
            part = inner[:, :, asked]
            a, constant = backward(model, part, {}, 1, chosen.taken(row[asked]))
            least = minimum(model, self.region, part, a, constant)
            bounds[asked] = least[:, 0]
            if not self.region.ball:  # x with a . x + c <= 0 has every a_i x_i at most -least above its smallest
                room = model.arithmetic.lift(np.maximum(-least, 0.0)) / np.where(a == 0, 1, np.abs(a))
                clipped = np.nextafter(model.arithmetic.lower(-room) - part[::-1, box], -np.inf)
                helps = np.stack([a < 0, a > 0]) & (least <= 0) & ~refuted[asked, None]
                frame[:, box, asked] = np.where(helps, np.maximum(part[:, box], clipped), part[:, box])
        return refuted | ((bounds > 0) & (bounds < np.inf)), bounds, frame


def begun(arithmetic: Arithmetic, nodes: list[Node], part: dict[str, Any], float32: bool) -> Proof:
    """What is known of a part of a claim before any step. The rows of its clauses are the argument of one more ReLU."""
    region, last, size = read_region(part["region"], nodes[0].size), len(nodes) - 1, nodes[-1].size
    taps: dict[str, Any] = {"taps": np.arange(size)[None], "bases": np.zeros(1, int)}
    rows = made("linear", [last], size, weight=part["C"][None], bias=part["d"], **taps)
    model, root = build_model(arithmetic, [*nodes, rows, made("relu", [last + 1], rows.size)], region.box, float32)
    ends = (model.known[model.relus[-1]].start + np.cumsum(part["rows"])).tolist()
    clauses = [slice(end - count, end) for end, count in zip(ends, part["rows"].tolist(), strict=True)]
    return Proof(model, region, clauses, [root])
