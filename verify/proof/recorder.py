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
from verify.proof.document import Step
from verify.proof.multipliers import COARSE, FINE, flat, has_upper, of_lines, stored_lines


@dataclass
class Recorder:
    """Implements :class:`verify.bounds.record.Record` for ``clauses`` numbered as in the claim, all about one region.

    ``missing``: why the record does not say how some clause was refuted, for people.
    """

    network: Network
    clauses: Sequence[int]
    steps: list[Step] = field(default_factory=list)
    refuted: set[int] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept = len(self.steps)
        self.ordinal = {r: k for k, r in enumerate(self.network.relus)}

    def interval(self, relu: int) -> None:
        if self.steps:  # before any other step it is what the checker starts with
            self.steps.append({"op": "interval", "relu": self.ordinal[relu]})

    def stored(self, bounds: Bounds, at: Mapping[int, Lines], *, fine: bool = False) -> dict[int, Lines]:
        return stored_lines(bounds, at, _bits(bounds, at, fine))

    def neurons(self, start: int, index: Tensor, bounds: Bounds, at: Mapping[int, Lines]) -> None:
        where = index.numpy().astype(np.int32)
        used = {r: line for r, line in at.items() if r <= start}
        step = {
            "op": "bounds",
            "neurons": np.concatenate([where, where]),
            "sides": np.repeat(np.array([1, -1], dtype=np.int8), len(where)),
            "multipliers": of_lines(self.ordinal, bounds, used, _bits(bounds, used, False)),
        }
        readers = (r for r in self.network.relus if self.network.nodes[r].inputs[0] == start)
        self.steps += [{**step, "relu": self.ordinal[r]} for r in readers]

    def margins(self, bounds: Bounds, at: Mapping[int, Lines] | None) -> None:
        self.rows(np.arange(len(self.clauses)), bounds, at)

    def rows(self, places: np.ndarray, bounds: Bounds, at: Mapping[int, Lines] | None) -> None:
        """The clauses at ``places`` have one row each, which was bounded with ``at``."""
        most = FINE if at is None else _bits(bounds, at, True)
        chosen = flat(self.ordinal, bounds) if at is None else of_lines(self.ordinal, bounds, at, most)
        numbers = np.array([self.clauses[k] for k in places], dtype=np.int32)
        self.steps.append({"op": "margins", "clauses": numbers, "multipliers": chosen})

    def again(self) -> None:
        """Better bounds of everything follow: those so far are forgotten, unless something rests on them."""
        if not self.refuted:
            del self.steps[self.kept :]

    def part(self, places: Sequence[int]) -> Recorder:
        """The record of the clauses at ``places`` alone, whose steps follow those so far."""
        return Recorder(self.network, [self.clauses[k] for k in places], self.steps, missing=self.missing)

    def by_rows(self, refuted: Tensor, row: Tensor, count: Tensor, bounds: Bounds, at: Mapping[int, Lines]) -> None:
        """The clauses ``refuted`` (K,) are, each by its row ``row`` (K,) alone, bounded with ``at``; ``count`` (K,) of rows."""
        single = (refuted & (count == 1)).nonzero().squeeze(1)
        if len(single):
            self.rows(single.numpy(), bounds, at)
            self.refuted.update(single.tolist())
        several = (refuted & (count > 1)).nonzero().squeeze(1).tolist()
        chosen = of_lines(self.ordinal, bounds, at, COARSE) if several else {}
        for k in several:
            mix = np.zeros((1, int(count[k])), dtype=np.float32)
            mix[0, int(row[k])] = 1.0
            self.case(k, [{"op": "refute", "multipliers": chosen | {"mix": mix}}])

    def case(self, place: int, steps: Sequence[Step]) -> None:
        """The clause at ``place`` is refuted by ``steps``, which assume it."""
        self.steps += [{"op": "assume", "clause": int(self.clauses[place])}, *steps]
        self.refuted.add(place)


def _bits(bounds: Bounds, at: Mapping[int, Lines], fine: bool) -> int:
    """Upper lines other than chords are worth more bits: an error in their slope lifts them everywhere."""
    return FINE if fine or has_upper(bounds, at) else COARSE
