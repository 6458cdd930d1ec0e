"""The triangle's optimum is a backward pass with its duals' slopes; big-M is exact; stable units leave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.networks import query

from solvers.base import SolveOptions
from solvers.registry import get_solver
from verify.bounds.backward import backward
from verify.bounds.compute import by_slopes, node_bounds
from verify.bounds.nouns import unstable
from verify.bounds.tighten import dual_lines
from verify.certify.answer import rows_of
from verify.encode.lp import encode, slopes, with_binaries
from verify.selftest.networks import KINDS
from verify.selftest.oracle import exact_margins

kinds, seeds = st.sampled_from(sorted(KINDS)), st.integers(0, 10_000)


def encoded(q, tighten=None):
    bounds = node_bounds(q.network, q.region, tighten)
    return bounds, encode(q.network, q.region, bounds)


@pytest.mark.parametrize("solver", ["highs", "scipy", "pulp"])
@settings(max_examples=25, deadline=None)
@example(
    kind="residual", seed=305, epsilon="0.3", norm="l1"
)  # a degenerate vertex: an upper line flatter than the chord
@given(kind=kinds, seed=seeds, epsilon=st.sampled_from(["0.1", "0.3"]), norm=st.sampled_from(["linf", "l1"]))
def test_the_lps_optimum_is_the_backward_pass_with_its_duals_slopes(solver, kind, seed, epsilon, norm):
    q = query(kind, seed, epsilon, norm)
    bounds, encoding = encoded(q)
    rows = rows_of(q)
    for k in range(rows.coefficient.shape[1]):
        objective, offset = encoding.objective(rows.coefficient[0, k].numpy(), float(rows.constant[0, k]))
        result = get_solver(solver).solve(encoding.problem.with_objective(objective, offset), SolveOptions())
        found = slopes(encoding, objective, result.row_dual)
        at = dual_lines(bounds, [found] * rows.coefficient.shape[1], rows.start)
        bound = float(backward(q.network, q.region, bounds, rows, at)[0, k])
        tolerance = 1e-6 if solver != "pulp" else 1e-4  # CBC prints eight digits
        assert bound <= result.primal_value + tolerance
        assert bound >= result.primal_value - tolerance


@settings(max_examples=25, deadline=None)
@given(kind=kinds, seed=seeds)
def test_big_m_is_exact_whatever_valid_bounds_it_has(kind, seed):
    q = query(kind, seed, "0.3")
    truth = exact_margins(q)
    for tighten in (None, by_slopes("crown")):
        _, encoding = encoded(q, tighten)
        program = with_binaries(encoding)
        for k in range(len(truth)):
            objective, offset = program.objective(q.specification.C[0, k].numpy(), 0.0)
            result = get_solver("highs").solve(program.problem.with_objective(objective, offset), SolveOptions())
            assert result.primal_value == pytest.approx(truth[k], abs=1e-5)
            point = torch.from_numpy(program.point(result.x)).reshape(1, *q.network.input_shape)
            assert float(q.margins(point)[0, k]) == pytest.approx(truth[k], abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(kind=kinds, seed=seeds)
def test_only_unstable_units_have_triangles_and_binaries(kind, seed):
    q = query(kind, seed, "0.1")
    bounds, encoding = encoded(q)
    free = sum(int(unstable(pre).sum()) for pre in bounds.pre.values())
    assert sum(len(layer.neurons) for layer in encoding.layers.values()) == free
    assert int(with_binaries(encoding).problem.integer.sum()) == free
    inputs = int(np.prod(q.network.input_shape))
    active = sum(int((pre.lower >= 0).sum()) for pre in bounds.pre.values())
    assert len(encoding.problem.objective) <= inputs + 2 * free + active


@settings(max_examples=25, deadline=None)
@given(kind=kinds, seed=seeds)
def test_every_point_of_the_region_satisfies_the_program(kind, seed):
    """Columns are set by evaluating the network; the rows must then hold up to rounding."""
    q = query(kind, seed, "0.3")
    _, encoding = encoded(q)
    p = encoding.problem
    g = torch.Generator().manual_seed(seed)
    for _ in range(5):
        x = q.region.sample(g)
        values = [v.reshape(-1).numpy() for v in q.network.values(x)]
        columns = np.full(len(p.objective), np.nan)
        columns[: x.numel()] = x.reshape(-1)
        for r, layer in encoding.layers.items():
            y = values[q.network.nodes[r].inputs[0]][layer.neurons]
            columns[layer.z], columns[layer.p] = np.maximum(y, 0), np.maximum(-y, 0)
        kept = np.isnan(columns)
        if kept.any():  # active units that stayed a column: solve their equalities
            A, b = p.matrix.toarray(), p.row_lower
            equal = p.row_lower == p.row_upper
            columns[kept] = np.linalg.lstsq(
                A[equal][:, kept], b[equal] - A[equal][:, ~kept] @ columns[~kept], rcond=None
            )[0]
        rows = p.matrix @ columns
        assert (rows >= p.row_lower - 1e-7).all() and (rows <= p.row_upper + 1e-7).all()
        assert np.allclose(encoding.expression.matrix @ columns + encoding.expression.constant, values[-1], atol=1e-7)
