"""The forecast of a search: nothing before enough splits, the work of a tree whose bounds rise evenly, and who is ahead."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support.networks import query

from verify.bounds.compute import node_bounds
from verify.branch.domains import Domains
from verify.branch.forecast import work_left
from verify.branch.problem import problem_of
from verify.branch.relu import first_domains
from verify.property import rows_as_clauses


def _domains(lower: list[float], clause: list[int]) -> Domains:
    q = query("mlp", 1)
    problem = problem_of(q.network, q.region, node_bounds(q.network, q.region), rows_as_clauses(q).clauses)
    one = first_domains(problem).select(torch.zeros(len(lower), dtype=torch.long))
    return replace(one, lower=torch.tensor(lower, dtype=torch.float64), clause=torch.tensor(clause, dtype=torch.long))


def _left(gap: float, lower: list[float], splits: int, work: float) -> float:
    return work_left(_domains([-gap], [0]), _domains(lower, [0] * len(lower)), torch.tensor([float(splits)]), work)


def test_too_few_splits_tell_nothing():
    assert math.isnan(_left(4.0, [-4.0], 0, 10.0))


def test_a_clause_that_was_not_begun_is_as_hard_as_the_others():
    roots, begun = _domains([-4.0, -4.0], [0, 1]), [-2.0] * 4
    one = _domains([*begun, -4.0], [0] * 4 + [1])
    two = _domains(begun + begun, [0] * 4 + [1] * 4)
    left = [work_left(roots, d, torch.tensor(s), w) for d, s, w in ((one, [3.0, 0.0], 5.0), (two, [3.0, 3.0], 8.0))]
    assert left[0] == pytest.approx(left[1])  # 32 leaves of work 1: four times 2^2 and 2^4, or eight times 2^2


def test_nothing_open_needs_no_work():
    assert _left(4.0, [], 7, 10.0) == -math.inf


def test_bounds_that_do_not_rise_never_end():
    assert _left(4.0, [-4.0] * 4, 3, 10.0) == math.inf


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_tree_whose_bounds_rise_by_one_a_split_needs_the_leaves_that_it_lacks(depth):
    """All 2^depth leaves of a tree with a gap of 6 are at depth - 6, so 2^6 leaves remain, each of which takes 3."""
    leaves = 2**depth
    left = _left(6.0, [depth - 6.0] * leaves, leaves - 1, 3.0 * leaves)
    assert left == pytest.approx(6.0 + math.log2(3.0))


def test_refuted_leaves_count_as_progress():
    assert _left(4.0, [-3.0] * 4, 15, 16.0) < _left(4.0, [-3.0] * 4, 3, 4.0)


def test_clauses_that_others_decided_count_for_nothing():
    """Ten thousand splits about clause 1, which is not open, do not make clause 0 look easy: they only make leaves cheap."""
    roots, open_ = _domains([-4.0, -4.0], [0, 1]), _domains([-3.5] * 2, [0, 0])
    many, few = (work_left(roots, open_, torch.tensor([1.0, k]), k + 3.0) for k in (9999.0, 1.0))
    assert many == pytest.approx(few, abs=0.5)
