"""Accepted certificates, one thing changed and the hash made anew: rejected with the reason that belongs to the change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from support.certificates import File
from support.networks import query
from support.proofs import ARITHMETICS, opened
from support.questions import exact_clause

import verify
from verify.branch import cascade, turns
from verify.check import check
from verify.network import Network
from verify.proof.canonical import canonical, identity
from verify.property import Property


@cache
def written(name: str) -> tuple[bytes, Network]:
    """A certificate of this kind, and its network: all of them need what they hold."""
    if name == "margins":
        q = query("mlp", 4, "0.4")
        result = verify.certify(
            q.network,
            q.region.centre[0],
            int(q.network(q.region.centre).argmax()),
            epsilon="0.4",
            clip=(0, 1),
            method="alpha",
            certificates=True,
        )
        return result.certificate.data, q.network
    q = query("mlp", 2, "0.8")
    with pytest.MonkeyPatch.context() as patch:
        if name != "boxes":
            patch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: False)
        if name == "splits":
            patch.setattr(cascade, "QUICK", 0.0)
            patch.setattr(cascade, "ROUNDS", 0)
            patch.setattr(turns, "TURN", 1.0)
        decision = verify.decide(q.network, Property((exact_clause(q, 1e-4),)), certificate=True)
    return decision.certificate.data, q.network


def step(file: File, op: str) -> dict[str, Any]:
    """The last step with this op; ``margins``: the last of all."""
    return [step for step in file.document["steps"][0] if op in (step["op"], "margins")][-1]


def dropped(op: str, last: bool = False) -> Callable[[File], None]:
    def change(file: File) -> None:
        (steps,) = file.document["steps"]
        kept = steps[:-1] if last else [step for step in steps if step["op"] != op]
        assert len(kept) < len(steps)
        file.document["steps"] = [kept]

    return change


def inverted(op: str) -> Callable[[File], None]:
    """Every lower slope s of the step is 1 - s."""

    def change(file: File) -> None:
        given = step(file, op)["multipliers"]["lower"]
        value = file.arrays[given["value"]]
        given["value"] = file.named(np.iinfo(value.dtype).max - value)

    return change


def betas_changed(op: str, by: Callable[[np.ndarray], np.ndarray]) -> Callable[[File], None]:
    """All multipliers of ends, those of the rows of the clause among them, are others."""

    def change(file: File) -> None:
        given = step(file, op)["multipliers"]["beta"]
        given["value"] = file.named(by(file.arrays[given["value"]].copy()))

    return change


def leaves_reversed(op: str) -> Callable[[File], None]:
    """The multipliers of the last leaf are the first's, and so on: what belongs to one child stands at the other."""

    def change(file: File) -> None:
        for given in step(file, op)["multipliers"].values():
            given["value"] = file.named(file.arrays[given["value"]][::-1].copy())

    return change


def block_end(steps: list[dict[str, Any]], begin: int) -> int:
    """Where the steps end that close the frame that is current at ``begin``."""
    if steps[begin]["op"] == "bounds":
        return block_end(steps, begin + 1)
    if steps[begin]["op"] == "split":
        return block_end(steps, block_end(steps, begin + 1))
    return begin + 1


def halves_swapped(file: File) -> None:
    (steps,) = file.document["steps"]
    at = next(k for k, step in enumerate(steps) if step["op"] == "split")
    middle = block_end(steps, at + 1)
    end = block_end(steps, middle)
    file.document["steps"] = [[*steps[: at + 1], *steps[middle:end], *steps[at + 1 : middle], *steps[end:]]]


def half_dropped(file: File) -> None:
    (steps,) = file.document["steps"]
    at = next(k for k, step in enumerate(steps) if step["op"] == "split")
    middle = block_end(steps, at + 1)
    file.document["steps"] = [[*steps[:middle], *steps[block_end(steps, middle) :]]]


def cut_elsewhere(file: File) -> None:
    boxes = step(file, "tree")
    cut = file.arrays[boxes["cut"]]
    boxes["cut"] = file.named(np.where(cut >= 0, (cut + 1) % 4, cut).astype(np.int32))


def other_label(file: File) -> None:
    """The whole claim is about another label, and consistent."""
    claim, (part,) = file.document["claim"], file.document["claim"]["parts"]
    label, outputs = (claim["label"] + 1) % 3, 3
    C = np.zeros((2, outputs))
    C[:, label] = 1
    C[[0, 1], [t for t in range(outputs) if t != label]] = -1
    claim["label"] = label
    part["C"] = file.named(C)


def margin_up(file: File) -> None:
    (claim,) = file.document["claim"]["parts"]
    margins = file.arrays[claim["margins"]].copy()
    margins[1] = np.nextafter(margins[1], np.float32(np.inf))
    claim["margins"] = file.named(margins)


