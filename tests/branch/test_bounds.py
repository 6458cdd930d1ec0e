"""Whatever multipliers are proposed, a domain's bound lies below every point of it, in exact arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exact import exact_values
from support.networks import samples

from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, node_bounds
from verify.branch import tighten
from verify.branch.bounding import Proposal, bound, form_bound
from verify.branch.domains import Domains, implied, intervals, split
from verify.branch.problem import Problem, problem_of
from verify.branch.relu import first_domains
from verify.branch.tighten import tightened
from verify.load.builder import Builder
from verify.network import Network
from verify.property import Clause
from verify.region import Box, ball, box
from verify.selftest.networks import KINDS, network, weights

RELUS = sorted(set(KINDS) - {"linear"})
NORMS = ("linf", "l2", "l1")


def region_of(net: Network, norm: str, epsilon: str, seed: int) -> Box:
    g = torch.Generator().manual_seed(seed)
    return ball(torch.rand(1, *net.input_shape, generator=g, dtype=torch.float64), Fraction(epsilon), norm=norm)


def clause_of(net: Network, region: Box, rows: int, seed: int, constant: torch.Tensor | float = 0.0) -> Clause:
    C = weights(torch.Generator().manual_seed(seed), rows, net.outputs)
    d = torch.zeros(rows, dtype=torch.float64) + constant
    return Clause(region, C, d, d, torch.zeros(rows, dtype=torch.bool))


def exact_rows(net: Network, clause: Clause, x: torch.Tensor) -> tuple[list[list[Fraction]], list[Fraction]]:
    """The value of every node at ``x`` (*shape), and the clause's rows there."""
    values = exact_values(net, x)
    rows = [
        sum((Fraction(c) * v for c, v in zip(row, values[-1], strict=True)), Fraction(d))
        for row, d in zip(clause.C.tolist(), clause.d.tolist(), strict=True)
    ]
    return values, rows


def phases_at(problem: Problem, values: list[list[Fraction]]) -> torch.Tensor:
    """The sign of every column at a point: (R,), 0 where it is exactly 0."""
    signs = []
    for r, index in problem.columns.index.items():
        pre = values[problem.network.nodes[r].inputs[0]]
        signs += [(pre[j] > 0) - (pre[j] < 0) for j in index.tolist()]
    return torch.tensor(signs, dtype=torch.int8)


def around(problem: Problem, values: list[list[Fraction]], seed: int) -> Domains:
    """A domain that holds the point: some of its phases assumed, split by split."""
    domains, signs = first_domains(problem), phases_at(problem, values)
    g = torch.Generator().manual_seed(seed)
    for column in range(problem.columns.count):
        if signs[column] != 0 and torch.rand(1, generator=g) < 0.5:
            active, inactive = (
                split(domains, torch.full((len(domains),), column)).select(slice(k, k + 1)) for k in (0, 1)
            )
            domains = active if signs[column] > 0 else inactive
    return domains


def lying(problem: Problem, domains: Domains, rows: int, seed: int) -> Proposal:
    """Random multipliers, far out of every range that they should be in."""
    g = torch.Generator().manual_seed(seed)

    def wild(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g) * 10.0 ** torch.randint(-3, 3, shape, generator=g)

    place, size = problem.columns.place, (len(domains), rows)
    alpha = {r: wild(*size, at.stop - at.start) for r, at in place.items()}
    beta = {r: wild(*size, at.stop - at.start) for r, at in place.items()}
    return Proposal(alpha, beta, wild(*size, problem.rows.shape[1]))


