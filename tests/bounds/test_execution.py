"""With the semantics float32, bounds are below what every execution gives, whatever the order of its sums."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.executions import executions, single
from support.nasty import nasty_queries
from support.networks import query, samples

from verify.bounds.compute import by_slopes, node_bounds
from verify.bounds.forward import forward_bounds
from verify.certify.methods import METHODS
from verify.certify.options import Options
from verify.errors import UsageError
from verify.executed import meant
from verify.load.builder import Builder
from verify.network import Network
from verify.operators import Linear
from verify.region import ball, box
from verify.selftest.networks import KINDS
from verify.specification import Query, classification

OPTIONS = Options(semantics="float32")
EPSILONS = {"0": "0", "small": "0.01", "large": "0.3"}


def float32_query(kind: str, seed: int, epsilon: str) -> Query:
    q = query(kind, seed)
    centre = (q.region.lower + q.region.upper).to(torch.float32).double() / 2
    return replace(q, network=single(q.network), region=ball(centre, Fraction(epsilon), clip=(0, 1)))


def float32_points(q: Query, count: int) -> torch.Tensor:
    """Float32 points of the first input's region, and around them, as near as the region allows."""
    x = samples(q.region, count).to(torch.float32).to(torch.float64)
    inside = q.region.select(torch.zeros(count, dtype=torch.long)).contains(x)
    return x[inside]


def margins(q: Query, scores: torch.Tensor) -> list[list[Fraction]]:
    """The rows of the first input at scores (N, n_out), exactly."""
    C, d = q.specification.C[0].tolist(), q.specification.d[0].tolist()
    return [
        [
            Fraction(last) + sum((Fraction(c) * Fraction(v) for c, v in zip(row, one, strict=True)), Fraction(0))
            for row, last in zip(C, d, strict=True)
        ]
        for one in scores.tolist()
    ]


def require_below(q: Query, lower: torch.Tensor, points: torch.Tensor, what: str) -> None:
    for name, scores in executions(q.network, points).items():
        for found in margins(q, torch.from_numpy(scores) if not isinstance(scores, torch.Tensor) else scores):
            for low, margin in zip(lower[0].tolist(), found, strict=True):
                assert Fraction(low) <= margin, (what, name, low, float(margin))


