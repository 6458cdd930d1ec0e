"""The steps of a certificate, executed in order on a stack of frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verify.check.arithmetic import Arithmetic
from verify.check.backward import backward
from verify.check.boxes import check_boxes
from verify.check.claim import Claim
from verify.check.forms import Numbers, Rejected, Whole, chosen, read, require
from verify.check.model import Frame, apply_interval
from verify.check.network import Node
from verify.check.proof import Proof, batches, pre_activation, refutations, require_refuted
from verify.check.region import minimum


def run_steps(arithmetic: Arithmetic, nodes: list[Node], claim: Claim, steps: list[Any]) -> Proof:
    """Execute every step; reject unless no frame is left open and every clause is refuted."""
    proof = Proof(arithmetic, nodes, claim)
    sizes = {"regions": len(claim.regions), "clauses": len(claim.margins), "inputs": nodes[0].size}
    sizes["relus"] = sum(node.op == "relu" for node in nodes)
    for number, entry in enumerate(steps):
        name = f"step {number}"
        try:
            op, (where, form, rule) = chosen(STEPS, entry, "op", "the step")
            name = f"step {number} ({op})"
            given = read(form | {"op": str}, entry, "the step", dict(sizes))
            require(proof.frames or op == "region", "no region was entered yet")
            root = not proof.frames or proof.frame.clause is None
            require(where in ("any", "root" if root else "assuming"), f"it belongs in the {where} frame")
            rule(proof, given)
        except Rejected as reason:
            raise Rejected(f"{name}: {reason}") from None
    require(len(proof.frames) <= 1, f"{len(proof.frames) - 1} frames are still open after the last step")
    for clause, claimed in enumerate(claim.margins.tolist()):
        require(clause in proof.refuted, f"{claim.name(clause)} is not refuted by any step")
        derived = proof.margins.get(clause, 0.0)
        require(
            claimed == 0 or derived >= claimed, f"{claim.name(clause)}: derived margin {derived}, claimed {claimed!r}"
        )
    return proof


def _interval(proof: Proof, step: dict[str, Any]) -> None:
    proof.change(apply_interval(proof.model, proof.frame, step["relu"]))


def _bounds(proof: Proof, step: dict[str, Any]) -> None:
    relu, neurons, sides = step["relu"], step["neurons"], step["sides"]
    known = proof.model.known[proof.model.relus[relu]]
    at = proof.rows(np.full(len(neurons), relu), neurons) - known.start
    require((sides != 0).all(), "sides has an entry other than 1 and -1")
    multipliers = proof.multipliers(step["multipliers"], len(neurons))
    bounds = pre_activation(proof, proof.frame, relu, neurons, sides, multipliers)[:, 0]
    lower, upper = proof.frame.lower[known].copy(), proof.frame.upper[known].copy()
    require(np.isfinite(bounds).all(), "a derived bound is not a finite number")
    np.maximum.at(lower[:, 0], at[sides > 0], bounds[sides > 0])
    np.minimum.at(upper[:, 0], at[sides < 0], -bounds[sides < 0])
    proof.change(proof.frame.intersected(known, lower, upper))
    proof.lemmas += len(neurons)


def _margins(proof: Proof, step: dict[str, Any]) -> None:
    clauses, model, claim = step["clauses"], proof.model, proof.claim
    multipliers = proof.multipliers(step["multipliers"], len(clauses))
    for clause in clauses.tolist():
        proof.own(clause)
        require(np.diff(claim.starts)[clause] == 1, f"clause {clause} has several rows: no margin")
    for part in batches(model, len(clauses)):
        rows = claim.starts[clauses[part]]
        start = {len(model.layers) - 1: model.arithmetic.lift(claim.C[rows].T)}
        a, constant = backward(model, proof.frame, start, model.arithmetic.lift(claim.d[rows]), multipliers.taken(part))
        bounds = minimum(model, proof.region, proof.frame, a, constant)
        for clause, bound in zip(clauses[part].tolist(), bounds.tolist(), strict=True):
            require(abs(bound) < np.inf, f"{claim.name(clause)}: the derived margin is {bound}, not a finite number")
            proof.margins[clause] = max(bound, proof.margins.get(clause, bound))
            if bound > 0:
                proof.refuted.add(clause)


def _assume(proof: Proof, step: dict[str, Any]) -> None:
    proof.own(step["clause"])
    proof.frames.append(replace(proof.frame, clause=step["clause"]))


def _split(proof: Proof, step: dict[str, Any]) -> None:
    proof.split(*proof.rows(np.array([step["relu"]]), np.array([step["neuron"]])))


def _refute(proof: Proof, step: dict[str, Any]) -> None:
    multipliers = proof.multipliers(step["multipliers"], 1).taken(np.arange(1))
    require_refuted("clause", [proof.frame.clause], *refutations(proof, proof.frame, multipliers)[:2])
    proof.close()


def _empty(proof: Proof, step: dict[str, Any]) -> None:
    require(proof.frame.crossed[0], "no interval of the frame is crossed")
    proof.close()


def _tree(proof: Proof, step: dict[str, Any]) -> None:
    """As `split`, `empty` and `refute`, but that the leaves are refuted in batches."""
    kinds, depth, leaves = step["shape"].tolist(), len(proof.frames), list[Frame]()
    require(
        kinds.count(1) == len(step["relu"]),
        f"shape has {kinds.count(1)} splits, and relu and neuron {len(step['relu'])}",
    )
    rows = iter(proof.rows(step["relu"], step["neuron"]).tolist())
    multipliers = proof.multipliers(step["multipliers"], kinds.count(0))
    batch = batches(proof.model, kinds.count(0))[::-1]
    for number, kind in enumerate(kinds):
        require(len(proof.frames) >= depth, f"entry {number} of shape follows a tree that is complete")
        if kind == 1:
            proof.split(next(rows))
        elif kind == 2:
            require(proof.frame.crossed[0], f"entry {number} of shape: no interval is crossed")
            proof.close()
        else:
            leaves.append(proof.close())
        if batch and len(leaves) == len(batch[-1]):
            ends = (np.concatenate([getattr(leaf, end) for leaf in leaves], axis=1) for end in ("lower", "upper"))
            found = refutations(proof, Frame(leaves[0].clause, *ends), multipliers.taken(batch[-1]))
            require_refuted("leaf", batch.pop(), *found[:2])
            leaves = []
    require(len(proof.frames) == depth - 1, "shape ends before its tree is complete")


_MULTIPLIERS, _RELU = {"multipliers": dict}, {"relu": Whole(0, "relus")}
_BOUNDS = {**_RELU, "neurons": Numbers("I32", "s", 0), "sides": Numbers("I8", "s", -1, 1), **_MULTIPLIERS}
_TREE = {"shape": Numbers("I8", "t", 0, 2), "relu": Numbers("I16", "i", 0, "relus"), "neuron": Numbers("I32", "i", 0)}
# op: the frame that it belongs in, its keys, what it does
STEPS: dict[str, tuple[str, dict[str, Any], Callable[[Proof, dict[str, Any]], None]]] = {
    "region": ("root", {"number": Whole(0, "regions")}, lambda proof, step: proof.enter(step["number"])),
    "interval": ("any", _RELU, _interval),
    "bounds": ("any", _BOUNDS, _bounds),
    "margins": ("root", {"clauses": Numbers("I32", "s", 0, "clauses"), **_MULTIPLIERS}, _margins),
    "assume": ("root", {"clause": Whole(0, "clauses")}, _assume),
    "split": ("assuming", {**_RELU, "neuron": Whole(0, 2**31)}, _split),
    "refute": ("assuming", _MULTIPLIERS, _refute),
    "empty": ("assuming", {}, _empty),
    "tree": ("assuming", {**_TREE, **_MULTIPLIERS}, _tree),
    "boxes": ("assuming", {"cut": Numbers("I16", "n", -1, "inputs"), **_MULTIPLIERS}, check_boxes),
}