@pytest.mark.parametrize("kind", RELUS)
def test_any_multipliers_give_a_true_bound(kind):
    """Random alpha, beta and mix, negative ones (which count as 0) included: below the mixed row at points of the domain."""

    @given(seed=st.integers(0, 10**6), norm=st.sampled_from(NORMS), epsilon=st.sampled_from(["0.3", "1", "1/10000000"]))
    @settings(max_examples=12, deadline=None, derandomize=True)
    def law(seed, norm, epsilon):
        net = network(kind, seed)
        region = region_of(net, norm, epsilon, seed)
        clause = clause_of(net, region, 2, seed)
        problem = problem_of(net, region, node_bounds(net, region, by_slopes("crown")), [clause])
        points = torch.cat([samples(region, 6, seed), region.project(region.lower), region.project(region.upper)])
        known = [exact_rows(net, clause, x) for x in points]
        domains = around(problem, known[0][0], seed)
        found = lying(problem, domains, 3, seed)
        lower = form_bound(problem, domains, found, pre=intervals(problem, domains))[0]
        assert bool(lower.isfinite().all())
        met = 0
        for values, rows in known:
            if not bool((domains.phase[0].int() * phases_at(problem, values) >= 0).all()):
                continue
            met += 1
            for s in range(3):
                mix = [Fraction(max(m, 0.0)) for m in found.mix[0, s].tolist()]
                assert Fraction(float(lower[s])) <= sum(m * row for m, row in zip(mix, rows, strict=True))
        assert met

    law()


def closer(problem: Problem, domains: Domains, values: list[list[Fraction]]) -> Domains:
    """The domain with the ends of its phases half way from 0 to the point: its neurons are away from 0."""
    flat = [values[problem.network.nodes[r].inputs[0]] for r in problem.columns.index]
    half = [
        float(pre[j]) / 2 for pre, at in zip(flat, problem.columns.index.values(), strict=True) for j in at.tolist()
    ]
    end = torch.tensor(half).double()
    low = torch.where(domains.phase > 0, torch.maximum(domains.low, end), domains.low)
    return replace(
        domains, low=low, high=torch.where(domains.phase < 0, torch.minimum(domains.high, end), domains.high)
    )


@pytest.mark.parametrize("kind", RELUS)
def test_any_multipliers_give_a_true_bound_where_phases_hold_with_room(kind):
    """A multiplier then gains its neuron's distance from 0; the region is the point, or little more than it."""
    away = []

    @given(seed=st.integers(0, 10**6), epsilon=st.sampled_from(["0", "1/1000", "0.3"]))
    @settings(max_examples=12, deadline=None, derandomize=True)
    def law(seed, epsilon):
        net = network(kind, seed)
        wide, small = region_of(net, "linf", "1", seed), region_of(net, "linf", epsilon, seed)
        clause = clause_of(net, wide, 2, seed)
        problem = problem_of(net, wide, node_bounds(net, wide, by_slopes("crown")), [clause])
        x = small.project((wide.lower + wide.upper) / 2)
        values, rows = exact_rows(net, clause, x[0])
        domains = closer(problem, around(problem, values, seed), values)
        found = lying(problem, domains, 3, seed)
        problem = replace(problem, region=small)
        lower = form_bound(problem, domains, found, pre=intervals(problem, domains))[0]
        away.append(int(((domains.phase > 0) & (domains.low > 0) | (domains.phase < 0) & (domains.high < 0)).sum()))
        for s in range(3):
            mix = [Fraction(max(m, 0.0)) for m in found.mix[0, s].tolist()]
            assert Fraction(float(lower[s])) <= sum(m * row for m, row in zip(mix, rows, strict=True))

    law()
    assert sum(away) > 5


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_phase_counts_from_the_end_of_its_interval(sign):
    """``y = x`` on [-1, 1], known to be at least 1/2 (at most -1/2): a multiplier of 1 says so."""
    b = Builder()
    net = b.finish(b.relu(b.affine(b.input((1, 1)), torch.ones(1, 1).double(), torch.zeros(1).double())))
    region = box(-torch.ones(1, 1).double(), torch.ones(1, 1).double())
    clause = Clause(region, *(torch.zeros(*n).double() for n in ((1, 1), (1,), (1,))), torch.zeros(1, dtype=torch.bool))
    problem = problem_of(net, region, node_bounds(net, region), [clause])
    domains = split(first_domains(problem), torch.zeros(1, dtype=torch.long)).select(
        slice(0, 1) if sign > 0 else slice(1, 2)
    )
    end = torch.full_like(domains.low, 0.5 * sign)
    domains = replace(domains, low=end) if sign > 0 else replace(domains, high=end)
    (r,) = net.relus
    one = torch.ones(1, 1, 1)
    found = Proposal({r: one}, {r: one}, torch.zeros(1, 1, 1))
    also = {net.nodes[r].inputs[0]: torch.full((1, 1, 1), sign).double()}
    lower = float(form_bound(problem, domains, found, pre=intervals(problem, domains), also=also))
    assert 0.5 - 1e-14 < lower <= 0.5


