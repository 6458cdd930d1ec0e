"""Parts whose bound is 0 but for roundings are halved alike by whoever records and whoever checks."""

from __future__ import annotations

import pytest
import torch
from support.proofs import accepted, opened

import verify
from verify.branch import cascade
from verify.load.builder import Builder
from verify.property import Clause, Property
from verify.region import box


@pytest.mark.parametrize("seed", range(40))
def test_a_bound_that_is_zero_by_structure_clips_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without a ReLU between: clipping and halving again and again leads to corners where a row is exactly 0."""
    monkeypatch.setattr(cascade, "worth_splitting_inputs", lambda network, clause: True)
    g = torch.Generator().manual_seed(seed)
    b = Builder()
    x = b.input((1, 3))
    # x and |x - 1/2|, so that rows are partly exact
    middle = b.affine(x, torch.cat([torch.eye(3), -torch.eye(3)]).double(), torch.tensor([-0.5, 0.5]).repeat_interleave(3).double())
    net = b.finish(b.concat([x, b.relu(middle)], 1))
    weight = torch.rand(3, 3, generator=g, dtype=torch.float64) + 0.1
    C = torch.cat([torch.cat([weight, torch.zeros(3, 6).double()], 1), -torch.ones(1, 9).double()])
    region = box(torch.zeros(1, 3).double(), torch.ones(1, 3).double())
    lowest = torch.rand(3, generator=g).double()
    d = torch.cat([-(weight @ lowest), torch.tensor([2.0]).double()])
    clause = Clause(region, C, d, d, torch.zeros(4).bool())
    decision = verify.decide(net, Property((clause,)), timeout=10, certificate=True)
    if decision.verdict is verify.Verdict.VERIFIED:
        accepted(decision.certificate, net)
        assert "boxes" in [s["op"] for s in opened(decision.certificate.data).document["steps"]]
