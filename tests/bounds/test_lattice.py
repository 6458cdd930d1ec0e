"""On shared pre-activation bounds: max(interval, dual, crown) <= lp <= milp == truth <= every sampled margin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import query, samples

from verify.certify.methods import METHODS
from verify.certify.options import Options
from verify.selftest.networks import KINDS
from verify.selftest.oracle import exact_margins

LP_TOLERANCE = 1e-6  # a floating-point LP solver's slopes are this far from optimal at most, on these networks
TRUTH_TOLERANCE = 1e-5  # the MILP solver's and the oracle's own feasibility tolerances

seeds = st.integers(0, 10_000)
kinds = st.sampled_from(sorted(KINDS))
radii = st.sampled_from(["0", "0.01", "0.1", "0.3", "1"])


def lower(name, q, **options):
    return METHODS[name].certify(q, Options(**options)).lower[0].numpy()


@settings(max_examples=60, deadline=None)
@given(kind=kinds, seed=seeds, epsilon=radii)
def test_the_lattice_holds_on_shared_interval_bounds(kind, seed, epsilon):
    q = query(kind, seed, epsilon)
    below = np.max([lower(m, q, pre_activation="interval") for m in ("dual", "crown", "alpha")], axis=0)
    triangle = lower("lp", q, pre_activation="interval")
    exact = lower("milp", q, pre_activation="interval")
    truth = exact_margins(q)
    assert (below <= triangle + LP_TOLERANCE).all()
    assert (triangle <= exact + TRUTH_TOLERANCE).all()  # a claim is shown 1e-6 lower than it was made
    assert np.abs(exact - truth).max() <= TRUTH_TOLERANCE
    sampled = q.margins(samples(q.region, 200)).min(0).values.numpy()
    assert (truth <= sampled + TRUTH_TOLERANCE).all()


@settings(max_examples=60, deadline=None)
@given(kind=kinds, seed=seeds, epsilon=radii)
def test_every_recomputed_bound_is_below_the_truth(kind, seed, epsilon):
    q = query(kind, seed, epsilon)
    truth = exact_margins(q)
    for name in ("interval", "dual", "crown", "alpha", "lp"):
        assert (lower(name, q) <= truth + 1e-9).all(), name  # 1e-9: the oracle's, not ours


@settings(max_examples=40, deadline=None)
@given(kind=kinds, seed=seeds, epsilon=radii)
def test_with_the_intersection_a_method_is_never_looser_than_intervals(kind, seed, epsilon):
    q = query(kind, seed, epsilon)
    for pre in ("dual", "crown", "alpha", "lp"):
        tight = METHODS["interval"].certify(q, Options(pre_activation=pre)).bounds
        loose = METHODS["interval"].certify(q, Options()).bounds
        for r in loose.pre:
            # A tighter layer may round the next one's interval differently: the law is one of exact arithmetic.
            rounding = 1e-13 * (1.0 + loose.pre[r].magnitude())
            assert bool((tight.pre[r].lower >= loose.pre[r].lower - rounding).all())
            assert bool((tight.pre[r].upper <= loose.pre[r].upper + rounding).all())


@pytest.mark.parametrize("kind", ["linear", "dead_and_stable"])
def test_all_methods_agree_when_no_relu_is_unstable(kind):
    q = query(kind, 3, "0.001")
    bounds = METHODS["interval"].certify(q, Options()).bounds
    if any(bool(((p.lower < 0) & (p.upper > 0)).any()) for p in bounds.pre.values()):
        q = query(kind, 3, "0")
    truth = exact_margins(q)
    for name in ("dual", "crown", "alpha", "lp"):
        assert np.abs(lower(name, q) - truth).max() < 1e-8, name


def test_crown_without_the_intersection_can_be_below_intervals():
    """Why the intersection is there: relu(x) on [-1, 2] is at least 0 by intervals, -1 by CROWN's line, -2/3 by the dual's."""
    from verify.load.builder import Builder
    from verify.region import box
    from verify.specification import Query, Specification

    b = Builder()
    net = b.finish(b.relu(b.input((1, 1))))
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    spec = Specification(one, torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.long))
    q = Query(net, box(torch.tensor([[-1.0]]), torch.tensor([[2.0]])), spec)
    assert lower("interval", q)[0] == pytest.approx(0.0, abs=1e-12)
    assert lower("crown", q)[0] == pytest.approx(-1.0, abs=1e-12)
    assert lower("dual", q)[0] == pytest.approx(-2 / 3, abs=1e-12)
    assert lower("lp", q)[0] == pytest.approx(0.0, abs=1e-9)
