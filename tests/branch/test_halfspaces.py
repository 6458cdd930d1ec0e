"""Half-spaces that neurons imply: none cuts off a point that satisfies the clause, and formulas are decided by them."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact import exact_values
from support.formulas import formula_network, random_formula, satisfiable
from support.networks import query, samples

from verify.bounds.backward import LinearForm, Rows, backward_form
from verify.bounds.compute import node_bounds
from verify.bounds.forward import Forward, forward_bounds
from verify.bounds.nouns import Bounds, Interval
from verify.bounds.relaxation import Lines
from verify.branch.clip import clip_chain
from verify.branch.halfspaces import halfspaces, implied_by_rows
from verify.branch.inputs import by_input_splits, halfspaces_of, worth_splitting_inputs
from verify.branch.outcome import Limits
from verify.load.builder import Builder
from verify.network import Network
from verify.property import Clause
from verify.region import Box, box
from verify.selftest.networks import weights
from verify.verdict import Verdict


def rows_at(network: Network, question: Clause, x: torch.Tensor) -> list[Fraction]:
    """The clause's rows at a point, in rational arithmetic."""
    scores = exact_values(network, x)[-1]
    pairs = zip(question.C.tolist(), question.d.tolist(), strict=True)
    return [sum((Fraction(c) * y for c, y in zip(row, scores, strict=True)), Fraction(d)) for row, d in pairs]


def clause(region: Box, C: torch.Tensor, d: torch.Tensor) -> Clause:
    return Clause(region, C, d, d, torch.zeros(len(d), dtype=torch.bool))


def near_its_minimum(kind: str, seed: int, rows: int, gap: float) -> tuple[Network, Clause, torch.Tensor]:
    """A question whose rows reach ``-gap`` at the best of many samples, and those samples."""
    q = query(kind, seed, "0.5")
    C = weights(torch.Generator().manual_seed(seed + 2), rows, q.network.outputs)
    points = samples(q.region, 400, seed)
    values = q.network(points) @ C.T
    d = -values[values.sum(1).argmin()] - gap
    return q.network, clause(box(q.region.lower, q.region.upper), C, d), points


@pytest.mark.parametrize("kind", ["mlp", "residual", "rewritten", "branches", "dead_and_stable", "convolution"])
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 3), gap=st.sampled_from([0.0, 1e-9, 1e-3, 0.05]))
@settings(max_examples=15, deadline=None)
def test_no_halfspace_removes_a_point_that_satisfies_the_clause(kind, seed, rows, gap):
    network, question, points = near_its_minimum(kind, seed, rows, gap)
    shared = halfspaces_of(network, question)
    lower, upper = question.region.lower.flatten(1), question.region.upper.flatten(1)
    varying = (lower < upper)[0]
    below, above, excluded = clip_chain(lower[:, varying], upper[:, varying], shared)
    for x in points[((network(points) @ question.C.T + question.d) <= 1e-9).all(1)]:
        if any(v > 0 for v in rows_at(network, question, x)):
            continue
        moving = x.flatten()[varying]
        for a, c in zip(shared.a.tolist(), shared.c.tolist(), strict=True):
            terms = (Fraction(k) * Fraction(v) for k, v in zip(a, moving.tolist(), strict=True))
            assert sum(terms, Fraction(c)) <= 0
        assert not bool(excluded)
        assert bool((below[0] <= moving).all() and (moving <= above[0]).all())


def test_such_questions_do_have_halfspaces():
    """The test above is not about nothing."""
    found = [len(halfspaces_of(*near_its_minimum("mlp", seed, 2, 0.0)[:2])) for seed in range(20)]
    assert sum(k > 0 for k in found) >= 3


