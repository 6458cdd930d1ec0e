"""What the steps of a certificate have established so far, and the bounds that they derive in its frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import Arithmetic
from verify.check.backward import backward
from verify.check.claim import Claim
from verify.check.container import Container
from verify.check.frame import Frame, root_frame
from verify.check.model import Model, build_model
from verify.check.multipliers import Multipliers, read_multipliers
from verify.check.network import Node
from verify.check.reasons import Rejected, integer, require
from verify.check.region import Region, minimum, read_region

Array = NDArray[Any]
MAX_OPEN = 256  # frames at once; a deep tree is one step
_BUDGET = 2**23  # bytes of an array of coefficients


@dataclass
class Proof:
    """What the steps so far have established. ``frames`` are those that are open, each with the one that opens when it closes.

    ``region`` is the current one and ``model`` the network over it; ``words`` say which regions were entered so far.
    """

    arithmetic: Arithmetic
    nodes: list[Node]
    claim: Claim
    container: Container
    region: Region = field(init=False)
    model: Model = field(init=False)
    words: list[str] = field(default_factory=list)
    frames: list[tuple[Frame, Frame | None]] = field(default_factory=list)
    refuted: set[int] = field(default_factory=set)
    margins: dict[int, float] = field(default_factory=dict)
    lemmas: int = 0
    leaves: int = 0

    @property
    def frame(self) -> Frame:
        """The current frame."""
        return self.frames[-1][0]

    def own(self, clause: int) -> None:
        """Reject a clause that is about another region."""
        owner = self.claim.region_of[clause]
        require(owner == len(self.words) - 1, f"{self.claim.name(clause)} is about region {owner}, not the current one")

    def enter(self, number: int) -> None:
        """Leave the root frame, if there is one, for that of the next region."""
        require(number == len(self.words), f"region {number} is entered, the next is {len(self.words)}")
        self.region = read_region(self.container, self.claim.regions[number], self.nodes[0].shape)
        self.words.append(self.region.words)
        self.model = build_model(self.arithmetic, self.nodes, self.region.box, self.claim.float32)
        self.frames = [(root_frame(self.model), None)]

    def change(self, frame: Frame) -> None:
        """Put ``frame`` in place of the current one."""
        if frame.clause is None and bool(frame.crossed()[0]):
            raise Rejected("an interval of the frame without assumptions is crossed")
        self.frames[-1] = (frame, self.frames[-1][1])

    def close(self) -> None:
        """Close the current frame; a split closes when its second half does, and a clause is refuted when its frame closes."""
        while True:
            frame, second = self.frames.pop()
            if second is not None:
                self.frames.append((second, None))
                return
            if len(self.frames) == 1:
                self.refuted.add(int(frame.clause or 0))
                return
            # what closed was the second half of a split: the frame that was split closes too

    def open(self, first: Frame, second: Frame | None) -> None:
        """Open ``first``, and ``second`` when that is closed."""
        require(len(self.frames) < MAX_OPEN, f"over {MAX_OPEN} frames are open at once")
        self.frames.append((first, second))

    def multipliers(self, entry: Any, rows: int) -> Multipliers:
        """The multipliers of a step in the current frame."""
        clause = self.frame.clause
        width = None if clause is None else int(np.diff(self.claim.starts)[clause])
        widths = [self.model.layers[j].node.size for j in self.model.relus]
        return read_multipliers(self.container, entry, rows, widths, width)

    def neuron(self, relu: Any, neuron: Any = 0) -> tuple[int, int]:
        """A ReLU and a neuron of it that are there."""
        r = integer(relu, 0, len(self.model.relus) - 1, "the ReLU")
        return r, integer(neuron, 0, self.model.layers[self.model.relus[r]].node.size - 1, f"the neuron of ReLU {r}")


def batch(model: Model, per_row: int = 1) -> int:
    """How many rows (of ``per_row`` functionals) to hold at once, for the widest value of the network."""
    widest = max(layer.node.size for layer in model.layers)
    return max(1, _BUDGET // (model.arithmetic.item_bytes * widest * per_row))


def mixed(
    model: Model, claim: Claim, frame: Frame, multipliers: Multipliers, rows: int
) -> tuple[dict[int, Array], Array]:
    """The functional ``sum_j mix_j (C_j f(x) + d_j)``, for these multipliers of so many rows: its start for `backward`."""
    arithmetic, last = model.arithmetic, len(model.layers) - 1
    if multipliers.mix is None or frame.clause is None:
        return {}, arithmetic.lift(np.zeros(rows))
    c, d = (arithmetic.lift(part) for part in claim.rows(frame.clause))
    mix = arithmetic.lift(multipliers.mix)
    constant = mix @ d
    gamma, tiny = arithmetic.gamma(4 * (c.shape[0] + c.shape[1]) + 64), arithmetic.tiny
    if gamma:
        # mix @ C and mix @ d are rounded: at most gamma mix (|C| |f| + |d|), computed with its own roundings covered
        size = np.maximum(-model.layers[last].lower, model.layers[last].upper).ravel()
        total = np.abs(c) @ size + np.abs(d)
        slip = 2 * gamma * (mix @ total) + tiny * ((mix.sum(axis=1) + len(d) + 4) * (size.sum() + 4 * size.size + 4))
        constant = arithmetic.down(constant - arithmetic.up(slip))
    return {last: mix @ c}, constant


def pre_activation(
    proof: Proof, frame: Frame, relu: int, neurons: Array, sides: Array, multipliers: Multipliers
) -> Array:
    """Lower bounds (B, S) of ``sides[s]`` times the argument of each neuron, in each of B frames (1 for multipliers)."""
    model, count, found = proof.model, len(frame.lower), []
    node, step = model.argument(relu), batch(model, count)
    for begin in range(0, len(neurons), step):
        at, side = neurons[begin : begin + step], sides[begin : begin + step]
        one_hot = np.zeros((count, len(at), model.layers[node].node.size))
        one_hot[:, np.arange(len(at)), at] = side
        start = model.arithmetic.lift(one_hot.reshape(count * len(at), *model.layers[node].node.shape))
        rows = multipliers.taken(np.arange(begin, begin + len(at))) if count == 1 else multipliers
        forms, constant = mixed(model, proof.claim, frame, rows, count * len(at))
        forms[node] = forms[node] + start if node in forms else start
        a, c = backward(model, frame, forms, constant, rows)
        found.append(minimum(model, proof.region, frame, a, c).reshape(count, -1))
    return np.concatenate(found, axis=1) if found else np.zeros((count, 0))


def refutations(proof: Proof, frame: Frame, multipliers: Multipliers) -> tuple[Array, Array]:
    """Lower bounds (B,) of ``0 + mix`` in B frames, and the coefficients (B, n_in) on the input that they come from."""
    forms, constant = mixed(proof.model, proof.claim, frame, multipliers, len(frame.lower))
    a, c = backward(proof.model, frame, forms, constant, multipliers)
    return minimum(proof.model, proof.region, frame, a, c), a
