"""The record of one region: bounds that hold over all of it, and how each clause about it was refuted.

A recorder is handed to the functions that bound and branch; it changes nothing but that slopes are rounded to what will
be stored before they are used. Steps are in the order in which their bounds were found, so each rests on those before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from verify.bounds.nouns import Bounds
from verify.bounds.relaxation import Lines
from verify.network import Network
from verify.proof.container import Array
from verify.proof.document import Step
from verify.proof.multipliers import (
    COARSE,
    FINE,
    Multipliers,
    begins,
    flat,
    has_upper,
    of_lines,
    stored_lines,
    with_mix,
)


@dataclass(frozen=True)
class Place:
    """A clause: its number in the question, its number in its part of the certificate, and its rows there."""

    clause: int
    number: int
    rows: range


def places(clauses: Sequence[int], counts: Sequence[int]) -> list[Place]:
    """Of the clauses of one region, by their numbers in the question, which have so many rows."""
    ends = np.cumsum(counts).tolist()
    return [
        Place(clause, number, range(end - count, end))
        for number, (clause, count, end) in enumerate(zip(clauses, counts, ends, strict=True))
    ]


@dataclass
class Recorder:
    """Implements :class:`verify.bounds.record.Record` for the clauses at ``places``, all about one region.

    ``missing``: why the record does not say how some clause was refuted, for people.
    """

    network: Network
    places: Sequence[Place]
    steps: list[Step] = field(default_factory=list)
    refuted: set[int] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept = len(self.steps)
        self.ordinal = {r: k for k, r in enumerate(self.network.relus)}
        *begin, self.rows_begin = begins(self.network)
        self.begin = dict(zip(self.network.relus, begin, strict=True))

    def interval(self, relu: int) -> None:
        if self.steps:  # before any other step it is what the checker starts with
            self.steps.append(_bounds(self.ordinal[relu], np.zeros(0), {}))

    def stored(self, bounds: Bounds, at: Mapping[int, Lines], *, fine: bool = False) -> dict[int, Lines]:
        return stored_lines(bounds, at, _bits(bounds, at, fine))

    def neurons(self, start: int, index: Tensor, bounds: Bounds, at: Mapping[int, Lines]) -> None:
        used = {r: line for r, line in at.items() if r <= start}
        chosen = of_lines(self.begin, bounds, used, _bits(bounds, used, False))
        neurons, order = index.numpy(), _by_pixel(index.numpy(), self.network.nodes[start].shape)
        both = np.concatenate([order, len(order) + order])
        for kind in chosen.keys() & {"lower", "upper"}:
            value = chosen[kind]["value"]
            chosen[kind]["value"] = value if len(value) == 1 else value[both]
        signed = np.concatenate([neurons, ~neurons])[both]
        for r in (r for r in self.network.relus if self.network.nodes[r].inputs[0] == start):
            step = _bounds(self.ordinal[r], signed, chosen)
            if len(self.steps) > self.kept and _alike(self.steps[-1], step):
                step["neurons"] = np.concatenate([self.steps.pop()["neurons"], step["neurons"]])
            self.steps.append(step)

    def margins(self, bounds: Bounds, at: Mapping[int, Lines] | None) -> None:
        most = FINE if at is None else _bits(bounds, at, True)
        chosen = flat(self.begin, bounds) if at is None else of_lines(self.begin, bounds, at, most)
        self._rows([row for place in self.places for row in place.rows], chosen)

    def again(self) -> None:
        """Better bounds of everything follow: those so far are forgotten, unless something rests on them."""
        if not self.refuted:
            del self.steps[self.kept :]

    def part(self, places: Sequence[int]) -> Recorder:
        """The record of the clauses at ``places`` alone, whose steps follow those so far."""
        return Recorder(self.network, [self.places[k] for k in places], self.steps, missing=self.missing)

    def by_rows(self, refuted: Tensor, row: Tensor, bounds: Bounds, at: Mapping[int, Lines]) -> None:
        """The clauses ``refuted`` (K,) are, each by its row ``row`` (K,) alone, bounded with ``at``."""
        found = refuted.nonzero().squeeze(1).tolist()
        if found:
            rows = [self.places[k].rows[int(row[k])] for k in found]
            self._rows(rows, of_lines(self.begin, bounds, at, _bits(bounds, at, True)))
            self.refuted.update(found)

    def case(self, place: int, steps: Sequence[Step]) -> None:
        """The clause at ``place`` is refuted by ``steps``, which assume it; their weights of its rows are under ``mix``."""
        own = self.places[place]
        rows = range(self.rows_begin + own.rows.start, self.rows_begin + own.rows.stop)
        self.steps.append({"op": "assume", "clause": own.number})
        for step in steps:
            given = {"multipliers": with_mix(step["multipliers"], rows)} if "multipliers" in step else {}
            self.steps.append({**step, **given})
        self.refuted.add(place)

    def _rows(self, rows: Sequence[int], chosen: Multipliers) -> None:
        """Lower bounds of rows, which are the argument of one more ReLU than the network has."""
        self.steps.append(_bounds(len(self.begin), np.array(rows), chosen))


def _bounds(relu: int, neurons: Array, chosen: Multipliers) -> Step:
    return {"op": "bounds", "relu": relu, "neurons": neurons.astype(np.int32), "multipliers": chosen}


def _alike(last: Step, step: Step) -> bool:
    """Whether two steps in a row are pieces of one: bounds of one ReLU, which name no multipliers. One is checked faster."""
    plain = all(s["op"] == "bounds" and s["multipliers"].keys() <= {"default"} for s in (last, step))
    return plain and {**last, "neurons": None} == {**step, "neurons": None}


def _by_pixel(neurons: Array, shape: Sequence[int]) -> Array:
    """An order in which neurons of one pixel come together: their functionals are 0 at the same places, and cost less."""
    return np.argsort(neurons % (shape[1] * shape[2]) if len(shape) == 3 else neurons, kind="stable")


def _bits(bounds: Bounds, at: Mapping[int, Lines], fine: bool) -> int:
    """Upper lines other than chords are worth more bits: an error in their slope lifts them everywhere."""
    return FINE if fine or has_upper(bounds, at) else COARSE
