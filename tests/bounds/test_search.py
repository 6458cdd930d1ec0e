"""Slope searches stop in time, and rows cut into pieces keep their own lines."""

from __future__ import annotations

import time

import pytest
import torch
from support.networks import query as question
from support.networks import samples

from verify.bounds import compute
from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, node_bounds, spec_bounds
from verify.bounds.optimise import optimised_lines, search_copy
from verify.bounds.relaxation import lines
from verify.certify.answer import rows_of
from verify.certify.options import Options
from verify.certify.pre_activation import STAGES, pre_activation_bounds
from verify.selftest.networks import KINDS


def test_a_search_stops_at_its_deadline_with_the_slopes_that_it_has():
    query = question("mlp", 3)
    bounds = node_bounds(query.network, query.region, by_slopes("crown"))
    rows, search = rows_of(query), search_copy(query.network, query.region, bounds)
    begun = time.perf_counter()
    late = Ascent(steps=10**6, deadline=begun + 0.2)
    lower = spec_bounds(query.network, query.region, bounds, rows, optimised_lines(search, bounds, rows, late))
    assert time.perf_counter() - begun < 5
    assert bool(torch.isfinite(lower).all())


@pytest.mark.parametrize("shared", [True, False])
def test_rows_bounded_in_pieces_have_the_bounds_of_rows_bounded_together(shared, monkeypatch):
    query = question("mlp", 5)
    bounds = node_bounds(query.network, query.region, by_slopes("crown"))
    rows, g = rows_of(query), torch.Generator().manual_seed(1)

    def slopes(pre):
        shape = (query.region.count, 1 if shared else rows.coefficient.shape[1], *pre.lower.shape[1:])
        return torch.rand(shape, generator=g, dtype=torch.float64)

    at = {r: lines(pre, slopes(pre), slopes(pre)) for r, pre in bounds.pre.items()}
    together = spec_bounds(query.network, query.region, bounds, rows, at)
    monkeypatch.setattr(compute, "MEMORY_BYTES", 1)
    assert torch.allclose(spec_bounds(query.network, query.region, bounds, rows, at), together, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_raw_bounds_are_the_methods_own(kind, name):
    """Without the intersection no other method's bounds go in, and every bound holds at sampled points all the same."""
    query, options = question(kind, 2), Options(intersect=False)
    raw = pre_activation_bounds(query, options, name)
    alone = node_bounds(query.network, query.region, STAGES[name](options), intersect=False)
    values = list(query.network.values(samples(query.region, 200)))
    for r, pre in raw.pre.items():
        assert torch.equal(pre.lower, alone.pre[r].lower)
        at = values[query.network.nodes[r].inputs[0]]
        assert bool((pre.lower <= at).all() and (at <= pre.upper).all())
