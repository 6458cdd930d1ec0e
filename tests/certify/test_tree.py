"""The tree's minimum is the network's; what stops it early leaves a lower claim, never a wrong one."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lying import LIES, LyingSolver
from support.networks import query

from solvers.base import ColdSession
from solvers.registry import get_solver
from solvers.result import Status
from verify.bounds.compute import node_bounds
from verify.bounds.tighten import Budget
from verify.certify.tree import minimum
from verify.encode.lp import encode
from verify.selftest.networks import KINDS
from verify.selftest.oracle import exact_margins


def searched(q, solver, deadline=None, bounds=None):
    """The first row's minimum, from no better a start than the centre."""
    encoding = encode(q.network, q.region, bounds or node_bounds(q.network, q.region, None))

    def value(x):
        return float(q.margins(torch.from_numpy(x).reshape(1, *q.network.input_shape))[0, 0])

    C, d = q.specification.C[0, 0].numpy(), float(q.specification.d[0, 0])
    start = value(q.region.centre.reshape(-1).numpy())
    return minimum(encoding, encoding.objective(C, d), start, value, Budget(solver=solver, deadline=deadline)), value


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10_000), epsilon=st.sampled_from(["0", "0.1", "0.3", "1"])
)
def test_the_minimum_is_the_networks(kind, seed, epsilon):
    q = query(kind, seed, epsilon)
    found, value = searched(q, get_solver("highs"))
    truth = exact_margins(q)[0]
    assert found.lower == pytest.approx(truth, abs=1e-5)
    if found.point is not None:
        assert value(found.point) == pytest.approx(truth, abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_solvers_without_warm_starts_agree(seed):
    q = query("mlp", seed, "0.3")
    assert searched(q, get_solver("scipy"))[0].lower == pytest.approx(
        searched(q, get_solver("highs"))[0].lower, abs=1e-5
    )


def test_a_spent_budget_claims_little_and_ends_at_once():
    q = query("mlp", 11, "0.3")
    begun = time.perf_counter()
    found, _ = searched(q, get_solver("highs"), deadline=time.perf_counter())
    assert found.lower <= exact_margins(q)[0] and time.perf_counter() - begun < 2.0


class Tiring(LyingSolver):
    """Honest for the first few solves; then nothing is solved any more, as at a time limit or after a failure."""

    def __init__(self, solves: int, status: Status) -> None:
        super().__init__(get_solver("highs"), self._tire)
        self.left, self.status = solves, status

    def _tire(self, problem, result):
        self.left -= 1
        return result if self.left >= 0 else replace(result, status=self.status, dual_bound=-np.inf, x=None)


@pytest.mark.parametrize("status", [Status.TIME_LIMIT, Status.FAILED])
def test_nodes_that_are_not_solved_keep_the_bound_of_the_node_above(status):
    for seed in range(8):
        q = query("mlp", seed, "1")
        truth, lowest = exact_margins(q)[0], -np.inf
        for solves in (0, 1, 2, 4, 8, 16, 400):
            found, _ = searched(q, Tiring(solves, status))
            assert found.lower <= truth + 1e-6
            assert found.lower >= lowest - 1e-6, "more solves never claim less"
            lowest = found.lower
        assert lowest == pytest.approx(truth, abs=1e-5)


def test_a_failed_solve_is_tried_again_afresh():
    class Stumbling(LyingSolver):
        """Sessions always fail; solving afresh works."""

        def session(self, problem, options):
            failing = LyingSolver(get_solver("highs"), lambda _, r: replace(r, status=Status.FAILED, x=None))
            return ColdSession(failing, problem, options)

    q = query("mlp", 5, "1")
    found, _ = searched(q, Stumbling(get_solver("highs"), lambda _, result: result))
    assert found.lower == pytest.approx(exact_margins(q)[0], abs=1e-5)


@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_a_lying_solvers_claim_is_never_above_an_attained_value(lie):
    for seed in range(4):
        q = query("mlp", seed, "0.3")
        found, value = searched(q, LyingSolver(get_solver("highs"), lie))
        assert found.lower <= value(q.region.centre.reshape(-1).numpy())
