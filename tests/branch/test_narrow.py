"""Without the neurons that never fire, bounds are true as before, and what they were but for rounding."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from branch.test_bounds import RELUS, around, clause_of, exact_rows, lying, phases_at, region_of
from support.networks import samples

from verify.bounds.compute import by_slopes, node_bounds
from verify.branch.bounding import form_bound
from verify.branch.domains import intervals
from verify.branch.narrow import narrowed
from verify.branch.problem import Problem, problem_of
from verify.executed import meant
from verify.selftest.networks import network

SEEDS = range(12)


def _problem(kind: str, seed: int, semantics: str = "real") -> Problem:
    net = meant(network(kind, seed), semantics)
    region = region_of(net, "linf", "0.3", seed)
    return problem_of(net, region, node_bounds(net, region, by_slopes("crown")), [clause_of(net, region, 2, seed)])


def _neurons(problem: Problem) -> int:
    return sum(pre.lower[0].numel() for pre in problem.bounds.pre.values())


@pytest.mark.parametrize("kind", RELUS)
def test_any_multipliers_give_a_true_bound_that_hardly_moves(kind):
    for seed in SEEDS:
        problem = _problem(kind, seed)
        small = narrowed(problem)
        clause = clause_of(problem.network, problem.region, 2, seed)
        points = [exact_rows(problem.network, clause, x) for x in samples(problem.region, 4, seed)]
        domains = around(problem, points[0][0], seed)
        found = lying(problem, domains, 3, seed)
        before, after = (form_bound(p, domains, found, pre=intervals(p, domains))[0] for p in (problem, small))
        assert torch.allclose(before, after, rtol=1e-9, atol=1e-9)
        for values, rows in points:
            if bool((domains.phase[0].int() * phases_at(problem, values) >= 0).all()):
                for s in range(3):
                    mix = [Fraction(max(m, 0.0)) for m in found.mix[0, s].tolist()]
                    assert Fraction(float(after[s])) <= sum(m * row for m, row in zip(mix, rows, strict=True))


def test_inactive_neurons_of_dense_layers_are_left_out_and_nobody_else():
    fewer = 0
    for seed in SEEDS:
        problem = _problem("mlp", seed)
        small = narrowed(problem)
        fewer += _neurons(problem) - _neurons(small)
        for r, pre in small.bounds.pre.items():
            before = problem.bounds.pre[r]
            fires = (before.upper > 0).all(0)
            if bool(fires.any()):
                assert torch.equal(pre.upper, before.upper[:, fires]) and torch.equal(pre.lower, before.lower[:, fires])
            if r in problem.columns.index:  # the same neurons under their new numbers
                assert torch.equal(pre.upper[:, small.columns.index[r]], before.upper[:, problem.columns.index[r]])
        points = samples(problem.region, 20, seed)
        assert torch.allclose(small.network(points), problem.network(points), rtol=1e-12, atol=1e-12)
    assert fewer > 0


def test_what_executions_may_add_is_kept_for_the_neurons_that_stay():
    seed = next(s for s in SEEDS if _neurons(narrowed(_problem("mlp", s))) < _neurons(_problem("mlp", s)))
    net = network("mlp", seed).to(dtype=torch.float32).to(dtype=torch.float64)
    region = region_of(net, "linf", "0.3", seed)
    executed = meant(net, "float32")
    problem = problem_of(executed, region, node_bounds(executed, region), [clause_of(net, region, 2, seed)])
    small = narrowed(problem)
    assert small.network.semantics == "float32"
    for node, slack, errors in zip(small.network.nodes, small.bounds.slack, small.bounds.execution, strict=True):
        for each in (slack, errors):
            assert each is None or each.shape[1:] == node.shape


def test_a_layer_of_which_no_neuron_fires_stays_as_it_is():
    problem = _problem("mlp", 0)
    pre = {r: type(p)(p.lower - 100.0, p.upper - 100.0) for r, p in problem.bounds.pre.items()}
    silent = replace(problem, bounds=replace(problem.bounds, pre=pre))
    assert narrowed(silent).network == silent.network
