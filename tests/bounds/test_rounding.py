"""Bounds are theorems: below the exact rational margin on networks made to break floating point."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact import exact_value
from support.nasty import nasty_queries
from support.networks import query, samples

from verify.bounds.backward import Rows
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds, spec_bounds
from verify.errors import SoundnessError
from verify.floating import gamma, require_gradual_underflow
from verify.load.builder import Builder
from verify.network import Network
from verify.region import box
from verify.selftest.networks import KINDS
from verify.specification import Query, Specification
from verify.witness import margins_at


def exact_margins(q: Query, x: torch.Tensor) -> list[Fraction]:
    scores = exact_value(q.network, x)
    spec = q.specification
    return [
        Fraction(d) + sum((Fraction(c) * v for c, v in zip(row, scores, strict=True)), Fraction(0))
        for row, d in zip(spec.C[0].tolist(), spec.d[0].tolist(), strict=True)
    ]


def bounds_by_all(q: Query) -> dict[str, torch.Tensor]:
    rows = Rows(len(q.network.nodes) - 1, q.specification.C, q.specification.d)
    found = {"interval": spec_bounds(q.network, q.region, node_bounds(q.network, q.region), rows, None)}
    for name in ("dual", "crown"):
        for intersect in (True, False):
            bounds = node_bounds(q.network, q.region, by_slopes(name), source=name, intersect=intersect)
            found[f"{name}, intersect={intersect}"] = spec_bounds(
                q.network, q.region, bounds, rows, fixed_lines(bounds, name)
            )
    return found


def check(q: Query, points: torch.Tensor) -> None:
    found = bounds_by_all(q)
    for x in points:
        truth = exact_margins(q, x)
        for name, lower in found.items():
            for s, exact in enumerate(truth):
                assert Fraction(float(lower[0, s])) <= exact, name


@settings(max_examples=300, deadline=None)
@given(q=nasty_queries())
def test_no_point_is_below_a_bound_in_exact_arithmetic_whatever_the_weights(q):
    corners = [q.region.lower[0], q.region.upper[0], *samples(q.region, 6)]
    check(q, torch.stack([c.reshape(q.region.lower[0].shape) for c in corners]))


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10_000))
def test_no_point_is_below_a_bound_in_exact_arithmetic_on_ordinary_networks(kind, seed):
    q = query(kind, seed, "0.2")
    check(q, samples(q.region, 4))


@settings(max_examples=200, deadline=None)
@given(q=nasty_queries())
def test_every_node_of_every_point_is_inside_its_interval(q):
    for tighten in (None, by_slopes("dual"), by_slopes("crown")):
        bounds = node_bounds(q.network, q.region, tighten)
        for x in samples(q.region, 4):
            for i in range(1, len(q.network.nodes) + 1):
                part = Network(q.network.nodes[:i]) if len(q.network.nodes[i - 1].shape) == 1 else None
                if part is None:
                    continue
                at = bounds.values[i - 1]
                ends = zip(at.lower[0].tolist(), exact_value(part, x), at.upper[0].tolist(), strict=True)
                assert all(Fraction(lo) <= v <= Fraction(hi) for lo, v, hi in ends)


@settings(max_examples=200, deadline=None)
@given(q=nasty_queries())
def test_the_margin_at_a_point_is_enclosed_exactly(q):
    x = samples(q.region, 1)
    below, above = margins_at(q, x)
    for s, exact in enumerate(exact_margins(q, x[0])):
        assert Fraction(float(below[0, s])) <= exact <= Fraction(float(above[0, s]))


def test_a_margin_that_only_exists_in_floating_point_does_not_verify():
    """(1e17 + 1) - 1e17 - 0.5 is 0.5 in real arithmetic and -0.5 or 0 in floats; its mirror image must not be proved."""
    b = Builder()
    x = b.input((1, 1))
    big = b.affine(x, torch.tensor([[1e17], [1.0]], dtype=torch.float64))
    net = b.finish(
        b.affine(big, torch.tensor([[1.0, -1.0]], dtype=torch.float64), torch.tensor([-1e17], dtype=torch.float64))
    )
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    spec = Specification(one, torch.tensor([[0.5]], dtype=torch.float64), torch.zeros(1, 1).long())
    q = Query(net, box(torch.tensor([[1.0]]), torch.tensor([[1.0]])), spec)
    assert exact_margins(q, torch.ones(1))[0] == Fraction(-1, 2)
    assert all(float(lower) <= -0.5 for lower in bounds_by_all(q).values())


def test_bounds_cost_almost_nothing_on_ordinary_networks():
    q = query("linear", 1, "0.1")
    lower = bounds_by_all(q)["crown, intersect=True"][0]
    points = samples(q.region, 4000)
    corner = torch.stack([q.region.minimiser(_gradient(q, s))[0] for s in range(lower.shape[0])])
    truth = [min(exact_margins(q, x)[s] for x in [*points[:1], corner[s]]) for s in range(lower.shape[0])]
    assert all(0 <= exact - Fraction(float(lo)) < 1e-13 for lo, exact in zip(lower, truth, strict=True))


def _gradient(q: Query, s: int) -> torch.Tensor:
    x = q.region.lower.clone().requires_grad_()
    return torch.autograd.grad(q.margins(x)[:, s].sum(), x)[0]


@given(n=st.integers(1, 10**6))
def test_gamma_is_rounded_up(n):
    u = Fraction(1, 2**53)
    assert Fraction(gamma(n)) >= (n + 1) * u / (1 - (n + 1) * u)


def test_flushed_subnormals_are_refused():
    if not torch.set_flush_denormal(True):
        pytest.fail("this processor cannot flush subnormals: the refusal could not be tested")
    try:
        with pytest.raises(SoundnessError, match="set_flush_denormal"):
            require_gradual_underflow()
    finally:
        torch.set_flush_denormal(False)
    require_gradual_underflow()
