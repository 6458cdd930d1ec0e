"""Candidates lie in their region, find what is there to find, and never break what holds."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from support.networks import query

from verify.attack.clause import candidates, refine
from verify.attack.search import Search, quick, thorough
from verify.load.builder import Builder
from verify.property import Clause, rows_as_clauses
from verify.region import ball, box
from verify.selftest.networks import KINDS, network
from verify.selftest.oracle import exact_margins
from verify.witness import confirm_clause

BRIEF = Search(samples=50, zooms=3, starts=4, steps=8, rounds=2, flips=20)


def _clause(region, C, d):
    C, d = torch.tensor(C, dtype=torch.float64), torch.tensor(d, dtype=torch.float64)
    return Clause(region, C, d, d, torch.zeros(len(d), dtype=torch.bool))


def _worst(net, clause, x):
    return (net(x) @ clause.C.T + clause.inner_d).amax(1)


def _shifted(q, below):
    """The query's clauses, each moved so that its lowest row over the region is ``below`` (known to 1e-9)."""
    least = exact_margins(q)
    return [
        replace(clause, d=clause.d - least[k] + below, inner_d=clause.d - least[k] + below)
        for k, clause in enumerate(rows_as_clauses(q).clauses)
    ]


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_candidates_are_float32_numbers_inside_their_region(kind, norm):
    q = query(kind, 4, epsilon="0.3", norm=norm)
    clauses = rows_as_clauses(q).clauses
    for clause, x in zip(clauses, candidates(q.network, clauses, BRIEF), strict=True):
        assert 1 <= len(x) <= BRIEF.keep
        assert x.shape[1:] == q.network.input_shape
        assert bool(q.region.select(torch.zeros(len(x), dtype=torch.long)).contains(x).all())
        assert torch.equal(x.float().double(), x)
        worst = _worst(q.network, clause, x)
        assert torch.equal(worst, worst.sort().values)


