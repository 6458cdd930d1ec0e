"""Facets hold at every point of the network, cut the triangle's solution off and make its minimum no lower."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import query

from solvers.base import SolveOptions
from solvers.registry import get_solver
from verify.bounds.compute import node_bounds
from verify.encode.cuts import narrowed, with_facets
from verify.encode.lp import encode
from verify.selftest.networks import KINDS


def encoded(q):
    """The narrowed triangle program of the first row, and its solution."""
    encoding = narrowed(encode(q.network, q.region, node_bounds(q.network, q.region, None)))
    objective, offset = encoding.objective(q.specification.C[0, 0].numpy(), float(q.specification.d[0, 0]))
    encoding = replace(encoding, problem=encoding.problem.with_objective(objective, offset))
    return encoding, get_solver("highs").solve(encoding.problem, SolveOptions())


def columns_at(q, encoding, x):
    """The program's columns, when the network is evaluated at ``x``: z and p from the phases, the others solved for."""
    values = [v.reshape(-1).numpy() for v in q.network.values(x)]
    columns = np.full(encoding.problem.num_columns, np.nan)
    columns[: x.numel()] = x.reshape(-1)
    for r, layer in encoding.layers.items():
        y = values[q.network.nodes[r].inputs[0]][layer.neurons]
        columns[layer.z], columns[layer.p] = np.maximum(y, 0), np.maximum(-y, 0)
    kept = np.isnan(columns)
    if kept.any():
        p = encoding.problem
        equal = p.row_lower == p.row_upper
        A, b = p.matrix.toarray()[equal], p.row_lower[equal]
        columns[kept] = np.linalg.lstsq(A[:, kept], b - A[:, ~kept] @ columns[~kept], rcond=None)[0]
    return columns


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10_000), epsilon=st.sampled_from(["0.1", "0.3", "1"]))
def test_every_point_of_the_region_satisfies_the_facets(kind, seed, epsilon):
    q = query(kind, seed, epsilon)
    encoding, solved = encoded(q)
    program = with_facets(encoding, solved.x).problem
    g = torch.Generator().manual_seed(seed)
    corners = [torch.where(torch.rand(q.region.lower.shape, generator=g) < 0.5, q.region.lower, q.region.upper)]
    for x in [q.region.lower, q.region.upper, *corners, *(q.region.sample(g) for _ in range(5))]:
        columns = columns_at(q, encoding, x)
        assert (program.matrix @ columns <= program.row_upper + 1e-7).all()
        assert (columns <= program.column_upper + 1e-7).all() and (columns >= program.column_lower - 1e-7).all()


def test_facets_cut_the_solution_off_and_lift_the_minimum():
    lifted = 0
    for seed in range(30):
        encoding, solved = encoded(query("mlp", seed, "0.3"))
        program = with_facets(encoding, solved.x).problem
        added = slice(encoding.problem.num_rows, None)
        assert (program.matrix[added] @ solved.x > program.row_upper[added]).all()
        again = get_solver("highs").solve(program, SolveOptions())
        assert again.dual_bound >= solved.dual_bound - 1e-7
        lifted += again.dual_bound > solved.dual_bound + 1e-3
    assert lifted >= 5


def test_one_relu_has_the_hull_of_its_graph_over_the_box():
    """relu(x0 + x1) over [-1, 1]^2: at (1, -1) the hull's upper end is 1/2 * 0 + 1/2 * 1, and the triangle's is 1."""
    from verify.load.builder import Builder
    from verify.region import box
    from verify.specification import Query, Specification

    b = Builder()
    h = b.relu(b.affine(b.input((1, 2)), torch.tensor([[1.0, 1.0]])))
    network = b.finish(b.affine(h, torch.tensor([[-1.0]])))
    one = torch.ones(1, 1, dtype=torch.float64)
    ends = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    q = Query(
        network,
        box(-torch.ones(1, 2).double(), torch.ones(1, 2).double()),
        Specification(one.unsqueeze(0), torch.zeros(1, 1).double(), torch.zeros(1, 1).long()),
    )
    encoding, _ = encoded(q)
    at = encoding.problem.with_column_bounds([0, 1], ends[0].numpy(), ends[0].numpy())
    loose = get_solver("highs").solve(at, SolveOptions())
    assert loose.dual_bound == pytest.approx(-1.0)
    program = with_facets(encoding, loose.x).problem.with_column_bounds([0, 1], ends[0].numpy(), ends[0].numpy())
    assert get_solver("highs").solve(program, SolveOptions()).dual_bound == pytest.approx(0.0)
