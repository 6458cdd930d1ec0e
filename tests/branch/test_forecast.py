"""The forecast of a search: nothing before enough splits, the work of a tree whose bounds rise evenly, and who is ahead."""

from __future__ import annotations

import math

import pytest
import torch

from verify.branch.forecast import work_left


def test_too_few_splits_tell_nothing():
    assert math.isnan(work_left(torch.tensor([-4.0]), torch.tensor([-3.0]), 1, 10.0))
    assert math.isnan(work_left(torch.tensor([-4.0] * 3), torch.tensor([-3.0] * 4), 4, 10.0))


def test_nothing_open_needs_no_work():
    assert work_left(torch.tensor([-4.0]), torch.zeros(0), 8, 10.0) == -math.inf


def test_bounds_that_do_not_rise_never_end():
    assert work_left(torch.tensor([-4.0]), torch.tensor([-4.0] * 4), 4, 10.0) == math.inf


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_tree_whose_bounds_rise_by_one_a_split_needs_the_leaves_that_it_lacks(depth):
    """Of a tree with a gap of 6, all 2^depth leaves are at depth - 6, and 2^6 leaves remain to be bounded at 3 each."""
    leaves = 2**depth
    left = work_left(torch.tensor([-6.0]), torch.full((leaves,), depth - 6.0), leaves, 3.0 * leaves)
    assert left == pytest.approx(6.0 + math.log2(3.0))


def test_refuted_leaves_count_as_progress():
    roots, open_ = torch.tensor([-4.0]), torch.tensor([-3.0] * 4)
    assert work_left(roots, open_, 16, 16.0) < work_left(roots, open_, 4, 4.0)


def test_several_roots_share_the_leaves():
    one = work_left(torch.tensor([-4.0]), torch.tensor([-2.0] * 4), 4, 4.0)
    two = work_left(torch.tensor([-4.0] * 2), torch.tensor([-2.0] * 8), 8, 8.0)
    assert two == pytest.approx(one + 1.0)
