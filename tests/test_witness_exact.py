"""Ties are counterexamples, and exact arithmetic is what says so: no rounding, no tolerance, no guess."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import query

from verify import exact_evaluation
from verify.exact_evaluation import exact_rows, exact_scores, is_exact, products
from verify.load.builder import Builder
from verify.operators import Add, Affine, Concat, Input, Linear, ReLU
from verify.property import Clause
from verify.region import box
from verify.selftest.networks import KINDS, network
from verify.specification import Query, classification
from verify.witness import confirm, confirm_clause, margins_at, upper_margins


def _fractions(net, x):
    """The scores in plain fractions, one product at a time."""
    done = []
    for node in net.nodes:
        args, op = [done[i] for i in node.inputs], node.operator
        if isinstance(op, Input):
            done.append([Fraction(v) for v in x.reshape(-1).tolist()])
        elif isinstance(op, Linear):
            bias = [0.0] * len(op.matrix().toarray()) if op.bias is None else op.full_bias().reshape(-1).tolist()
            rows = zip(op.matrix().toarray().tolist(), bias, strict=True)
            done.append([sum((Fraction(w) * v for w, v in zip(r, args[0], strict=True)), Fraction(b)) for r, b in rows])
        elif isinstance(op, ReLU):
            done.append([max(v, Fraction(0)) for v in args[0]])
        elif isinstance(op, Add):
            done.append([a + b for a, b in zip(*args, strict=True)])
        elif isinstance(op, Concat):
            done.append([v for part in args for v in part])
    return done[-1]


def _exact(net):
    """The same network, taken as if nothing had been rounded while it was read."""
    nodes = [
        replace(node, operator=replace(node.operator, weight_ulps=0, bias_error=None))
        if isinstance(node.operator, Linear)
        else node
        for node in net.nodes
    ]
    return replace(net, nodes=tuple(nodes))


def _third():
    """Scores 0.1 x + 0.2 x and 0.3 x, whose stored weights do not add up, and a tie of x and x."""
    b = Builder()
    x = b.input((1, 1))
    w = torch.tensor([[1.0], [1.0], [3.0]], dtype=torch.float64) / 3
    h = b.relu(b.affine(x, w, torch.zeros(3, dtype=torch.float64)))
    last = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    return b.finish(b.affine(h, last, torch.zeros(2, dtype=torch.float64)))


def _clause(d, inner_d=None, strict=False):
    region = box(torch.zeros(1, 1), torch.ones(1, 1))
    C = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    d = torch.tensor([d], dtype=torch.float64)
    return Clause(
        region, C, d, d if inner_d is None else torch.tensor([inner_d], dtype=torch.float64), torch.tensor([strict])
    )


POINT = torch.tensor([[0.7]], dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 10_000))
def test_the_exact_margin_lies_between_the_rigorous_bounds(kind, seed):
    q = query(kind, seed)
    q = replace(q, network=_exact(q.network))
    x = q.region.sample(torch.Generator().manual_seed(seed))
    below, above = margins_at(q, x)
    exact = exact_rows(q.specification.C[0], q.specification.d[0], exact_scores(q.network, x[0]))
    for low, value, high in zip(below[0].tolist(), exact, above[0].tolist(), strict=True):
        assert Fraction(low) <= value <= Fraction(high)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("scale", [1.0, 2.0**-1050, 2.0**300])
def test_integers_and_fractions_agree_on_every_operator_and_scale(kind, scale):
    net = _exact(network(kind, 5))
    x = torch.randn(net.input_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * scale
    assert exact_scores(net, x) == _fractions(net, x)


def test_a_tie_counts_although_intervals_leave_it_in_doubt():
    net = _third()
    at = Query(net, box(POINT, POINT), classification(torch.tensor([0]), 2))
    below, above = margins_at(at, POINT)
    assert below < 0 < above
    assert confirm_clause(net, _clause(0.0), POINT) is not None
    assert upper_margins(at, POINT) == 0
    assert confirm(at, POINT)[0].margin == 0


@pytest.mark.parametrize("semantics", ["real", "float32"])
def test_a_specification_may_serve_many_candidates_each_judged_by_itself(semantics):
    net = replace(network("mlp", 5), semantics=semantics)
    x = torch.randn(20, *net.input_shape, generator=torch.Generator().manual_seed(1)).double()
    shared = Query(net, box(x, x), classification(torch.tensor([2]), net.outputs))
    found = confirm(shared, x)
    single = [confirm(shared.select(torch.tensor([i])), x[i : i + 1])[0] for i in range(len(x))]
    assert any(one is None for one in found) and any(one is not None for one in found)
    for many, alone in zip(found, single, strict=True):
        assert (many is None) == (alone is None)
        if many is not None:
            assert (many.target, many.predicted, many.margin) == (alone.target, alone.predicted, alone.margin)
            assert many.float32_margin == pytest.approx(alone.float32_margin, rel=1e-5, abs=1e-6) and many.margin <= 0


def test_a_strict_row_is_not_met_by_a_tie():
    assert confirm_clause(_third(), _clause(0.0, strict=True), POINT) is None


@pytest.mark.parametrize("excess", [5e-324, 1e-300, 2.0**-60])
def test_the_smallest_excess_over_a_tie_is_not_forgiven(excess):
    assert confirm_clause(_third(), _clause(excess), POINT) is None
    assert confirm_clause(_third(), _clause(-excess, strict=True), POINT) is not None


def test_a_bound_that_was_rounded_is_evaluated_on_its_unfavourable_side():
    assert confirm_clause(_third(), _clause(-5e-324, 5e-324), POINT) is None


def test_a_tie_outside_the_region_does_not_count():
    assert confirm_clause(_third(), _clause(0.0), POINT + 1) is None


def test_a_tie_that_another_runtime_does_not_see_does_not_count():
    def replay(x):
        return torch.tensor([[1.0, 0.0]]).expand(len(x), -1)

    assert confirm_clause(_third(), _clause(0.0), POINT, replays=[replay]) is None


@pytest.mark.parametrize("change", [{"weight_ulps": 1}, {"bias_error": torch.full((2,), 1e-30, dtype=torch.float64)}])
def test_numbers_that_were_rounded_when_read_have_no_exact_value(change):
    net = _third()
    last = net.nodes[-1]
    assert isinstance(last.operator, Affine)
    rounded = replace(net, nodes=(*net.nodes[:-1], replace(last, operator=replace(last.operator, **change))))
    assert not is_exact(rounded)
    assert exact_scores(rounded, POINT[0]) is None
    assert confirm_clause(rounded, _clause(0.0), POINT) is None


def test_beyond_the_size_limit_a_tie_does_not_count(monkeypatch):
    net = _third()
    monkeypatch.setattr(exact_evaluation, "PRODUCTS", products(net) - 1)
    assert exact_scores(net, POINT[0]) is None
    assert confirm_clause(net, _clause(0.0), POINT) is None


def test_a_point_that_is_not_a_number_has_no_exact_value():
    assert exact_scores(_third(), torch.tensor([float("nan")], dtype=torch.float64)) is None


def test_a_long_layer_is_multiplied_block_by_block(monkeypatch):
    net = _exact(network("convolution", 3))
    x = torch.rand(net.input_shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    whole = exact_scores(net, x)
    monkeypatch.setattr(exact_evaluation, "_BLOCK", 3)
    assert exact_scores(net, x) == whole == _fractions(net, x)
