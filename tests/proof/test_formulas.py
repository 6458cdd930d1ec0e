"""Certificates that a formula cannot be satisfied: halved inputs, whose parts linear programs refute."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from support.certificates import File
from support.formulas import Formula, formula_network, random_formula, satisfiable
from support.proofs import ARITHMETICS, accepted, opened, ops, steps

import verify
from verify.bounds.backward import Rows, backward
from verify.bounds.compute import node_bounds
from verify.bounds.optimise import rigorous_lines
from verify.branch import program
from verify.branch.program import refuting
from verify.check import check
from verify.network import Network
from verify.proof.canonical import canonical
from verify.property import Property
from verify.region import box
from verify.verdict import Verdict

VARIABLES = 10
NOT_SATISFIABLE = random_formula(VARIABLES, 60, 0)


def beside(formula: Formula, copies: int) -> Formula:
    """So many copies of the formula, each about variables of its own."""
    return [[(abs(v) + VARIABLES * k) * (1 if v > 0 else -1) for v in c] for k in range(copies) for c in formula]


def decided(formula: Formula, variables: int) -> tuple[verify.Decision, Network]:
    network, clause = formula_network(formula, variables)
    return verify.decide(network, Property((clause,)), timeout=60, certificate=True), network


@cache
def written() -> tuple[bytes, Network]:
    decision, network = decided(NOT_SATISFIABLE, VARIABLES)
    assert isinstance(decision.certificate, verify.Certificate)
    return decision.certificate.data, network


@pytest.mark.parametrize("seed", range(4))
def test_that_a_formula_cannot_be_satisfied_is_accepted_and_that_it_can_has_a_witness(seed: int) -> None:
    formula = random_formula(8, 44, seed)
    possible = satisfiable(formula, 8)
    while possible:  # one clause after another, until there is no assignment left
        formula += random_formula(8, 4, len(formula))
        possible = satisfiable(formula, 8)
    decision, network = decided(formula, 8)
    assert decision.verdict is Verdict.VERIFIED
    accepted(decision.certificate, network)
    fewer = formula
    while not satisfiable(fewer, 8):
        fewer = fewer[:-1]
    decision, _ = decided(fewer, 8)
    assert (decision.verdict, decision.certificate) == (Verdict.FALSIFIED, None)
    x = decision.counterexample.x.flatten().round().tolist()
    assert all(any((x[abs(v) - 1] == 1) == (v > 0) for v in clause) for clause in fewer)


def test_more_inputs_than_are_few_are_no_obstacle() -> None:
    """Ten variables that cannot be satisfied beside twenty that can be."""
    free = [c for c in beside(random_formula(VARIABLES, 12, 1), 3) if min(map(abs, c)) > VARIABLES]
    decision, network = decided(NOT_SATISFIABLE + free, 3 * VARIABLES)
    assert decision.verdict is Verdict.VERIFIED
    report = accepted(decision.certificate, network)
    assert report.leaves > 1 and "in boxes" in ops(decision.certificate.data)


def test_one_row_alone_refutes_no_part_with_a_free_variable() -> None:
    """So what is stored are weights of both rows, and slopes that are not whole."""
    (step,) = steps(written()[0], "boxes")
    file = opened(written()[0])
    cut, weights = (file.arrays[name] for name in (step["cut"], step["multipliers"]["beta"]["value"]))
    assert bool(((weights < 0).all(1) & (cut == -1)).any())
    assert file.arrays[step["multipliers"]["lower"]["value"]].dtype == np.uint16


def test_no_bounds_are_derived_where_intervals_say_all() -> None:
    (step,) = steps(written()[0], "boxes")
    assert step["derive"] == []


def zero(kind: str) -> Callable[[File], None]:
    def change(file: File) -> None:
        held = boxes(file)["multipliers"][kind]
        held["value"] = file.named(np.zeros_like(file.arrays[held["value"]]))

    return change


def boxes(file: File) -> dict[str, Any]:
    return next(step for step in file.document["steps"][0] if "derive" in step)


def cut_elsewhere(file: File) -> None:
    cut = file.arrays[boxes(file)["cut"]].copy()
    cut[0] = (cut[0] + 1) % VARIABLES
    boxes(file)["cut"] = file.named(cut)


@pytest.mark.parametrize("change", [zero("beta"), zero("lower"), cut_elsewhere])
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_other_multipliers_are_rejected(change: Callable[[File], None], arithmetic: str) -> None:
    data, network = written()
    file = opened(data)
    change(file)
    report = check(file.data(), canonical(network), arithmetic=arithmetic)
    assert not report.accepted and re.search(r"part \d+: the derived bound is .*, not above 0", report.reason)


def test_a_certificate_for_one_formula_is_none_for_another() -> None:
    other, _ = formula_network([*NOT_SATISFIABLE[:-1], [-v for v in NOT_SATISFIABLE[-1]]], VARIABLES)
    report = check(written()[0], canonical(other))
    assert not report.accepted and "the claim is about the network" in report.reason


def test_parts_that_nothing_refutes_leave_no_certificate_but_a_reason(monkeypatch) -> None:
    monkeypatch.setattr(program, "refuting", lambda *_: None)
    network, clause = formula_network(random_formula(24, 200, 3), 24)
    decision = verify.decide(network, Property((clause,)), timeout=3, certificate=True)
    assert decision.verdict is Verdict.VERIFIED
    assert isinstance(decision.certificate, verify.Refused)
    assert "ended without an answer: timeout" in decision.certificate.reason


def test_the_program_refutes_a_box_that_no_row_refutes_alone() -> None:
    """Of two variables every clause; ``x_0 >= 1/2``. (1/2, 1/2) satisfies the first row and (1, 0) the second."""
    network, clause = formula_network([[1, 2], [-1, 2], [1, -2], [-1, -2]], 2)
    region = box(torch.tensor([[0.5, 0.0]]).double(), torch.ones(1, 2).double())
    rows = network(torch.tensor([[0.5, 0.5], [1.0, 0.0]]).double()) @ clause.C.T + clause.d
    assert rows[0, 0] <= 0 and rows[1, 1] <= 0
    bounds = node_bounds(network, region)
    found = refuting(network, region, bounds, clause, 10.0)
    assert found is not None
    mix, slopes = found
    last = len(network.nodes) - 1
    weighed = Rows(last, (mix @ clause.C)[None, None], (mix @ clause.d)[None, None])
    at = rigorous_lines(bounds, {r: slope[None, None] for r, slope in slopes.items()}, last)
    assert float(backward(network, region, bounds, weighed, at)) > 0.01
