"""Every rule: certificates that are accepted, and changes of them that are rejected with their own reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.certificates import box, certificate, i32, rejected
from support.worked_example import NETWORK, REGION, STEPS, beta, example, mix, refute

from verify.check import check


def tree(cut: Any, row: Any, *rows: Any, **more: Any) -> dict[str, Any]:
    """A tree with these multipliers of the rows of clause 1."""
    given = {"beta": mix(*rows)} if rows else {}
    return {"op": "tree", "cut": i32(*cut), "row": i32(*row), "multipliers": given, **more}


# Both ReLUs are split. Part 3 (x >= 0 and -x >= 0) is not empty, the point 0 is in it; beta says that there 2 x is at most 0.
ENDS = {"at": i32(1, 2, 4, 5, 6), "value": np.zeros((4, 5))}
ENDS["value"][:, 2:] = -np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]])
ENDS["value"][0, 0] = 2
SHAPE = (1, 2, 2, -1, -1, -1, -1), (-1, -1, -1, 0, 1, 2, 3)
TREE = {**tree(*SHAPE), "multipliers": {"beta": ENDS}}
# 0: the whole, cut at 0; its halves are refuted by the two signs of x
MIX = [0, 0, 0], [1, 1, 0], [1, 0, 1]
BOXES = tree((0, -1, -1), (0, 1, 2), *MIX, derive=[0])
ASSUME = {"op": "assume", "clause": 1}
MARGIN = STEPS[0]
SPLIT = STEPS[2]


def with_tree(**changed: Any) -> list[dict[str, Any]]:
    return [MARGIN, ASSUME, {**TREE, **changed}]


ACCEPTED = {
    "assume, split, bounds, tree": STEPS,
    "tree": with_tree(),
    "boxes": [MARGIN, ASSUME, BOXES],
    "boxes whose intervals say enough": [MARGIN, ASSUME, {**BOXES, "derive": []}],
    "bounds of nothing": [{"op": "bounds", "relu": 0, "neurons": i32(), "multipliers": {}}, *STEPS],
    "a clause may be refuted twice": [*STEPS, *STEPS],
    "parallel slopes": [{**MARGIN, "multipliers": {"default": "parallel"}}, *STEPS[1:]],
    "slopes in every type": [
        {**MARGIN, "multipliers": {"upper": {"at": i32(1, 2), "value": np.array([[half, half]], dtype=dtype)}}}
        for dtype, half in (("u1", 128), ("<u2", 32768), ("f4", 0.5), ("f8", 0.5))
    ]
    + STEPS[1:],
}


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str, arithmetic: str) -> None:
    report = check(example(steps=ACCEPTED[name]).data(), NETWORK, arithmetic=arithmetic)
    assert report.accepted, report.reason
    assert 0.99 < report.margins[0] <= 1.0


def slopes(value: Any, at: Any = (1, 2), kind: str = "lower") -> list[dict[str, Any]]:
    given = {kind: {"at": i32(*at), "value": np.array(value)}}
    return [{**MARGIN, "multipliers": given}, *STEPS[1:]]


def edited(number: int, **changed: Any) -> list[dict[str, Any]]:
    return [{**step, **changed} if k == number else step for k, step in enumerate(STEPS)]


def held(value: Any, at: Any = (1,)) -> dict[str, Any]:
    return {"beta": {"at": i32(*at), "value": np.array(value, dtype=np.float64)}}


REJECTED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a slope above 1": (
        slopes([[0.5, np.nextafter(1, 2)]]),
        r"step 0 \(bounds\): value of lower of multipliers has the entry 1.0000000000000002 at \[0, 1\], not",
    ),
    "a slope below 0": (
        slopes([[0.5, -5e-324]], kind="upper"),
        r"value of upper of multipliers has the entry -5e-324 at \[0, 1\], not a finite number from 0 to 1",
    ),
    "a slope that is NaN": (
        slopes([[0.5, np.nan]]),
        r"value of lower of multipliers has the entry nan at \[0, 1\], not a finite number",
    ),
    "slopes of no place": (
        slopes([[0.5, 0.5]], at=(1, 7)),
        r"at of lower of multipliers has the entry 7 at \[1\], not a finite number from 0 to 6",
    ),
    "slopes of a neuron twice": (slopes([[0.5, 0.5]], at=(1, 1)), r"at of lower is not strictly increasing"),
    "slopes of other rows": (
        slopes([[0.5, 0.5]] * 2),
        r"value of lower has the shape \(2, 2\), for 1 functionals and 2 places",
    ),
    "slopes of other neurons": (
        slopes([[0.5]]),
        r"value of lower has the shape \(1, 1\), for 1 functionals and 2 places",
    ),
    "slopes in a wrong type": (slopes(np.array([[1, 1]], dtype=np.int32)), r"is I32, not U8 or U16 or F32 or F64"),
    "an unknown default": (
        [{**MARGIN, "multipliers": {"default": "best"}}, *STEPS[1:]],
        r"default of multipliers is 'best', not one",
    ),
    "an unknown multiplier": ([{**MARGIN, "multipliers": {"gamma": {}}}, *STEPS[1:]], r"an unknown key 'gamma'"),
    "multipliers of text": (
        [{**MARGIN, "multipliers": "none"}],
        r"multipliers of step \d \(\w+\) is of type str, not dict",
    ),
    "a negative weight of a row": ([MARGIN, ASSUME, *edited(4, **refute(1, 1, -1))[2:]], r"derived bound is -"),
    "a weight that is NaN": (
        edited(4, **refute(1, 1, np.nan)),
        r"value of beta of multipliers has the entry nan at \[0, 2\]",
    ),
    "weights without an assumption": (edited(0, multipliers=held([[-9.0]], at=(3,))), r"clause 0 is not refuted"),
    "beta that goes with the far end": (
        edited(3, multipliers={"beta": beta(-1)}),
        r"step 4 \(tree\): part 0: the derived bound is -1.75",
    ),
    "beta that is not finite": (edited(3, multipliers={"beta": beta(np.inf)}), r"not a finite number"),
    "beta twice": (edited(3, multipliers=held([[1, 1]], at=(1, 1))), r"at of beta is not strictly increasing"),
    "beta of a row that is not there": (
        edited(3, multipliers=held([[1], [1]])),
        r"value of beta has the shape \(2, 1\), for 1 functionals and 1 places",
    ),
    "beta in a wrong type": (
        edited(3, multipliers={"beta": {"at": i32(1), "value": np.array([[1]], dtype=np.uint8)}}),
        r"value of beta of multipliers is U8, not F64 or F32",
    ),
    "halves of a split in the wrong order": (
        [*STEPS[:3], *STEPS[5:], *STEPS[3:5]],
        r"step 4 \(tree\): part 0: the derived bound is -1.75",
    ),
    "a dropped lemma": ([*STEPS[:3], *STEPS[4:]], r"step 3 \(tree\): part 0: the derived bound is -1.75"),
    "lemmas that come too late": ([*STEPS[:3], STEPS[4], STEPS[3], *STEPS[5:]], r"step 3 \(tree\): .*is -1.75"),
    "one half is missing": (STEPS[:5], r"1 frames are still open after the last step"),
    "more than two halves": ([*STEPS, STEPS[6]], r"step 7 \(tree\): it belongs in the assuming frame"),
    "a clause that no step refutes": (STEPS[:1], r"clause 1 is not refuted by any step"),
    "an assumption inside another": ([ASSUME, ASSUME], r"step 1 \(assume\): it belongs in the root frame"),
    "a split without an assumption": ([SPLIT], r"step 0 \(split\): it belongs in the assuming frame"),
    "an assumption of no clause": (
        [{"op": "assume", "clause": 2}],
        r"clause of step \d \(\w+\) is 2, not an integer from 0 to 1",
    ),
    "bounds of no ReLU": (edited(0, relu=2), r"relu of step \d \(\w+\) is 2, not an integer from 0 to 1"),
    "bounds of no row": (edited(0, neurons=i32(4)), r"step 0 \(bounds\): ReLU 1 has no neuron 4"),
    "bounds of no row from above": (edited(0, neurons=i32(~4)), r"step 0 \(bounds\): ReLU 1 has no neuron 4"),
    "a place that is not there": (
        edited(2, at=7),
        r"at of step 2 \(split\) is 7, not an integer from 0 to 6",
    ),
    "a place of text": (edited(2, at="0"), r"at of step 2 \(split\) is '0', not an integer"),
    "a place that is true": (edited(2, at=True), r"at of step \d \(\w+\) is True, not an integer"),
    "an unknown op": ([*STEPS, {"op": "trust"}], r"op of step 7 is 'trust', not one of bounds, assume"),
    "a step of text": (["trust me"], r"op of step 0 is None, not one of bounds, assume"),
    "an unknown key": (edited(2, bound=1), r"step 2 \(split\) has an unknown key 'bound'"),
    "neurons in a wrong type": (edited(3, neurons=np.ones(1)), r"neurons of step \d \(\w+\) is F64, not I32"),
    "an array that is not there": (
        edited(3, neurons="#9999"),
        r"neurons of step \d \(\w+\) is '#9999', not an array of the file",
    ),
    "too many frames": ([ASSUME, *[SPLIT] * 4100], r"step 4095 \(split\): over 4096 frames are open at once"),
    "a leaf that nothing refutes": (
        with_tree(row=i32(-1, -1, -1, -1, 0, 1, 2), multipliers={"beta": {**ENDS, "value": ENDS["value"][1:]}}),
        r"step 2 \(tree\): part 3: the derived bound is -inf, not above 0",
    ),
    "a tree split at other neurons": (
        with_tree(cut=i32(2, 1, 1, -1, -1, -1, -1)),
        r"step 2 \(tree\): part \d: the derived bound is -",
    ),
    "a tree with swapped leaves": (
        with_tree(multipliers={"beta": {**ENDS, "value": ENDS["value"][::-1].copy()}}),
        r"step 2 \(tree\): part \d: the derived bound is -\d",
    ),
    "a tree cut short": (
        with_tree(cut=i32(1, 2, 2, -1, -1, -1)),
        r"6 parts of which 3 are cut, with 7 rows, are no tree",
    ),
    "a tree that goes on": (
        [MARGIN, ASSUME, tree((-1, -1, -1, 2, 1), (0, 0, 0, 0, 0), [1, 1, 0])],
        r"5 parts of which 2 are cut, with 5 rows, are no tree",
    ),
    "a tree of no parts": ([ASSUME, tree((), ())], r"0 parts of which 0 are cut, with 0 rows, are no tree"),
    "a tree of other rows": (
        with_tree(row=i32(-1, -1, 0, 1, 2, 3)),
        r"7 parts of which 3 are cut, with 6 rows, are no tree",
    ),
    "rows that are not there": (
        with_tree(row=i32(-1, -1, -1, 0, 1, 2, 9)),
        r"has the shape \(4, 5\), for 10 functionals",
    ),
    "a tree split at no place": (
        with_tree(cut=i32(1, 2, 7, -1, -1, -1, -1)),
        r"cut of step \d \(\w+\) has the entry 7 at \[2\]",
    ),
    "boxes with swapped halves": (
        [ASSUME, tree((0, -1, -1), (0, 1, 2), [0, 0, 0], [1, 0, 1], [1, 1, 0], derive=[0])],
        r"step 1 \(tree\): part \d: the derived bound is -",
    ),
    "boxes that derive for no ReLU": ([ASSUME, {**BOXES, "derive": [2]}], r"derive is \[2\], not a list of ReLUs"),
    "boxes that derive for a text": ([ASSUME, {**BOXES, "derive": ["0"]}], r"derive is \['0'\], not a list of ReLUs"),
    "boxes that derive for true": ([ASSUME, {**BOXES, "derive": [True]}], r"derive is \[True\], not a list of ReLUs"),
}


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
@pytest.mark.parametrize("name", REJECTED)
def test_rejected_with_its_own_reason(name: str, arithmetic: str) -> None:
    steps, reason = REJECTED[name]
    report = check(example(steps=steps).data(), NETWORK, arithmetic=arithmetic)
    assert rejected(report, reason)


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
def test_a_margin_that_says_nothing_does_not_stand_in_the_way_of_another_proof(arithmetic: str) -> None:
    whole = {**tree((-1,), (0,)), "multipliers": {"beta": {"at": i32(3), "value": np.array([[-1.0]])}}}
    steps = [*slopes([[1.0, 1.0]], kind="upper")[:1], {"op": "assume", "clause": 0}, whole]
    file = certificate(NETWORK, REGION, steps, C=[[-1, 0]], d=[1.25])
    report = check(file.data(), NETWORK, arithmetic=arithmetic)
    assert report.accepted, report.reason
    assert report.margins == {}
    assert "clause 0: refuted, with no number derived" in report.words


# By hand, for x from -1 to 3: the chords give 8 - |x| >= 13/2 - x/2, and beta takes off beta (x + 1), or beta (x - 3) if negative.
BETAS = [(0, 5), (0.5, 3), (1, 1), (-0.25, 5), (-0.5, 5), (-1, 3)]


@pytest.mark.parametrize(("value", "margin"), BETAS)
def test_beta_at_an_unstable_neuron_goes_with_the_end_of_its_sign(value: float, margin: float) -> None:
    """Intervals alone give 8 - (3 + 1) = 4, so the row is 3 less here, and the margins of 1 and 2 are those of the interval."""
    steps = [{**MARGIN, "multipliers": {"beta": beta(value)}}]
    file = certificate(NETWORK, box([-1], [3]), steps, C=[[-1, 0]], d=[8])
    assert check(file.data(), NETWORK, arithmetic="exact").margins == {0: max(margin, 4)}
    assert max(margin, 4) - 1e-11 < check(file.data(), NETWORK).margins[0] <= max(margin, 4)
