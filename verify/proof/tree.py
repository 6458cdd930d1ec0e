"""How a clause was refuted by branching: parts of the region, and for each what was done to it until nothing was left.

A part has a number. It was refuted by multipliers, or was empty, or lives on in other parts: in two, split at a neuron, or in
one, after some of its intervals were tightened. Several searches may have begun at one part, so it may live on in several
ways; any of them that was refuted altogether will do.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from verify.network import Network
from verify.proof.container import Array
from verify.proof.document import Step
from verify.proof.multipliers import Multipliers, begins, table, whole

if TYPE_CHECKING:
    from verify.branch.domains import Domains

MOST_BYTES = 512 * 2**20
EMPTY, REFUTED = -1, 0


@dataclass(frozen=True)
class Columns:
    """The neurons that may be split, as certificates name them: ReLU number, neuron, and place in a frame, (R,) each, sorted."""

    relu: Array
    neuron: Array
    place: Array

    @classmethod
    def of(cls, network: Network, index: Mapping[int, Tensor]) -> Columns:
        """From the neurons of each ReLU, by its position in the network."""
        ordinal = {r: k for k, r in enumerate(network.relus)}
        none = np.zeros(0, dtype=np.int64)
        relu = [np.full(len(neurons), ordinal[r]) for r, neurons in index.items()]
        relus, neurons = np.concatenate([none, *relu]), np.concatenate([none, *(n.numpy() for n in index.values())])
        return cls(relus, neurons, np.array(begins(network))[relus] + neurons)


@dataclass(frozen=True)
class Lemma:
    """Bounds of neurons of ReLU number ``relu``: ``columns`` and ``sides`` (S,); alpha (S, R) in 8 bits; mix (S, J).

    ``beta``: the rows, columns and values of the phases' multipliers, signed, that are not 0. Arrays are kept compressed.
    """

    relu: int
    columns: Array
    sides: Array
    mix: Array
    beta: tuple[Array, Array, Array]
    alpha: bytes


@dataclass
class Tree:
    """What is recorded of one search; grows while it runs."""

    columns: Columns
    splits: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)  # part -> column, first, second
    tighter: dict[int, list[int]] = field(default_factory=dict)
    lemmas: dict[int, list[Lemma]] = field(default_factory=dict)  # of the part that they lead to
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)  # part -> batch and row there; batch -1: empty
    batches: list[tuple[Array, Array, Array]] = field(default_factory=list)  # alpha, signed beta, mix
    given: dict[int, list[Step]] = field(default_factory=dict)  # part -> how another tree says that it is refuted
    count: int = 0
    bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether the record outgrew its memory; what was recorded is of no use then."""
        return self.bytes > MOST_BYTES

    def begin(self, domains: int) -> Tensor:
        """Numbers of as many first parts."""
        return self._new(domains)

    def halved(self, parts: Tensor, column: Tensor) -> Tensor:
        """Numbers of the halves of ``parts`` at ``column``: (2N,), first the active ones."""
        halves = self._new(2 * len(parts))
        first, second = halves.chunk(2)
        for part, at, a, b in zip(parts.tolist(), column.tolist(), first.tolist(), second.tolist(), strict=True):
            self.splits.setdefault(part, []).append((at, a, b))
        self.bytes += 200 * len(parts)
        return halves

    def tightened(self, parts: Tensor) -> Tensor:
        """Numbers of the same parts with tighter intervals, whose lemmas will follow."""
        found = self._new(len(parts))
        for part, new in zip(parts.tolist(), found.tolist(), strict=True):
            self.tighter.setdefault(part, []).append(new)
        return found

    def lemma(self, part: int, rows: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor, Tensor]) -> None:
        """Bounds in ``part`` of neurons of one ReLU: ``rows`` are columns and sides (S,); ``found`` alpha (S, R), signed beta
        (S, R), mix (S, J). Those of one ReLU that follow each other were found from the same intervals."""
        if self.full:
            return
        alpha, beta, mix = found
        row, at = beta.nonzero(as_tuple=True)
        packed = zlib.compress(whole(alpha).tobytes(), 1)
        lemma = Lemma(
            self._relu(int(rows[0][0])),
            rows[0].numpy().copy(),
            rows[1].numpy().astype(np.int8),
            mix.numpy().astype(np.float32),
            (row.numpy(), at.numpy(), beta[row, at].numpy().astype(np.float32)),
            packed,
        )
        self.lemmas.setdefault(part, []).append(lemma)
        self.bytes += len(packed) + mix.numel() * 4 + row.numel() * 20 + 1000

    def ended(self, domains: Domains) -> None:
        """The domains are refuted: by their multipliers, or because they are empty."""
        if self.full or not len(domains):
            return
        empty = domains.empty()
        places = (~empty).nonzero().squeeze(1)
        for part in domains.part[empty].tolist():
            self.ends[part] = (EMPTY, 0)
        left = domains.select(places)
        alpha = whole(left.alpha.double())
        beta = (left.beta.clamp(min=0) * left.phase).numpy().astype(np.float32)
        mix = left.mix.clamp(min=0).numpy().astype(np.float32)
        for row, part in enumerate(left.part.tolist()):
            self.ends[part] = (len(self.batches), row)
        self.batches.append((alpha, beta, mix))
        self.bytes += alpha.nbytes + beta.nbytes + mix.nbytes + 200 * len(domains)

    def refuted(self, part: int, steps: list[Step]) -> None:
        """The part is refuted by ``steps``, of a tree that began there."""
        self.given[part] = steps

    def steps(self, parts: Sequence[int]) -> list[list[Step] | None]:
        """How each of ``parts`` is refuted, or None where the record does not say so."""
        proven, pure = self._proven()
        return [None if self.full or not proven[part] else self._steps(part, proven, pure) for part in parts]

    def _steps(self, part: int, proven: Array, pure: Array) -> list[Step]:
        found: list[Step] = []
        stack = [part]
        while stack:
            part = stack.pop()
            if pure[part]:
                found.append(self._pure(part, proven))
                continue
            if part in self.given:
                found += self.given[part]
                continue
            split = next((s for s in self.splits.get(part, ()) if proven[s[1]] and proven[s[2]]), None)
            if split is not None:
                column, first, second = split
                found.append({"op": "split", "at": int(self.columns.place[column])})
                stack += [second, first]
                continue
            tighter = next(t for t in self.tighter[part] if proven[t])
            together = groupby(self.lemmas.get(tighter, ()), key=lambda lemma: lemma.relu)
            found += [self._bounds(list(lemmas)) for _, lemmas in together]
            stack.append(tighter)
        return found

    def _new(self, count: int) -> Tensor:
        numbers = torch.arange(self.count, self.count + count)
        self.count += count
        return numbers

    def _proven(self) -> tuple[Array, Array]:
        """By part: whether it is refuted; whether that takes splits and multipliers alone."""
        proven, pure = np.zeros(self.count, dtype=bool), np.zeros(self.count, dtype=bool)
        for part in reversed(range(self.count)):  # parts are numbered after those that they come from
            if part in self.ends:
                proven[part] = pure[part] = True
                continue
            if part in self.given:
                proven[part] = True
                continue
            ways = [s for s in self.splits.get(part, ()) if proven[s[1]] and proven[s[2]]]
            proven[part] = bool(ways) or any(proven[t] for t in self.tighter.get(part, ()))
            pure[part] = bool(ways) and bool(pure[ways[0][1]] and pure[ways[0][2]])
        return proven, pure

    def _pure(self, part: int, proven: Array) -> Step:
        """How a part is refuted that was at most split, again and again: one step, those of each depth after those before."""
        cut, row, ends, queue = [], [], list[int](), deque([part])
        while queue:
            part = queue.popleft()
            refuted = part in self.ends and self.ends[part][0] != EMPTY
            row.append(len(ends) if refuted else -1)
            if part in self.ends:
                cut.append(-1)
                ends += [part] if refuted else []
            else:
                column, *halves = next(s for s in self.splits[part] if proven[s[1]] and proven[s[2]])
                cut.append(int(self.columns.place[column]))
                queue += halves
        return {
            "op": "tree",
            "cut": np.array(cut, dtype=np.int32),
            "row": np.array(row, dtype=np.int32),
            "multipliers": self._multipliers(ends),
        }

    def _multipliers(self, parts: Sequence[int]) -> Multipliers:
        where = [self.ends[part] for part in parts]
        if not where:
            return {}
        alpha, beta, mix = (np.stack([self.batches[b][k][row] for b, row in where]) for k in range(3))
        row, at = beta.nonzero()
        return self._packed(alpha, (row, at, beta[row, at]), mix)

    def _bounds(self, lemmas: list[Lemma]) -> Step:
        """One step for the lemmas, all of one ReLU."""
        width = len(self.columns.relu)
        alpha = b"".join(zlib.decompress(lemma.alpha) for lemma in lemmas)
        first = np.cumsum([0, *(len(lemma.sides) for lemma in lemmas)])
        row = np.concatenate([lemma.beta[0] + n for lemma, n in zip(lemmas, first, strict=False)])
        at, value = (np.concatenate([lemma.beta[k] for lemma in lemmas]) for k in (1, 2))
        neurons = self.columns.neuron[np.concatenate([lemma.columns for lemma in lemmas])]
        above = np.concatenate([lemma.sides for lemma in lemmas]) < 0
        return {
            "op": "bounds",
            "relu": lemmas[0].relu,
            "neurons": np.where(above, ~neurons, neurons).astype(np.int32),
            "multipliers": self._packed(
                np.frombuffer(alpha, dtype=np.uint8).reshape(-1, width),
                (row, at, value),
                np.concatenate([lemma.mix for lemma in lemmas]),
            ),
        }

    def _packed(self, alpha: Array, beta: tuple[Array, Array, Array], mix: Array) -> Multipliers:
        """Multipliers over all columns; of the phases', only of columns where some are not 0."""
        row, at, value = beta
        held = np.unique(at)
        dense = np.zeros((len(alpha), len(held)), dtype=np.float32)
        dense[row, np.searchsorted(held, at)] = value
        found: Multipliers = table("lower", [(self.columns.place, alpha)]) | {"mix": mix}
        return found | (table("beta", [(self.columns.place[held], dense)]) if len(held) else {})

    def _relu(self, column: int) -> int:
        return int(self.columns.relu[column])
