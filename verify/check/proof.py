"""What the steps of a certificate have established so far, and the bounds that they derive in its frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.arithmetic import Arithmetic
from verify.check.backward import Multipliers, backward, read_multipliers
from verify.check.claim import Claim
from verify.check.forms import Rejected, require
from verify.check.model import Frame, Model, build_model, root_frame
from verify.check.network import Node
from verify.check.region import Region, minimum, read_region

Array = NDArray[Any]
MAX_OPEN = 4096  # frames at once, and fewer
MAX_ENDS = 2**26  # when they hold more numbers than this together
_BUDGET = 2**23  # bytes of an array of coefficients


@dataclass
class Proof:
    """What the steps so far have established. ``frames``: the root frame, and those that are still to be refuted, the last first.

    ``region`` is the current one and ``model`` the network over it; ``words`` say which regions were entered so far.
    """

    arithmetic: Arithmetic
    nodes: list[Node]
    claim: Claim
    region: Region = field(init=False)
    model: Model = field(init=False)
    words: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    refuted: set[int] = field(default_factory=set)
    margins: dict[int, float] = field(default_factory=dict)
    lemmas: int = 0
    leaves: int = 0

    @property
    def frame(self) -> Frame:
        """The current frame."""
        return self.frames[-1]

    def own(self, clause: int) -> None:
        """Reject a clause that is about another region."""
        owner = self.claim.region_of[clause]
        require(owner == len(self.words) - 1, f"{self.claim.name(clause)} is about region {owner}, not the current one")

    def enter(self, number: int) -> None:
        """Leave the root frame, if there is one, for that of the next region."""
        require(number == len(self.words), f"region {number} is entered, the next is {len(self.words)}")
        self.region = read_region(self.claim.regions[number], self.nodes[0].size)
        self.words.append(self.region.words)
        self.model = build_model(self.arithmetic, self.nodes, self.region.box, self.claim.float32)
        self.frames = [root_frame(self.model)]

    def change(self, frame: Frame) -> None:
        """Put ``frame`` in place of the current one."""
        require(frame.clause is not None or not frame.crossed[0], "an interval of the root frame is crossed")
        self.frames[-1] = frame

    def split(self, row: int) -> None:
        """Put the halves of the current frame in its place: what is at ``row`` is not negative, and not positive."""
        most = min(MAX_OPEN, MAX_ENDS // len(self.frame.lower))
        require(len(self.frames) < most, f"over {most} frames are open at once")
        lower, upper = self.frame.lower.copy(), self.frame.upper.copy()
        lower[row], upper[row] = np.maximum(lower[row], 0.0), np.minimum(upper[row], 0.0)
        self.frames[-1:] = [replace(self.frame, upper=upper), replace(self.frame, lower=lower)]

    def close(self) -> Frame:
        """The current frame, which is refuted, or will be; with the last frame that assumes it, a clause is."""
        frame = self.frames.pop()
        if len(self.frames) == 1 and frame.clause is not None:
            self.refuted.add(frame.clause)
        self.leaves += 1
        return frame

    def multipliers(self, entry: dict[str, Any], rows: int) -> Multipliers:
        """The multipliers of a step in the current frame."""
        clause = self.frame.clause
        mixed = None if clause is None else int(np.diff(self.claim.starts)[clause])
        return read_multipliers(entry, rows, [self.model.layers[j].node.size for j in self.model.relus], mixed)

    def rows(self, relus: Array, neurons: Array) -> Array:
        """Where frames have these neurons of these ReLUs."""
        known = [self.model.known[j] for j in self.model.relus]
        rows: Array = np.array([k.start for k in known], dtype=np.int64)[relus] + neurons
        for k in np.flatnonzero(rows >= np.array([k.stop for k in known], dtype=np.int64)[relus])[:1]:
            raise Rejected(f"ReLU {relus[k]} has no neuron {neurons[k]}")
        return rows


def batches(model: Model, rows: int, per_row: int = 1) -> list[Array]:
    """The numbers of the rows, as many at once (each of ``per_row`` functionals) as there is memory for."""
    widest = max(max([layer.node.size, *(m.index.size for m in layer.node.maps)]) for layer in model.layers)
    step = max(1, _BUDGET // (model.arithmetic.item_bytes * widest * per_row))
    return [np.arange(begin, min(begin + step, rows)) for begin in range(0, rows, step)]


def mixed(proof: Proof, frame: Frame, mix: Array | None, rows: int) -> tuple[dict[int, Array], Array]:
    """The functional ``sum_j mix_j (C_j f(x) + d_j)``, for the multipliers mix of so many rows: its start for `backward`."""
    model, arithmetic = proof.model, proof.arithmetic
    if mix is None or frame.clause is None:
        return {}, arithmetic.lift(np.zeros(rows))
    own = proof.claim.rows(frame.clause)
    C, d, mix = (arithmetic.lift(part) for part in (proof.claim.C[own].T, proof.claim.d[own], mix.T))
    # mix C and mix d are rounded: at most gamma mix (|C| |f| + |d|), computed with its own roundings covered
    total = (np.abs(C) * arithmetic.lift(model.layers[-1].magnitude)).sum(axis=0) + np.abs(d)
    slip = arithmetic.gamma(8 * (len(C) + len(d)) + 64) * (total @ mix) + model.tiny * (mix.sum(axis=0) + len(d) + 4)
    return {len(model.layers) - 1: C @ mix}, arithmetic.down(d @ mix - arithmetic.up(slip))


def pre_activation(
    proof: Proof, frame: Frame, relu: int, neurons: Array, sides: Array, multipliers: Multipliers
) -> Array:
    """Lower bounds (S, B) of ``sides[s]`` times the argument of each neuron, in each of B frames (1 for multipliers)."""
    model, count = proof.model, frame.lower.shape[1]
    node, found = model.argument(relu), np.zeros((len(neurons), count))
    magnitude = model.layers[node].magnitude[neurons, 0]
    places = max((m.index.shape[2] for m in model.layers[node].node.maps), default=1)
    nearby = np.argsort(neurons % places, kind="stable")  # coefficients of neighbours are 0 at the same places
    for part in (np.sort(nearby[part]) for part in batches(model, len(neurons), count)):
        one_hot = np.zeros((model.layers[node].node.size, count, len(part)))
        one_hot[neurons[part], :, np.arange(len(part))] = sides[part, None]
        rows = multipliers.taken(part) if count == 1 else multipliers
        forms, constant = mixed(proof, frame, rows.mix, count * len(part))
        start = model.arithmetic.lift(one_hot.reshape(len(one_hot), -1))
        forms[node] = forms[node] + start if node in forms else start
        # the 1 takes part in the sum of all that reaches its value, and in the roundings of that
        lost = np.tile(model.arithmetic.lift(magnitude[part]) * model.arithmetic.gamma(2 * model.met + 64), count)
        constant = model.arithmetic.down(constant - model.arithmetic.up(lost))
        a, constant = backward(model, frame, forms, constant, rows)
        found[part] = minimum(model, proof.region, frame, a, constant).reshape(count, -1).T
    return found


def refutations(proof: Proof, frame: Frame, multipliers: Multipliers) -> tuple[Array, Array, Array]:
    """Of B frames: which are refuted, lower bounds (B,) of ``0 + mix``, and the coefficients (n_in, B) that they come from."""
    forms, constant = mixed(proof, frame, multipliers.mix, frame.lower.shape[1])
    a, constant = backward(proof.model, frame, forms, constant, multipliers)
    bounds = minimum(proof.model, proof.region, frame, a, constant)
    return frame.crossed | ((bounds > 0) & np.isfinite(bounds)), bounds, a


def require_refuted(what: str, numbers: Any, refuted: Array, bounds: Array) -> None:
    """Reject unless all of these are refuted."""
    for k in np.flatnonzero(~refuted)[:1]:
        raise Rejected(f"{what} {numbers[k]}: the derived bound is {bounds[k]}, not above 0")