def test_a_region_that_holds_no_float32_number_has_candidates_all_the_same():
    net = network("mlp", 1)
    x = torch.full((1, 4), 0.1, dtype=torch.float64)
    clause = _clause(box(x, x), [[1.0, -1.0, 0.0]], [0.0])
    (found,) = candidates(net, [clause], BRIEF)
    assert torch.equal(found, x.expand(len(found), -1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["mlp", "residual", "convolution", "dead_and_stable"])
def test_what_can_be_broken_is_broken_and_what_holds_is_not(kind, seed):
    q = query(kind, seed)
    for below, breaks in ((-1e-3, True), (1e-6, False)):
        for clause in _shifted(q, below):
            (x,) = candidates(q.network, [clause], replace(thorough(seed=seed), flips=20, rounds=1))
            assert (confirm_clause(q.network, clause, x) is not None) is breaks


def test_all_targets_at_once_find_the_one_that_can_be_reached():
    q = query("mlp", 2)
    holds, breaks = _shifted(q, 1e-3)[0], _shifted(q, -1e-3)[1]
    first, second = candidates(q.network, [holds, breaks])
    assert confirm_clause(q.network, holds, first) is None
    assert confirm_clause(q.network, breaks, second) is not None


def test_several_rows_must_hold_together():
    b = Builder()
    net = b.finish(b.affine(b.input((1, 2)), torch.eye(2).double(), torch.zeros(2).double()))
    region = box(torch.zeros(1, 2), torch.ones(1, 2))
    narrow = _clause(
        region, [[1.0, -1.0], [-1.0, 1.0], [1.0, 0.0]], [-1e-3, -1e-3, -0.25]
    )  # |x0 - x1| <= 1e-3, x0 <= 1/4
    empty = _clause(region, [[1.0, -1.0], [-1.0, 1.0]], [1e-3, -1e-9])  # x0 + 1e-3 <= x1 <= x0 + 1e-9
    for clause, breaks in ((narrow, True), (empty, False)):
        (x,) = candidates(net, [clause], quick())
        assert (confirm_clause(net, clause, x) is not None) is breaks


def test_clauses_of_different_regions_get_points_of_their_own():
    net = network("mlp", 1)
    clauses = []
    for k, norm in enumerate(("linf", "l2", "linf", "l1")):
        region = ball(torch.full((1, 4), k / 2, dtype=torch.float64), Fraction(1, 10), norm=norm)
        clauses.append(_clause(region, [[1.0, -1.0, 0.0]] * (k + 1), [0.0] * (k + 1)))
    for clause, x in zip(clauses, candidates(net, clauses, BRIEF), strict=True):
        assert bool(clause.region.select(torch.zeros(len(x), dtype=torch.long)).contains(x).all())


def test_a_clause_without_rows_is_satisfied_anywhere():
    net = network("mlp", 1)
    nothing = torch.zeros(0, dtype=torch.float64)
    region = box(torch.zeros(1, 4), torch.ones(1, 4))
    clause = Clause(region, torch.zeros(0, 3, dtype=torch.float64), nothing, nothing, nothing.bool())
    (x,) = candidates(net, [clause])
    assert confirm_clause(net, clause, x) is not None


def _formula(variables, clauses, seed, solvable=True):
    """A network whose first score is 1 less the violated clauses of a 3-SAT formula, at corners; the second is 0 at corners.

    The formula has a planted solution, or, if not ``solvable``, one more clause for each literal of one variable.
    """
    g = torch.Generator().manual_seed(seed)
    solution = torch.rand(variables, generator=g) < 0.5
    rows, bias = [], []
    while len(rows) < clauses:
        chosen, sign = torch.randperm(variables, generator=g)[:3], torch.rand(3, generator=g) < 0.5
        if bool((solution[chosen] == sign).any()):
            row = torch.zeros(variables).double()
            row[chosen] = torch.where(sign, -1.0, 1.0).double()
            rows.append(row)
            bias.append(1.0 - float((~sign).sum()))
    if not solvable:
        one = torch.eye(variables).double()[0]
        rows, bias = [*rows, one, -one], [*bias, 0.0, 1.0]
    eye, count = torch.eye(variables).double(), len(rows)
    b = Builder()
    w = torch.cat([torch.stack(rows), eye, 2 * eye])
    h = b.relu(
        b.affine(b.input((1, variables)), w, torch.tensor(bias + [0.0] * variables + [-1.0] * variables).double())
    )
    last = torch.zeros(2, count + 2 * variables).double()
    last[0, :count], last[1, count : count + variables], last[1, count + variables :] = -1, 1, -1
    net = b.finish(b.affine(h, last, torch.tensor([1.0, 0.0]).double()))
    region = box(torch.zeros(1, variables), torch.ones(1, variables))
    return net, _clause(region, [[-1.0, 0.0], [0.0, 1.0]], [1.0, 0.0])


@pytest.mark.parametrize("seed", range(4))
def test_a_counterexample_that_exists_at_few_corners_only_is_found(seed):
    for solvable in (True, False):
        net, clause = _formula(60, 220, seed, solvable)
        (x,) = candidates(net, [clause], replace(thorough(seed=seed), rounds=1, flips=400))
        assert (confirm_clause(net, clause, x) is not None) is solvable


def test_a_tie_at_a_single_corner_of_many_dimensions_is_found():
    size = 200
    corner = (torch.rand(size, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    b = Builder()
    net = b.finish(b.affine(b.input((1, size)), (1 - 2 * corner).unsqueeze(0) / 3, torch.zeros(1).double()))
    clause = _clause(box(torch.zeros(1, size), torch.ones(1, size)), [[3.0]], [0.0])
    least = float((net(corner.unsqueeze(0)) * 3).sum())
    reachable = replace(clause, d=torch.tensor([-least]).double(), inner_d=torch.tensor([-least]).double())
    (x,) = candidates(net, [reachable])
    assert torch.equal(x[0], corner)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_same_seed_gives_the_same_points_and_another_seed_others(norm):
    q = query("convolution", 3, norm=norm)
    clauses = [replace(c, d=c.d + 9, inner_d=c.inner_d + 9) for c in rows_as_clauses(q).clauses]
    first, again, other = (candidates(q.network, clauses, replace(BRIEF, seed=seed)) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert norm == "linf" or not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    sampled = (candidates(q.network, clauses, replace(BRIEF, rounds=0, seed=seed))[0] for seed in (7, 8))
    assert not torch.equal(*sampled)


def test_the_deadline_ends_a_search_that_would_last_for_hours():
    net, clause = _formula(60, 220, 0, solvable=False)
    begun = time.perf_counter()
    endless = replace(thorough(deadline=begun + 0.5), rounds=10**6, flips=10**6)
    (x,) = candidates(net, [clause], endless)
    assert time.perf_counter() - begun < 5
    assert len(x)


def test_a_deadline_that_has_passed_still_leaves_a_candidate():
    q = query("mlp", 2)
    clauses = rows_as_clauses(q).clauses
    assert all(len(x) for x in candidates(q.network, clauses, thorough(deadline=time.perf_counter() - 1)))


def test_refined_points_are_inside_and_no_worse():
    q = query("mlp", 5)
    clause = _shifted(q, 1e-6)[0]
    g = torch.Generator().manual_seed(0)
    start = q.region.select(torch.zeros(6, dtype=torch.long)).sample(g)
    refined = refine(q.network, clause, start)
    assert bool(q.region.select(torch.zeros(len(refined), dtype=torch.long)).contains(refined).all())
    assert _worst(q.network, clause, refined).min() < _worst(q.network, clause, start).min()
    outside = refine(q.network, clause, start + 100)
    assert bool(q.region.select(torch.zeros(len(outside), dtype=torch.long)).contains(outside).all())
