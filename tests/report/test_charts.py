"""Charts draw what is true: steps on the right side, every input in one bar, zero where it is, the closest calls first."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from support.demo import demo_data, demo_network
from support.runs import made_run

import verify
from verify.report.axis import Axis, round_step
from verify.report.curves import charts
from verify.report.gallery import grey_bytes, signed_bytes
from verify.report.histogram import margin_histograms
from verify.report.ladder import chosen, ladder_of
from verify.report.subject import subject_of_run

F = Fraction
RADII = verify.Radii(
    "net",
    certified=(F(1, 10), F(1, 5), None, F(0), F(3, 10)),
    broken=(F(1, 5), None, F(0), F(1, 10), None),
    most=F(3, 10),
    norm="linf",
)


def height(path, x):
    """The height of a path of steps at ``x``, which is not on an edge."""
    points = [tuple(map(float, pair.split())) for pair in re.split("[ML]", path)[1:]]
    (y,) = {a[1] for a, b in pairwise(points) if a[0] < x < b[0]}
    return y


@pytest.mark.parametrize("epsilon", ["0.01", "0.05", "0.09", "0.11", "0.15", "0.19", "0.21", "0.29"])
def test_between_two_radii_the_steps_say_what_is_known_there(epsilon):
    (chart,) = charts([], [RADII])
    (drawn,) = chart.curves
    radius = F(epsilon)
    across, up = Axis(0, 0.3, chart.left, chart.right), Axis(0, 1, chart.base, chart.top)
    assert height(drawn.certified, across.at(float(radius))) == up.at(1 - RADII.certified_error(radius))
    assert height(drawn.unbroken, across.at(float(radius))) == up.at(1 - RADII.attacked_error(radius))


def test_a_run_says_something_of_the_radii_around_its_own(tmp_path):
    """Verified at 1/5 verifies 1/10 too, and broken at 1/10 breaks 1/5 too, whatever those runs found themselves."""
    good = {i: verify.Record(i, 0, 0, "verified", "crown", "", lower=1.0) for i in range(6)}
    bad = {i: verify.Record(i, 0, 0, "falsified", "attack", "", upper=-1.0) for i in range(6, 8)}
    open_ = {i: verify.Record(i, 0, 0, "unknown", "crown", "") for i in range(10)}
    subjects = [
        subject_of_run(verify.Run(tmp_path, made_run(tmp_path, 10, epsilon=epsilon).identity, open_ | known), "")
        for epsilon, known in (("1/5", good), ("1/10", bad))
    ]
    ((drawn,),) = [chart.curves for chart in charts(subjects, [])]
    assert drawn.rows == (("0", "60.00%", "100.00%"), ("0.1", "60.00%", "80.00%"), ("0.2", "60.00%", "80.00%"))


def test_questions_about_other_inputs_or_networks_share_no_curve(tmp_path):
    subjects = []
    for k, epsilon in enumerate(("1/5", "1/10")):
        run = made_run(tmp_path, 10, epsilon=epsilon)
        run.identity["network"] = f"network {k}"
        subjects.append(subject_of_run(run, ""))
    assert charts(subjects, []) == ()


def test_every_input_with_a_margin_is_in_one_bar(tmp_path):
    run = made_run(tmp_path, 500)
    for one in margin_histograms(subject_of_run(run, "")):
        side = {"verified": "lower", "falsified": "upper"}[one.kind]
        values = [getattr(r, side) for r in run.records.values() if r.state == one.kind]
        for bar in one.bars:
            assert bar.count == sum(bar.low <= value < bar.high and value != math.ulp(0.0) for value in values)
            assert one.left <= bar.x and bar.x + bar.width <= one.right and one.top <= bar.y <= one.base
        signs = 0 if one.sign_only is None else one.sign_only.count
        assert sum(bar.count for bar in one.bars) + signs == len(values)
        assert signs == values.count(math.ulp(0.0))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 0.1), (0, 0.3), (1e-9, 2e-9), (-1e12, 1e12), (0, 0)])
def test_ticks_are_round_and_on_the_paper(low, high):
    axis = Axis(low, high, 0, 100)
    ticks = axis.ticks(6)
    assert len(ticks) <= 7 and all(-0.01 <= at <= 100.01 for at, _ in ticks)
    for at, words in ticks:
        assert float(words) == pytest.approx(low + at / 100 * (high - low), abs=1e-3 * ((high - low) or 1))
    assert f"{round_step(high - low, 6):e}"[0] in "125"


def test_the_ladder_takes_the_closest_calls_of_each_kind_in_turn(tmp_path):
    run = made_run(tmp_path, 400)
    picked = chosen(run, 9)
    assert [r.state for r in picked] == ["unknown", "falsified", "verified"] * 3
    assert not any(r.misclassified for r in picked)
    for state, side in (("unknown", "lower"), ("falsified", "upper"), ("verified", "lower")):
        sizes = sorted(abs(getattr(r, side)) for r in run.records.values() if r.state == state and not r.misclassified)
        assert [abs(getattr(r, side)) for r in picked if r.state == state] == sizes[:3]
    assert len(chosen(run, 10_000)) == sum(not r.misclassified and r.state != "error" for r in run.records.values())


def test_the_bars_of_a_ladder_lie_where_the_bounds_do():
    methods = ("interval", "crown", "alpha")
    x, label = demo_data().inputs[4], int(demo_data().labels[4])
    answer = verify.compare(demo_network(), x, label, epsilon="0.07", clip=(0, 1), methods=methods)
    ladder = ladder_of(answer, verify.Record(4, label, label, "verified", "complete", ""))
    rungs = {rung.method: rung for rung in ladder.rungs}
    lowers = {method: answer.results[method].lower for method in methods}
    assert {method: rung.lower for method, rung in rungs.items()} == lowers and ladder.upper == min(answer.upper)
    assert [rungs[method].beyond for method in methods] == [True, False, False]
    # One scale: where zero lies follows from any two other marks.
    crown, alpha = rungs["crown"], rungs["alpha"]
    unit = (alpha.start - crown.start) / (alpha.lower - crown.lower)
    assert ladder.zero == pytest.approx(crown.start - unit * crown.lower, abs=0.1)
    assert alpha.end == pytest.approx(ladder.zero + unit * ladder.upper, abs=0.3)
    assert all(0 <= rung.start <= rung.end <= 100 and rung.gap == ladder.upper - rung.lower for rung in ladder.rungs)


def test_colours_are_those_of_the_input_and_of_the_sign():
    grey = grey_bytes(torch.tensor([[0.0, 0.5], [1.0, 2.0]]).numpy(), 0.0, 2.0)
    assert grey[:, :, 0].tolist() == [[0, 64], [128, 255]]
    signed = signed_bytes(torch.tensor([[-1.0, 0.0, 1.0]]).double().numpy())
    assert signed.tolist() == [[[178, 24, 43], [255, 255, 255], [33, 102, 172]]]