def larger_region(file: File) -> None:
    region = file.document["claim"]["parts"][0]["region"]
    region["epsilon"] = "1.5"
    del region["at_least"], region["at_most"]


def row_lowered(file: File) -> None:
    """The clause asks for less, so some point satisfies it."""
    (claim,) = file.document["claim"]["parts"]
    claim["d"] = file.named(file.arrays[claim["d"]] - 2e-4)


LEAF = r"\(tree\): part \d+: the derived bound is -"
SHORT = r"clause \d \(target \d\)(: derived margin .*, claimed| is not refuted by any step)"
CASES: list[tuple[str, str, Callable[[File], None], str]] = [
    ("margins", "another label", other_label, r"clause \d \(target \d\) is not refuted by any step"),
    ("margins", "a larger region", larger_region, SHORT),
    ("margins", "a margin an ulp higher", margin_up, r"clause 1 \(target \d\): derived margin .*, claimed"),
    ("margins", "inverted slopes", inverted("margins"), SHORT),
    ("margins", "no margins", dropped("bounds", last=True), SHORT),
    ("margins", "no steps", dropped("bounds"), SHORT),
    ("tree", "a larger region", larger_region, LEAF),
    ("tree", "a lower row", row_lowered, LEAF),
    ("tree", "inverted slopes", inverted("tree"), LEAF),
    ("tree", "swapped children", leaves_reversed("tree"), LEAF),
    ("tree", "betas of the other phase, and negative weights", betas_changed("tree", np.negative), LEAF),
    ("tree", "no betas and weights", betas_changed("tree", np.zeros_like), r"the derived bound is \S+, not above 0"),
    ("tree", "no tree", dropped("tree"), r"1 frames are still open after the last step"),
    ("tree", "no assumption", dropped("assume"), r"\(tree\): it belongs in the assuming frame"),
    ("splits", "a larger region", larger_region, LEAF),
    ("splits", "swapped children", halves_swapped, LEAF),
    ("splits", "one half", half_dropped, r"\d frames are still open after the last step"),
    ("splits", "a lower row", row_lowered, LEAF),
    ("boxes", "a larger region", larger_region, LEAF),
    ("boxes", "a lower row", row_lowered, LEAF),
    ("boxes", "swapped children", leaves_reversed("tree"), LEAF),
    ("boxes", "other cuts", cut_elsewhere, LEAF),
    ("boxes", "negative weights", betas_changed("tree", np.negative), LEAF),
]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(("name", "what", "change", "reason"), CASES, ids=[f"{n}: {w}" for n, w, _, _ in CASES])
def test_a_change_is_rejected_with_its_own_reason(
    name: str, what: str, change: Callable[[File], None], reason: str, arithmetic: str
) -> None:
    data, network = written(name)
    file = opened(data)
    same = check(file.data(), canonical(network), arithmetic=arithmetic)
    assert same.accepted, same.reason
    change(file)
    report = check(file.data(), canonical(network), arithmetic=arithmetic)
    assert not report.accepted and report.readable
    assert re.search(reason, report.reason), report.reason


def moved(network: Network, by: torch.Tensor) -> Network:
    """The network with something added to its outputs."""
    last = network.nodes[-1]
    bias = last.operator.bias + by.reshape(last.operator.bias.shape)
    return replace(network, nodes=(*network.nodes[:-1], replace(last, operator=replace(last.operator, bias=bias))))


@pytest.mark.parametrize("name", ["margins", "tree", "splits", "boxes"])
def test_another_network_is_rejected_even_when_the_claim_names_it(name: str) -> None:
    data, network = written(name)
    file = opened(data)
    C = file.arrays[file.document["claim"]["parts"][0]["C"]]
    # all rows become this much smaller
    down = {"margins": 2.0}.get(name, 2e-4)
    other = moved(network, torch.from_numpy(-np.linalg.pinv(C) @ np.full(len(C), down)))
    assert check(data, canonical(other)).reason.startswith("the claim is about the network")
    file.document["claim"]["network"]["identity"] = identity(other)
    for arithmetic in ARITHMETICS:
        report = check(file.data(), canonical(other), arithmetic=arithmetic)
        assert not report.accepted and re.search("the derived bound is -|is not refuted", report.reason), report.reason
    nearly = moved(network, torch.tensor([2.0**-40, 0, 0]).double())
    assert check(data, canonical(nearly)).reason.startswith("the claim is about the network")


def test_bytes_that_are_damaged_are_not_readable() -> None:
    data, network = written("tree")
    file = canonical(network)
    for cut in (0, 1, 10, len(data) // 2, len(data) - 1):
        assert not check(data[:cut], file).readable
    generator = torch.Generator().manual_seed(0)
    for at in torch.randint(2, len(data), (40,), generator=generator).tolist():
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        assert not check(bytes(flipped), file).accepted