NASTY = (1e-300, 1e-160, 1e-8, 1.0, 1 + 2**-52, 1e8, 1e100)


@given(seed=st.integers(0, 10**6), scale=st.sampled_from(NASTY), size=st.sampled_from(NASTY))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_rounding_is_paid_for_on_nasty_numbers(seed, scale, size):
    """A region of one point leaves nothing but rounding between the bound and the exact value."""
    net = network("residual", seed)
    x = torch.rand(1, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale
    region = box(x, x)
    clause = clause_of(net, region, 3, seed)
    clause = Clause(region, clause.C * size, clause.d + 0.1 * size, clause.inner_d, clause.strict)
    problem = problem_of(net, region, node_bounds(net, region), [clause])
    _, rows = exact_rows(net, clause, x[0])
    domains = first_domains(problem)
    found = lying(problem, domains, 4, seed)
    lower = form_bound(problem, domains, found, pre=intervals(problem, domains))[0]
    for s in range(4):
        mix = [Fraction(max(m, 0.0)) for m in found.mix[0, s].tolist()]
        true = sum(m * row for m, row in zip(mix, rows, strict=True))
        assert Fraction(float(lower[s])) <= true
        room = 1e-9 * (1 + abs(float(true))) * max(1.0, float(sum(mix))) * max(size, 1.0) * max(scale, 1.0)
        assert float(lower[s]) >= float(true) - room, "the price of rounding is small"


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("which", ["alpha", "beta", "mix"])
def test_multipliers_that_are_not_finite_verify_nothing(which, bad):
    problem, domains = split_problem(("mlp", 0))
    found = lying(problem, domains, 1, 0)
    target = found.mix if which == "mix" else next(iter(getattr(found, which).values()))
    target[:, :, :] = bad
    lower = form_bound(problem, domains, found, pre=intervals(problem, domains))
    assert not bool(lower.isnan().any()) and not bool((lower == torch.inf).any())
    if which == "mix" or bad != bad:
        assert bool((lower <= 0).all())


def split_problem(which: tuple[str, int]) -> tuple[Problem, Domains]:
    """A problem with unstable neurons, and its domains after two splits."""
    kind, seed = which
    net = network(kind, seed)
    region = region_of(net, "linf", "1", seed)
    problem = problem_of(net, region, node_bounds(net, region), [clause_of(net, region, 2, seed)] * 2)
    domains = first_domains(problem)
    for column in (0, problem.columns.count - 1):
        domains = split(domains, torch.full((len(domains),), column))
    return problem, domains


@pytest.mark.parametrize("kind", RELUS)
def test_the_halves_of_a_domain_cover_it(kind):
    problem, domains = split_problem((kind, 1))
    assert len(domains) == 8 and domains.clause.tolist() == [0, 1] * 4
    points = samples(problem.region, 40, 1)
    values = list(problem.network.values(points))
    pre = torch.cat(
        [values[problem.network.nodes[r].inputs[0]].flatten(1)[:, i] for r, i in problem.columns.index.items()], 1
    )
    for clause in (0, 1):
        mine = domains.select(domains.clause == clause)
        inside = ((mine.low <= pre.unsqueeze(1)) & (pre.unsqueeze(1) <= mine.high)).all(2)
        assert bool(inside.any(1).all())
        signs = (mine.phase * pre.unsqueeze(1).sign() >= 0).all(2)
        assert bool((inside <= signs).all())


@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("kind", RELUS)
def test_tightening_never_cuts_off_a_point_that_satisfies_clause_and_phases(kind, lies, monkeypatch):
    """Neither with the multipliers that a search finds nor with random ones, NaN among them."""

    def lie(search, domains, start, ascent, **_):
        made = lying(search, domains, start.mix.shape[1], len(domains))
        made.mix[:, ::3] = torch.nan
        return Proposal(made.alpha, {r: made.beta[r] for r in start.beta}, made.mix, start.pace)

    if lies:
        monkeypatch.setattr(tighten, "climbed", lie)

    @given(seed=st.integers(0, 10**6), norm=st.sampled_from(NORMS), rows=st.integers(1, 3))
    @settings(max_examples=6, deadline=None, derandomize=True)
    def law(seed, norm, rows):
        net = network(kind, seed)
        region = region_of(net, norm, "0.7", seed)
        x = samples(region, 1, seed)[0]
        value = clause_of(net, region, rows, seed).C @ net(x[None])[0]
        clause = clause_of(net, region, rows, seed, -value - 1e-12)  # x satisfies the clause, and barely
        problem = problem_of(net, region, node_bounds(net, region), [clause])
        values, exact = exact_rows(net, clause, x)
        assert max(exact) <= 0
        domains, search = around(problem, values, seed), problem.to_search()
        for chosen in (False, True):
            domains = tightened(problem, search, domains, Ascent(steps=10), chosen=chosen)
            for r, index in problem.columns.index.items():
                pre, at = values[net.nodes[r].inputs[0]], problem.columns.place[r]
                for j, low, high in zip(
                    index.tolist(), domains.low[0, at].tolist(), domains.high[0, at].tolist(), strict=True
                ):
                    assert not low > pre[j] and not high < pre[j] and low == low and high == high
            found = bound(problem, search, domains, Ascent(steps=20))
            assert not bool(found.domains.lower > 0), "the domain holds a point that satisfies the clause"
            domains = found.domains

    law()


def test_intervals_imply_phases_that_hold():
    _, domains = split_problem(("mlp", 0))
    domains.low[0, 1], domains.high[0, 1] = 0.0, 2.0
    domains.low[1, 1], domains.high[1, 1] = 0.0, 0.0
    domains.phase[:2, 1] = 0
    known = implied(domains).phase[:2, 1]
    assert known.tolist() == [1, 0], "a neuron that is 0 has either phase"


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_rows_that_cancel_pay_for_the_rounding_of_their_sum(seed):
    """Two rows whose weighted sum is rounding and nothing else, about scores of 1e10."""
    g = torch.Generator().manual_seed(seed)
    mix = torch.rand(1, 1, 2, generator=g) + 0.5
    first = torch.rand(1, 3, generator=g, dtype=torch.float64) - 0.5
    weight = mix.double()[0, 0]
    b = Builder()
    net = b.finish(b.affine(b.relu(b.input((1, 3))), torch.eye(3).double()))
    x = torch.rand(1, 3, generator=g, dtype=torch.float64) * 1e10
    region = box(x, x)
    C, zero = torch.cat([first, -first * (weight[0] / weight[1])]), torch.zeros(2).double()
    clause = Clause(region, C, zero, zero, torch.zeros(2).bool())
    problem = problem_of(net, region, node_bounds(net, region), [clause])
    domains = first_domains(problem)
    lower = form_bound(problem, domains, Proposal({}, {}, mix), pre=intervals(problem, domains))
    _, rows = exact_rows(net, clause, x[0])
    assert Fraction(float(lower)) <= sum(Fraction(m) * row for m, row in zip(mix.flatten().tolist(), rows, strict=True))


def test_weights_that_underflow_are_paid_for():
    """``mix C`` vanishes, and scores of 1e30 would have made it count: the margin is -1e-300."""
    b = Builder()
    net = b.finish(b.affine(b.relu(b.input((1, 1))), torch.ones(1, 1).double()))
    x = torch.full((1, 1), 1e30, dtype=torch.float64)
    region, zero = box(x, x), torch.zeros(1).double()
    clause = Clause(region, torch.full((1, 1), -1e-300, dtype=torch.float64), zero, zero, torch.zeros(1).bool())
    problem = problem_of(net, region, node_bounds(net, region), [clause])
    mix, domains = torch.full((1, 1, 1), 1e-30), first_domains(problem)
    lower = form_bound(problem, domains, Proposal({}, {}, mix), pre=intervals(problem, domains))
    _, rows = exact_rows(net, clause, x[0])
    assert Fraction(float(lower)) <= Fraction(float(mix)) * rows[0]