@given(seed=st.integers(0, 10**6), slope=st.sampled_from([0.0, 1e-17, 0.25, 1.0 - 2**-53, 1.0]), low=st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_a_row_leaves_to_a_neuron_holds_where_the_row_does(seed, slope, low):
    """``A relu(y) + b y + c <= 0`` on a box, for any slope: the y that satisfy it keep within the implied bounds."""
    g = torch.Generator().manual_seed(seed)
    A, b, c = (float(v) for v in torch.randn(3, generator=g).double())
    A = abs(A) * (5e-324 if low else 1.0)
    builder = Builder()
    x = builder.input((1, 1))
    h = builder.relu(builder.affine(x, torch.ones(1, 1).double(), torch.zeros(1).double()))
    net = builder.finish(
        builder.affine(builder.concat([h, x], 1), torch.tensor([[A, b]]).double(), torch.tensor([c]).double())
    )
    region = box(torch.full((1, 1), -1.0).double(), torch.full((1, 1), 1.5).double())
    forward = forward_bounds(net, region, torch.tensor([0]), node_bounds(net, region).underflow)
    r = net.relus[0]
    line = forward.lines[r]
    lines = {r: Lines(torch.full_like(line.lower, slope), line.upper, line.intercept)}
    rows = Rows(len(net.nodes) - 1, torch.ones(1, 1, 1).double(), torch.zeros(1, 1).double())
    form = backward_form(net, forward.bounds, rows, lines)
    least = form.constant + region.minimise(form.coefficient.flatten(2))
    implied = implied_by_rows(forward, form, lines, least - 1e-15 * least.abs())[r]
    for y in torch.linspace(-1.0, 1.5, 201).double().tolist():
        value = Fraction(A) * max(Fraction(y), Fraction(0)) + Fraction(b) * Fraction(y) + Fraction(c)
        if value <= 0:
            assert float(implied.lower) <= y <= float(implied.upper)


def test_a_product_that_underflows_implies_nothing():
    """A coefficient of 5e-324 times the slope 0.6 rounds to a slope of 1: that y is at most 0 does not follow."""
    pre = Interval(torch.tensor([[-1.0]]).double(), torch.tensor([[1.0]]).double())
    line = Lines(*(torch.full((1, 1, 1), v).double() for v in (0.6, 0.5, 0.5)))
    bounds = Bounds((), {0: pre}, (), torch.zeros(1).double(), "test")
    tiny = torch.full((1, 1, 1), 5e-324).double()
    form = LinearForm(tiny, torch.zeros(1, 1).double(), {0: tiny})
    found = implied_by_rows(Forward(bounds, {}, {}), form, {0: line}, torch.zeros(1, 1).double())[0]
    assert torch.equal(found.lower, pre.lower) and torch.equal(found.upper, pre.upper)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 4), count=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_a_chain_of_halfspaces_removes_no_point_of_all_of_them(seed, n, count):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(count, n, generator=g).double() * (torch.rand(count, n, generator=g) > 0.4)
    c = torch.randn(count, generator=g).double() / 2
    lower, upper = -torch.rand(2, n, generator=g).double(), torch.rand(2, n, generator=g).double()
    below, above, excluded = clip_chain(lower, upper, halfspaces(a, c))
    for i in range(2):
        assert bool((lower[i] <= below[i]).all() and (below[i] <= above[i]).all() and (above[i] <= upper[i]).all())
        share = torch.rand(200, n, generator=g).double()
        for x in torch.cat([lower[i] + share * (upper[i] - lower[i]), below[i : i + 1], above[i : i + 1]]).tolist():
            values = [
                sum((Fraction(k) * Fraction(v) for k, v in zip(row, x, strict=True)), Fraction(constant))
                for row, constant in zip(a.tolist(), c.tolist(), strict=True)
            ]
            if all(v <= 0 for v in values) and all(s <= v <= t for s, v, t in zip(lower[i], x, upper[i], strict=True)):
                assert not bool(excluded[i])
                assert all(s <= v <= t for s, v, t in zip(below[i], x, above[i], strict=True))


def test_one_halfspace_opens_the_next():
    """``x_0 >= 1`` and ``x_i <= x_{i+1}`` force every coordinate; with ``x_9 <= 0.5`` nothing is left."""
    a, c = torch.zeros(10, 10).double(), torch.zeros(10).double()
    a[0, 0], c[0] = -1.0, 1.0
    for i in range(9):
        a[i + 1, i], a[i + 1, i + 1] = 1.0, -1.0
    lower, upper = torch.zeros(1, 10).double(), torch.ones(1, 10).double()
    below, _, excluded = clip_chain(lower, upper, halfspaces(a, c))
    assert torch.allclose(below, upper, atol=1e-12) and not bool(excluded)
    last = torch.zeros(1, 10).double()
    last[0, 9] = 1.0
    more = halfspaces(torch.cat([a, last]), torch.cat([c, torch.tensor([-0.5]).double()]))
    assert bool(clip_chain(lower, upper, more)[2])


def test_pressure_prefers_what_many_nearly_tight_halfspaces_share():
    a = torch.tensor([[1.0, 1.0, 0.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, -1.0]]).double()
    shared = halfspaces(a, torch.tensor([-0.2, -0.2, 0.8]).double())
    score = shared.pressure(torch.zeros(1, 3).double(), torch.ones(1, 3).double())
    assert int(score.argmax()) == 0 and bool((score >= 0).all())


@pytest.mark.parametrize("seed", range(6))
def test_formulas_are_decided(seed):
    """Small random formulas near the threshold, of both kinds, against every assignment."""
    formula = random_formula(12, 52, seed)
    net, question = formula_network(formula, 12)
    outcome = by_input_splits(net, question, Limits(deadline=time.perf_counter() + 60))
    assert outcome.verdict is (Verdict.FALSIFIED if satisfiable(formula, 12) else Verdict.VERIFIED)
    if outcome.counterexample is not None:
        x = outcome.counterexample.x
        assert bool(((x == 0) | (x == 1)).all())
        assert all(any((x[abs(v) - 1] == 1) == (v > 0) for v in clause) for clause in formula)


def test_both_kinds_of_formulas_are_tried():
    assert len({satisfiable(random_formula(12, 52, seed), 12) for seed in range(6)}) == 2


def test_forty_variables_take_few_boxes():
    """Without half-spaces this is out of reach; with them it takes less than a hundred boxes, the same each time."""
    net, question = formula_network(random_formula(40, 200, 1), 40)
    assert worth_splitting_inputs(net, question)
    first, second = (by_input_splits(net, question, Limits(deadline=time.perf_counter() + 60)) for _ in range(2))
    assert first.verdict is Verdict.VERIFIED and first.domains < 200
    assert (first.verdict, first.domains) == (second.verdict, second.domains)


def test_many_inputs_without_halfspaces_are_not_worth_it():
    """The same network asked a question that leaves every neuron free."""
    net, question = formula_network(random_formula(40, 200, 1), 40)
    free = clause(question.region, question.C, question.d - 1000.0)
    assert not worth_splitting_inputs(net, free)