@pytest.mark.parametrize("epsilon", EPSILONS.values(), ids=EPSILONS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_execution_is_above_the_bounds(kind: str, epsilon: str) -> None:
    for seed in range(4):
        q = float32_query(kind, seed, epsilon)
        points = float32_points(q, 40)
        for name in ("interval", "dual", "crown", "alpha", "lp", "complete"):
            lower = METHODS[name].certify(q, OPTIONS).proved
            require_below(q, lower, points, name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_node_of_every_execution_is_within_its_interval(kind: str) -> None:
    for seed in range(4):
        q = float32_query(kind, seed, "0.05")
        whole = torch.arange(q.region.lower[0].numel())
        crown = node_bounds(q.network, q.region, by_slopes("crown"))
        forward = forward_bounds(q.network, q.region, whole, crown.underflow, refine=True).bounds
        points = float32_points(q, 40)
        for i in range(1, len(q.network.nodes)):
            part = Network(q.network.nodes[: i + 1]) if len(q.network.nodes[i].shape) == 1 else None
            if part is None:
                continue
            for scores in executions(part, points).values():
                value = torch.from_numpy(scores)
                for bounds in (crown, forward):
                    assert bool(
                        (bounds.values[i].lower[0] <= value).all() and (value <= bounds.values[i].upper[0]).all()
                    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_about_executions_is_never_stronger_than_one_about_real_arithmetic(kind: str) -> None:
    for seed in range(4):
        q = float32_query(kind, seed, "0.1")
        for name in ("interval", "dual", "crown", "lp"):
            executed = METHODS[name].certify(q, OPTIONS).proved
            real = METHODS[name].certify(replace(q, network=meant(q.network, "real")), Options()).proved
            assert bool((executed <= real).all()), name
            assert bool((executed >= real - 1e-4 * (1.0 + real.abs())).all()), name


def cancelling(gain: float) -> Network:
    """Sums of products of 1e7 that cancel to about 1."""
    g = torch.Generator().manual_seed(1)
    b = Builder()
    x = b.input((1, 4))
    w = torch.randn(6, 2, generator=g).double() * gain
    x = b.relu(b.affine(x, torch.cat([w, -w], 1) + torch.randn(6, 4, generator=g).double(), torch.zeros(6).double()))
    w = torch.randn(3, 3, generator=g).double() * gain
    return single(b.finish(b.affine(x, torch.cat([w, -w], 1), torch.ones(3).double())))


def test_cancelling_weights() -> None:
    net = cancelling(1e7)
    x = torch.full((1, 4), 0.5).double()
    q = Query(net, box(x - 2.0**-20, x + 2.0**-20), classification(torch.tensor([0]), 3))
    points = float32_points(q, 60)
    spread = [margins(q, torch.from_numpy(s)) for s in executions(net, points).values()]
    assert max(max(abs(a[0] - b[0]) for a, b in zip(spread[0], one, strict=True)) for one in spread) > 1
    for name in ("interval", "crown", "alpha"):
        require_below(q, METHODS[name].certify(q, OPTIONS).proved, points, name)


@settings(max_examples=40, deadline=None)
@given(nasty_queries(), st.integers(0, 5))
def test_nasty_networks(q: Query, seed: int) -> None:
    """Coefficients that cancel, subnormals, 1e-30 biases: whatever can be claimed of them is true."""
    with torch.no_grad():
        net = q.network.to(dtype=torch.float32).to(dtype=torch.float64)
    region = box(*(t.to(torch.float32).double() for t in (q.region.lower, q.region.upper)))
    spec = q.specification
    q = Query(meant(net, "float32"), region, spec)
    try:
        lower = METHODS["crown"].certify(q, OPTIONS).proved
    except UsageError as error:
        assert "overflow float32" in str(error)
        return
    require_below(q, lower, float32_points(q, 20), f"crown, {seed}")


def test_outputs_that_are_flushed() -> None:
    """A ReLU whose smallest output would be subnormal may give 0 instead."""
    b = Builder()
    x = b.relu(b.input((1, 1)))
    net = meant(b.finish(b.affine(x, torch.tensor([[1.0], [0.0]]).double(), torch.zeros(2).double())), "float32")
    at = torch.full((1, 1), 2.0**-130).double()
    q = Query(net, box(at, at), classification(torch.tensor([0]), 2))
    for name in ("interval", "crown", "complete"):
        assert not bool((METHODS[name].certify(q, OPTIONS).proved > 0).any())
        assert bool((METHODS[name].certify(replace(q, network=meant(net, "real")), Options()).proved > 0).all())
    assert node_bounds(net, q.region).values[1].lower.item() == 0.0


def affine(weight: torch.Tensor, bias: torch.Tensor) -> Network:
    b = Builder()
    return b.finish(b.affine(b.input((1, weight.shape[1])), weight, bias))


def folded() -> Network:
    net = affine(torch.ones(2, 2).double(), torch.zeros(2).double())
    op = net.nodes[-1].operator
    assert isinstance(op, Linear)
    nodes = (*net.nodes[:-1], replace(net.nodes[-1], operator=replace(op, weight_ulps=2)))
    return replace(net, nodes=nodes)


REFUSED = {
    "a weight that is no float32": (
        lambda: affine(torch.full((2, 2), 0.1, dtype=torch.float64), torch.zeros(2).double()),
        "weight",
    ),
    "a bias that is no float32": (
        lambda: affine(torch.ones(2, 2).double(), torch.full((2,), 0.1, dtype=torch.float64)),
        "bias",
    ),
    "a weight beyond float32": (
        lambda: affine(torch.full((2, 2), 1e39, dtype=torch.float64), torch.zeros(2).double()),
        "weight",
    ),
    "numbers that were folded": (folded, "folded or rounded"),
    "sums that are too long": (lambda: affine(torch.ones(2, 2**18).double(), torch.zeros(2).double()), "too many"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_networks_whose_execution_is_not_known_are_refused(why: str) -> None:
    make, word = REFUSED[why]
    net = make()
    assert meant(net, "real") is net
    with pytest.raises(UsageError, match=word):
        meant(net, "float32")


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown semantics 'bf16': choose from real, float32"):
        meant(affine(torch.ones(2, 2).double(), torch.zeros(2).double()), "bf16")  # type: ignore[arg-type]


@pytest.mark.parametrize("forward", [False, True])
def test_values_that_may_overflow_are_refused(forward: bool) -> None:
    net = meant(affine(torch.full((2, 2), 2.0**100).double(), torch.zeros(2).double()), "float32")
    far = box(torch.zeros(1, 2).double(), torch.full((1, 2), 2.0**40).double())
    near = box(torch.zeros(1, 2).double(), torch.ones(1, 2).double())
    bound = lambda region: (  # noqa: E731
        forward_bounds(net, region, torch.arange(2), torch.zeros(1).double()) if forward else node_bounds(net, region)
    )
    bound(near)
    with pytest.raises(UsageError, match="overflow float32"):
        bound(far)


def test_whole_precision_is_required_of_torch() -> None:
    from verify.executed import executed

    net = meant(affine(torch.ones(2, 2).double(), torch.zeros(2).double()), "float32")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(UsageError, match="medium"):
            executed(net, torch.zeros(1, 2))
    finally:
        torch.set_float32_matmul_precision(before)
