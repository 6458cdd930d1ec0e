"""A property holds, or a point that was evaluated breaks it."""

from __future__ import annotations

import torch

import verify
from verify.property import rows_as_clauses
from verify.specification import Query, classification


def _query(epsilon):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        net[0].bias.zero_()
    network = verify.from_torch(net, input_shape=(2,))
    x = torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    return Query(network, verify.ball(x, epsilon), classification(torch.tensor([0]), 2))


def test_a_property_that_holds_is_verified():
    query = _query("0.2")
    decision = verify.decide(query.network, rows_as_clauses(query))
    assert decision.verdict is verify.Verdict.VERIFIED
    assert decision.counterexample is None


def test_a_property_that_does_not_hold_is_falsified_by_a_point_of_the_region():
    query = _query("0.3")
    decision = verify.decide(query.network, rows_as_clauses(query))
    assert decision.verdict is verify.Verdict.FALSIFIED
    scores = query.network(decision.counterexample.x.unsqueeze(0))[0]
    assert scores[0] <= scores[1]
    assert bool(query.region.contains(decision.counterexample.x.unsqueeze(0)).all())
