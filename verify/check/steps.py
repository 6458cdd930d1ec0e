"""The steps of a certificate, executed in order on a stack of frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verify.check.arithmetic import Arithmetic
from verify.check.backward import backward
from verify.check.boxes import check_boxes
from verify.check.claim import Claim
from verify.check.container import Container
from verify.check.frame import Frame, apply_interval
from verify.check.network import Node
from verify.check.proof import Proof, batch, pre_activation, refutations
from verify.check.reasons import Rejected, fields, integer, listed, require
from verify.check.region import minimum
from verify.check.tree import check_tree


def run_steps(arithmetic: Arithmetic, nodes: list[Node], claim: Claim, container: Container) -> Proof:
    """Execute every step; reject unless no frame is left open and every clause is refuted."""
    proof = Proof(arithmetic, nodes, claim, container)
    for number, entry in enumerate(listed(container.document["steps"], "steps")):
        name = f"step {number}"
        try:
            require(
                type(entry) is dict and type(entry.get("op")) is str and entry["op"] in STEPS, "no op that is known"
            )
            name = f"step {number} ({entry['op']})"
            keys, where, rule = STEPS[entry["op"]]
            fields(entry, ("op", *keys), (), "the step")
            require(bool(proof.frames) or entry["op"] == "region", "no region was entered yet")
            root = not proof.frames or proof.frame.clause is None
            require(where in ("any", "root" if root else "assuming"), f"it belongs in the {where} frame")
            rule(proof, entry)
        except Rejected as reason:
            raise Rejected(f"{name}: {reason}") from None
    require(len(proof.frames) <= 1, f"{len(proof.frames) - 1} frames are still open after the last step")
    for clause in range(claim.count):
        require(clause in proof.refuted, f"{claim.name(clause)} is not refuted by any step")
    for clause in np.flatnonzero(claim.margins).tolist():
        derived, claimed = proof.margins.get(clause), float(claim.margins[clause])
        require(
            derived is not None and derived >= claimed,
            f"{claim.name(clause)}: derived margin {derived}, claimed {claimed!r}",
        )
    return proof


def _region(proof: Proof, step: dict[str, Any]) -> None:
    proof.enter(integer(step["number"], 0, len(proof.claim.regions) - 1, "the region"))


def _interval(proof: Proof, step: dict[str, Any]) -> None:
    proof.change(apply_interval(proof.model, proof.frame, proof.neuron(step["relu"])[0]))


def _bounds(proof: Proof, step: dict[str, Any]) -> None:
    relu, _ = proof.neuron(step["relu"])
    width = proof.model.layers[proof.model.relus[relu]].node.size
    neurons = proof.container.array(step["neurons"], "I32", (None,), "neurons").astype(np.int64)
    sides = proof.container.array(step["sides"], "I8", neurons.shape, "sides").astype(np.int64)
    require(
        bool(((neurons >= 0) & (neurons < width)).all()), f"neurons names one that is not of the {width} of ReLU {relu}"
    )
    require(bool((np.abs(sides) == 1).all()), "sides has an entry other than 1 and -1")
    multipliers = proof.multipliers(step["multipliers"], len(neurons))
    bounds = pre_activation(proof, proof.frame, relu, neurons, sides, multipliers)[0]
    require(bool(np.isfinite(bounds).all()), "a derived bound is not a finite number")
    lower, upper = proof.frame.pre_lower[relu].copy(), proof.frame.pre_upper[relu].copy()
    np.maximum.at(lower[0], neurons[sides > 0], bounds[sides > 0])
    np.minimum.at(upper[0], neurons[sides < 0], -bounds[sides < 0])
    proof.change(proof.frame.intersected(relu, lower, upper))
    proof.lemmas += len(neurons)


def _margins(proof: Proof, step: dict[str, Any]) -> None:
    clauses = proof.container.array(step["clauses"], "I32", (None,), "clauses").astype(np.int64)
    require(bool(((clauses >= 0) & (clauses < proof.claim.count)).all()), "clauses names a clause that is not there")
    multipliers = proof.multipliers(step["multipliers"], len(clauses))
    model, lift, rows = proof.model, proof.model.arithmetic.lift, batch(proof.model)
    for clause in clauses.tolist():
        proof.own(clause)
        require(len(proof.claim.rows(clause)[1]) == 1, f"clause {clause} has several rows: no margin")
    for begin in range(0, len(clauses), rows):
        part = clauses[begin : begin + rows].tolist()
        c, d = (np.concatenate(sides) for sides in zip(*(proof.claim.rows(k) for k in part), strict=True))
        a, constant = backward(
            model,
            proof.frame,
            {len(model.layers) - 1: lift(c)},
            lift(d),
            multipliers.taken(np.arange(begin, begin + len(part))),
        )
        bounds = minimum(model, proof.region, proof.frame, a, constant)
        for clause, bound in zip(part, bounds.tolist(), strict=True):
            require(
                abs(bound) < np.inf, f"{proof.claim.name(clause)}: the derived margin is {bound}, not a finite number"
            )
            proof.margins[clause] = max(bound, proof.margins.get(clause, bound))
            if bound > 0:
                proof.refuted.add(clause)


def _assume(proof: Proof, step: dict[str, Any]) -> None:
    clause = integer(step["clause"], 0, proof.claim.count - 1, "the clause")
    proof.own(clause)
    root = proof.frame
    proof.open(Frame(root.lower, root.upper, root.pre_lower, root.pre_upper, clause), None)


def _split(proof: Proof, step: dict[str, Any]) -> None:
    relu, neuron = proof.neuron(step["relu"], step["neuron"])
    frame = proof.frame
    lower, upper = frame.pre_lower[relu].copy(), frame.pre_upper[relu].copy()
    lower[0, neuron], upper[0, neuron] = max(lower[0, neuron], 0.0), min(upper[0, neuron], 0.0)
    positive = frame.replaced(relu, lower, frame.pre_upper[relu])
    proof.open(positive, frame.replaced(relu, frame.pre_lower[relu], upper))


def _refute(proof: Proof, step: dict[str, Any]) -> None:
    bound = float(
        refutations(proof, proof.frame, proof.multipliers(step["multipliers"], 1).taken(np.zeros(1, dtype=np.int64)))[
            0
        ][0]
    )
    clause = proof.claim.name(int(proof.frame.clause or 0))
    require(
        bool(proof.frame.crossed()[0]) or 0 < bound < np.inf, f"{clause}: the derived bound is {bound!r}, not above 0"
    )
    proof.leaves += 1
    proof.close()


def _empty(proof: Proof, step: dict[str, Any]) -> None:
    require(bool(proof.frame.crossed()[0]), "no interval of the frame is crossed")
    proof.leaves += 1
    proof.close()


def _tree(proof: Proof, step: dict[str, Any]) -> None:
    check_tree(proof, step)
    proof.close()


def _boxes(proof: Proof, step: dict[str, Any]) -> None:
    check_boxes(proof, step)
    proof.close()


# op: its keys, the frame that it belongs in, what it does
STEPS: dict[str, tuple[tuple[str, ...], str, Callable[[Proof, dict[str, Any]], None]]] = {
    "region": (("number",), "root", _region),
    "interval": (("relu",), "any", _interval),
    "bounds": (("relu", "neurons", "sides", "multipliers"), "any", _bounds),
    "margins": (("clauses", "multipliers"), "root", _margins),
    "assume": (("clause",), "root", _assume),
    "split": (("relu", "neuron"), "assuming", _split),
    "refute": (("multipliers",), "assuming", _refute),
    "empty": ((), "assuming", _empty),
    "tree": (("shape", "relu", "neuron", "multipliers"), "assuming", _tree),
    "boxes": (("cut", "multipliers"), "assuming", _boxes),
}
