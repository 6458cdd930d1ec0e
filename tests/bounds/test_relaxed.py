"""The search's own backward pass bounds what the rigorous one does, and its gradients are those of that bound."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.networks import query

from verify.bounds.backward import Rows, backward
from verify.bounds.compute import by_slopes, node_bounds
from verify.bounds.relaxation import lines
from verify.bounds.relaxed import relaxed
from verify.selftest.networks import KINDS

ROUNDING = {
    "linf": 1e-9,
    "l2": 1e-4,
    "l1": 1e-4,
}  # where a form is smallest over a ball inside a box is found by bisection


def _question(kind: str, seed: int, norm: str):
    """Random rows with coefficients on two nodes, and random lines with random multipliers."""
    q, g = query(kind, seed, "0.4", norm, count=2), torch.Generator().manual_seed(seed)
    bounds = node_bounds(q.network, q.region, by_slopes("crown"))
    last = len(q.network.nodes) - 1

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    early = next((q.network.nodes[r].inputs[0] for r in q.network.relus), 0)
    rows = Rows(
        last, normal(2, 3, q.network.outputs), normal(2, 3), {early: normal(2, 3, *q.network.nodes[early].shape)}
    )
    at = {}
    for r, pre in bounds.pre.items():
        shape = (2, 3, *pre.lower.shape[1:])
        slope = torch.rand(shape, generator=g, dtype=torch.float64)
        away = torch.rand(2, 1, *shape[2:], generator=g, dtype=torch.float64)
        at[r] = replace(lines(pre, slope), multiplier=normal(*shape), distance=away)
    return q, bounds, rows, at


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("kind", KINDS)
def test_bounds_and_gradients_are_those_of_the_rigorous_pass(kind, norm):
    off = ROUNDING[norm]
    for seed in range(4):
        q, bounds, rows, at = _question(kind, seed, norm)
        at = {
            r: replace(line, lower=line.lower.requires_grad_(), multiplier=line.multiplier.requires_grad_())
            for r, line in at.items()
        }
        rows.coefficient.requires_grad_()
        lower = backward(q.network, q.region, bounds, rows, at)
        with torch.no_grad():
            found = relaxed(q.network, q.region, rows, at)
        assert torch.allclose(found.lower, lower, rtol=off, atol=off)
        lower.sum().backward()
        assert torch.allclose(found.start.expand_as(rows.coefficient), rows.coefficient.grad, rtol=off, atol=off)
        for r, line in at.items():
            if r not in found.pre:
                assert line.lower.grad is None  # no row depends on that ReLU
                continue
            rising = found.on_relu[r].clamp(min=0)
            assert torch.allclose((rising * found.pre[r]).expand_as(line.lower), line.lower.grad, rtol=off, atol=off)
            held = found.pre[r] + line.multiplier.sign() * line.distance
            assert torch.allclose(held.expand_as(held), line.multiplier.grad, rtol=off, atol=off)


def test_rows_that_reach_no_input_are_bounded_by_their_constant():
    q, _, _, at = _question("mlp", 1, "linf")
    rows = Rows(
        len(q.network.nodes) - 1,
        torch.zeros(1, 3, q.network.outputs).double(),
        torch.tensor([[1.0, 0.0, -2.0]]).double(),
    )
    at = {r: replace(line, multiplier=None, distance=None) for r, line in at.items()}
    found = relaxed(q.network, q.region, rows, at)
    assert torch.equal(found.lower, rows.constant.expand_as(found.lower))
