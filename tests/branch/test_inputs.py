"""Input branch and bound against the truth, its limits, and the two things that make it sound: clipping and halving."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import query

from verify.branch.boxes import Stack, halve
from verify.branch.clip import clip
from verify.branch.inputs import by_input_splits, worth_splitting_inputs
from verify.branch.outcome import Limits
from verify.errors import UsageError
from verify.load.builder import Builder
from verify.network import Network
from verify.property import Clause
from verify.region import Box, ball, box
from verify.selftest.networks import network, weights
from verify.selftest.oracle import lowest_worst_row
from verify.specification import Query, Specification
from verify.verdict import Verdict


def clause(region: Box, C: torch.Tensor, d: torch.Tensor, *, strict: bool = False) -> Clause:
    return Clause(region, C, d, d, torch.full((len(d),), strict))


def unit_box(n: int) -> Box:
    return box(torch.zeros(1, n).double(), torch.ones(1, n).double())


@pytest.mark.parametrize("kind", ["mlp", "residual", "rewritten", "dead_and_stable", "convolution"])
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 3), gap=st.sampled_from([-0.3, -0.01, -1e-5, 1e-5, 0.01, 0.3]))
@settings(max_examples=8, deadline=None)
def test_the_verdict_is_the_truth(kind, seed, rows, gap):
    """The rows are shifted so that the lowest worst row is ``gap``: above 0 the clause has no point, below 0 it has."""
    q = query(kind, seed, "0.5")
    C = weights(torch.Generator().manual_seed(seed), rows, q.network.outputs)
    zero = torch.zeros(rows, dtype=torch.float64)
    targets = torch.zeros(1, rows, dtype=torch.long)
    plain = Query(q.network, q.region, Specification(C.unsqueeze(0), zero.unsqueeze(0), targets))
    d = zero + (gap - lowest_worst_row(plain))
    outcome = by_input_splits(q.network, clause(q.region, C, d), Limits(deadline=time.perf_counter() + 60))
    assert outcome.verdict is (Verdict.VERIFIED if gap > 0 else Verdict.FALSIFIED)
    if gap < 0:
        x = outcome.counterexample.x
        assert bool(q.region.contains(x.unsqueeze(0)).all())
        assert bool((C @ q.network(x.unsqueeze(0))[0] + d <= 1e-9).all())


def tie() -> tuple[Network, Clause]:
    """``|x + 0.3 y| + |0.7 x - y| < 0``: its minimum is 0, where only its bounds are below. Nothing can settle it."""
    b = Builder()
    x = b.input((1, 2))
    both = torch.tensor([[1.0, 0.3], [-1.0, -0.3], [0.7, -1.0], [-0.7, 1.0]]).double()
    h = b.relu(b.affine(x, both, torch.zeros(4).double()))
    net = b.finish(b.affine(h, torch.ones(1, 4).double(), torch.zeros(1).double()))
    region = box(-torch.ones(1, 2).double(), torch.full((1, 2), 0.9).double())
    return net, clause(region, torch.ones(1, 1).double(), torch.zeros(1).double(), strict=True)


def test_the_deadline_ends_the_search():
    net, question = wide()
    start = time.perf_counter()
    outcome = by_input_splits(net, question, Limits(deadline=start + 0.5))
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, "timeout")
    assert time.perf_counter() - start < 1.5


def test_parts_too_small_to_halve_are_not_excluded():
    net, question = tie()
    outcome = by_input_splits(net, question, Limits(deadline=time.perf_counter() + 2))
    assert outcome.verdict is Verdict.UNKNOWN


def wide() -> tuple[Network, Clause]:
    """A question that takes long: ``w . relu(..)`` never reaches its bound on 12 inputs."""
    g = torch.Generator().manual_seed(0)
    b = Builder()
    x = b.input((1, 12))
    for _ in range(3):
        x = b.relu(
            b.affine(x, torch.randn(40, x.shape[1], generator=g).double() / 2, torch.randn(40, generator=g).double())
        )
    net = b.finish(b.affine(x, torch.randn(1, 40, generator=g).double(), torch.zeros(1).double()))
    points = torch.rand(4096, 12, generator=g, dtype=torch.float64) * 2 - 1
    lowest = net(points).min()
    region = box(-torch.ones(1, 12).double(), torch.ones(1, 12).double())
    return net, clause(region, torch.ones(1, 1).double(), (200.0 - lowest).reshape(1))


def test_the_memory_limit_ends_the_search():
    net, question = wide()
    outcome = by_input_splits(net, question, Limits(deadline=time.perf_counter() + 60, memory_bytes=20_000))
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, "memory")


@pytest.mark.parametrize("gap", [0.02, -0.02])
def test_the_same_question_takes_the_same_steps(gap):
    q = query("mlp", 5, "0.5")
    C = torch.tensor([[1.0, -1.0, 0.0]]).double()
    free = Query(
        q.network, q.region, Specification(C.unsqueeze(0), torch.zeros(1, 1).double(), torch.zeros(1, 1).long())
    )
    question = clause(q.region, C, torch.tensor([gap - lowest_worst_row(free)]).double())
    first, second = (by_input_splits(q.network, question, Limits()) for _ in range(2))
    assert (first.verdict, first.domains) == (second.verdict, second.domains)
    if first.counterexample is not None:
        assert torch.equal(first.counterexample.x, second.counterexample.x)


def test_a_clause_without_rows_is_satisfied_by_any_point():
    net = network("mlp", 0)
    question = clause(unit_box(4), torch.zeros(0, 3).double(), torch.zeros(0).double())
    assert by_input_splits(net, question, Limits()).verdict is Verdict.FALSIFIED


def test_a_single_point_is_decided():
    net = network("mlp", 0)
    x = torch.full((1, 4), 0.5).double()
    C = torch.tensor([[1.0, 0.0, 0.0]]).double()
    for gap, verdict in ((1e-3, Verdict.VERIFIED), (-1e-3, Verdict.FALSIFIED)):
        d = gap - (net(x) @ C.T)[0]
        assert by_input_splits(net, clause(box(x, x), C, d), Limits()).verdict is verdict


def test_a_runtime_that_disagrees_refuses_the_counterexample():
    q = query("mlp", 2, "0.5")
    question = clause(q.region, torch.zeros(1, 3).double(), torch.tensor([-1.0]).double())
    assert by_input_splits(q.network, question, Limits()).verdict is Verdict.FALSIFIED
    disagrees = [lambda x: torch.full((len(x), 3), torch.nan, dtype=torch.float64)]
    limits = Limits(deadline=time.perf_counter() + 0.3)
    assert by_input_splits(q.network, question, limits, replays=disagrees).verdict is Verdict.UNKNOWN


def test_balls_that_are_not_boxes_are_refused():
    net = network("mlp", 0)
    region = ball(torch.full((1, 4), 0.5).double(), "0.1", norm="l2")
    question = clause(region, torch.zeros(1, 3).double(), torch.ones(1).double())
    assert not worth_splitting_inputs(net, question)
    with pytest.raises(UsageError, match="box"):
        by_input_splits(net, question, Limits())


def test_it_is_worth_it_for_few_inputs_that_vary():
    assert worth_splitting_inputs(
        network("mlp", 0), clause(unit_box(4), torch.zeros(1, 3).double(), torch.ones(1).double())
    )
    b = Builder()
    many = b.finish(b.relu(b.affine(b.input((1, 50)), torch.zeros(2, 50).double(), torch.zeros(2).double())))
    rows = (torch.zeros(1, 2).double(), torch.ones(1).double())
    assert not worth_splitting_inputs(many, clause(unit_box(50), *rows))
    lower = torch.zeros(1, 50).double()
    upper = lower.clone()
    upper[:, 7:10] = 1
    assert worth_splitting_inputs(many, clause(box(lower, upper), *rows))


entry = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e17, -1e17, 1.0 + 2**-52, 1e-30, 5e-324, -5e-324, 2.0**-1022, 0.1]),
    st.floats(-3, 3, allow_subnormal=True),
)


@given(data=st.data(), n=st.integers(1, 3), rows=st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_clipping_never_removes_a_point_that_satisfies_the_rows(data, n, rows):
    def draw(*shape):
        size = int(torch.tensor(shape).prod())
        return torch.tensor(data.draw(st.lists(entry, min_size=size, max_size=size))).double().reshape(shape)

    ends, a, c = draw(2, 1, n), draw(1, rows, n), draw(1, rows)
    lower, upper = ends.amin(0), ends.amax(0)
    below, above, excluded = clip(lower, upper, a, c)
    assert bool((lower <= below).all() and (below <= above).all() and (above <= upper).all())
    inside = below / 2 + above / 2
    share = torch.rand(20, n, generator=torch.Generator().manual_seed(0)).double()
    spread = lower + share * (upper / 2 - lower / 2) * 2
    points = torch.cat([lower, upper, below, above, inside, spread.clamp(lower, upper)])
    points = torch.cat([points, torch.nextafter(below, lower), torch.nextafter(above, upper)])
    for x in points.tolist():
        values = [
            sum((Fraction(k) * Fraction(v) for k, v in zip(row, x, strict=True)), Fraction(constant))
            for row, constant in zip(a[0].tolist(), c[0].tolist(), strict=True)
        ]
        if all(v <= 0 for v in values):
            assert not bool(excluded)
            kept = torch.tensor(x).double()
            assert bool((below[0] <= kept).all() and (kept <= above[0]).all())


def test_clipping_cuts_where_the_row_says():
    """``x + y - 0.5 <= 0`` on the unit square: neither coordinate may exceed one half; two rows may exclude the rest."""
    a, c = torch.ones(1, 1, 2).double(), torch.full((1, 1), -0.5).double()
    lower, upper, excluded = clip(torch.zeros(1, 2).double(), torch.ones(1, 2).double(), a, c)
    assert torch.allclose(upper, torch.full((1, 2), 0.5).double(), atol=1e-12)
    assert bool((upper >= 0.5).all()) and bool((lower == 0).all()) and not bool(excluded)
    both = torch.cat([a, -a], 1), torch.cat([c, torch.full((1, 1), 1.2).double()], 1)
    assert bool(clip(torch.zeros(1, 2).double(), torch.ones(1, 2).double(), *both)[2])


@given(seed=st.integers(0, 10**6), n=st.integers(1, 4), times=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_the_parts_of_a_box_cover_it(seed, n, times):
    g = torch.Generator().manual_seed(seed)
    ends = torch.randn(2, 5, n, generator=g, dtype=torch.float64)
    ends[1, :2] = torch.nextafter(ends[0, :2], torch.tensor(torch.inf).double())  # too thin to be halved
    lower, upper = ends.amin(0), ends.amax(0)
    below, above, stuck = halve(lower, upper, torch.rand(5, n, generator=g, dtype=torch.float64), times)
    assert stuck.tolist() == [True, True, False, False, False]
    assert bool((below <= above).all())
    for i in range(2, 5):
        mine = ((below >= lower[i]) & (above <= upper[i])).all(1)
        share = torch.rand(50, n, generator=g, dtype=torch.float64)
        points = torch.cat([lower[i] + share * (upper[i] - lower[i]), below[mine], above[mine]])
        points = torch.cat([points, torch.nextafter(below[mine], upper[i]), torch.nextafter(above[mine], lower[i])])
        points = points.clamp(lower[i], upper[i]).unsqueeze(1)
        held = ((below[mine] <= points) & (points <= above[mine])).all(2).any(1)
        assert bool(held.all())


def test_a_stack_gives_back_what_was_pushed_last_first_with_all_that_goes_with_it():
    stack = Stack()
    numbers = torch.arange(10.0).double().reshape(-1, 1)
    stack.push(numbers[:4], numbers[:4] + 1, numbers[:4, 0].long())
    stack.push(numbers[4:], numbers[4:] + 1, numbers[4:, 0].long())
    assert stack.bytes == 10 * 3 * 8
    taken = []
    while stack.count:
        lower, upper, number = stack.pop(3)
        assert torch.equal(upper, lower + 1) and torch.equal(number, lower[:, 0].long())
        taken += lower.flatten().flip(0).tolist()
    assert taken == list(range(9, -1, -1))
    assert stack.bytes == 0
