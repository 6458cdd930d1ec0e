"""Every rule: certificates that are accepted, and changes of them that are rejected with their own reason."""

from __future__ import annotations

import gzip
import re
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.certificates import File, ball, box, certificate, dense, i32, network
from support.worked_example import CLAUSES, NETWORK, REGION, STEPS, beta, example, mix, refute

from verify.check import Report, check


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


# Two regions, each with clauses; the second's needs its own steps. The rows of clause 1 are at other places there.
OTHERS = [
    {"op": "assume", "clause": 0},
    SPLIT,
    STEPS[3],
    {**STEPS[4], "multipliers": {"beta": {**mix([1, 1, 0]), "at": i32(3, 4, 5)}}},
    STEPS[5],
    {**STEPS[6], "multipliers": {"beta": {**mix([1, 0, 1]), "at": i32(3, 4, 5)}}},
]
EACH = {
    "rows": [[1], [3]],
    "C": [CLAUSES["C"][:1], CLAUSES["C"][1:]],
    "d": [CLAUSES["d"][:1], CLAUSES["d"][1:]],
}


def two_regions(steps: Any = ([MARGIN], OTHERS), **changed: Any) -> File:
    return certificate(NETWORK, [REGION, box([-1], [0.75])], [list(own) for own in steps], **{**EACH, **changed})


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
def test_clauses_may_be_about_different_regions(arithmetic: str) -> None:
    report = check(two_regions().data(), NETWORK, arithmetic=arithmetic)
    assert report.accepted, report.reason
    for part in ("all x of a given box of 1 inputs", "clause 0", "clause 1"):
        assert part in report.words


def peak_of_regions(count: int, size: int) -> int:
    """The memory of checking ``count`` balls around one stored centre."""
    net = network(*dense((np.ones((1, size)), None)))
    file = certificate(net, [ball(np.zeros(size), "1")], [[]], C=[np.ones((1, 1))], d=[[2.0 * size]])
    file.document["claim"]["parts"] *= count
    file.document["steps"] *= count
    file.document["claim"]["parts"][-1] = {**file.document["claim"]["parts"][-1], "d": file.named(np.zeros(1))}
    data = file.data()
    tracemalloc.start()
    assert rejected(check(data, net), rf"clause {count - 1} is not refuted")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_many_regions_take_the_memory_of_one() -> None:
    """A file may name one centre again and again: what is derived of a region is not kept."""
    size = 1500
    assert peak_of_regions(30, size) - peak_of_regions(10, size) < 20 * size * 8


def without_parts() -> File:
    file = example()
    file.document["claim"]["parts"] = []
    return file


REGIONS: dict[str, tuple[File, str]] = {
    "steps of another": (two_regions([[], [*OTHERS]]), r"clause 0 is not refuted"),
    "steps of others": (two_regions([OTHERS, [MARGIN]]), r"step \d \(\w+\): "),
    "steps of one": (two_regions([[MARGIN]]), r"there are steps of 1 parts, and the claim has 2"),
    "steps of more": (two_regions([[MARGIN], OTHERS, []]), r"there are steps of 3 parts, and the claim has 2"),
    "steps that are no list": (two_regions([[MARGIN], {}]), r"clause 1 is not refuted"),
    "no steps at all": (two_regions([[], []]), r"clause 0 is not refuted by any step"),
    "a frame that stays open": (
        two_regions([[{"op": "assume", "clause": 0}], OTHERS]),
        r"1 frames are still open after the last step",
    ),
    "no parts": (without_parts(), r"the claim has 0 parts"),
    "one without a clause": (two_regions(rows=[[], [3]]), r"part 0 of the claim has 0 clauses and 0 margins"),
    "rows of no clause": (
        two_regions(rows=[[2], [3]]),
        r"part 0 of the claim has 1 and 1 rows of C and d, and clauses 2",
    ),
    "a clause without rows": (two_regions(rows=[[0], [3]]), r"rows of part 0 of the claim has the entry 0"),
    "more margins than clauses": (two_regions(margins=[[0, 0], [0]]), r"has 1 clauses and 2 margins"),
    "a margin of several rows": (
        two_regions(margins=[[0], [1]]),
        r"part 1 of the claim claims a margin of a clause of several",
    ),
}


@pytest.mark.parametrize("name", REGIONS)
def test_regions_that_do_not_fit_are_rejected(name: str) -> None:
    file, reason = REGIONS[name]
    assert rejected(check(file.data(), NETWORK), reason)


def test_a_label_is_about_one_region() -> None:
    file = labelled()
    file.document["claim"]["parts"] *= 2
    file.document["steps"] *= 2
    assert rejected(check(file.data(), LABEL_NET), "the claim has 2 parts, not one")


def rejected(report: Report, reason: str) -> bool:
    assert not report.accepted
    assert report.readable
    assert re.search(reason, report.reason), report.reason
    return True


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
def test_a_margin_is_what_was_derived_and_not_an_ulp_more(arithmetic: str) -> None:
    derived = check(example().data(), NETWORK, arithmetic=arithmetic).margins[0]
    most = np.float32(derived)
    most = np.nextafter(most, np.float32(0)) if float(most) > derived else most
    assert check(example(margins=[most, 0]).data(), NETWORK, arithmetic=arithmetic).accepted
    over = np.nextafter(most, np.float32(2))
    assert rejected(
        check(example(margins=[over, 0]).data(), NETWORK, arithmetic=arithmetic),
        rf"clause 0: derived margin {derived}, claimed {float(over)!r}",
    )


# The claim: what is changed, and whether the hash of the content is made anew.
LABEL_NET = network(*dense(([[1], [-1]], None), ([[1, 1], [0, 0], [0, 0]], [1, 0, 0.5])))
LABEL_STEPS = [{"op": "bounds", "relu": 1, "neurons": i32(0, 1), "multipliers": {}}]


def labelled(region: Any = None, **changed: Any) -> File:
    given = {"label": 0, "outputs": 3, "margins": [0.99, 0.49], **changed}
    return certificate(LABEL_NET, region or ball([0.0], "1", clip=["-1", "1"]), LABEL_STEPS, **given)


def put(*path: Any) -> Callable[[Any], None]:
    """A change of the document: the last of ``path`` is what the place before it will hold."""

    def change(document: Any) -> None:
        for key in path[:-2]:
            document = document[key]
        document[path[-2]] = path[-1]

    return change


CLAIMS: dict[str, tuple[Callable[[Any], None], str]] = {
    "another network": (
        put("claim", "network", "identity", "0" * 64),
        r"the claim is about the network '0{64}', this one is",
    ),
    "another label": (put("claim", "label", 1), r"C and d are not those of label 1 against all others"),
    "a label that is no output": (put("claim", "label", 3), r"C and d are not those of label 3"),
    "a label of text": (put("claim", "label", "0"), r"label of claim of the document is of type str, not int"),
    "unknown semantics": (
        put("claim", "semantics", "bfloat16"),
        r"semantics of claim of the document is 'bfloat16', not one of float32, real",
    ),
    "another norm": (
        put("claim", "parts", 0, "region", "kind", "l3"),
        r"kind of the region is 'l3', not one of box, linf",
    ),
    "an epsilon with an exponent": (
        put("claim", "parts", 0, "region", "epsilon", "1e9"),
        r"epsilon of the region \(linf\) is '1e9', not a number such as",
    ),
    "a negative epsilon": (put("claim", "parts", 0, "region", "epsilon", "-1"), r"epsilon is -1, negative"),
    "epsilon over 0": (
        put("claim", "parts", 0, "region", "epsilon", "1/0"),
        r"epsilon of the region \(linf\) is '1/0', not a number",
    ),
    "an empty region": (put("claim", "parts", 0, "region", "at_least", "2"), r"the region is empty"),
    "a region of no kind": (
        put("claim", "parts", 0, "region", {"epsilon": "1"}),
        r"kind of the region is None, not one of box",
    ),
    "an unknown key": (put("claim", "trusted", 1), r"claim of the document has an unknown key 'trusted'"),
    "no made_by": (put("made_by", None), r"made_by of the document is not an object"),
    "made by a number": (put("made_by", "program", 1), r"program of made_by of the document is of type int, not str"),
    "steps that are no list": (put("steps", {}), r"steps of the document is of type dict, not list"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_changed_claim_is_rejected(name: str) -> None:
    change, reason = CLAIMS[name]
    file = labelled()
    before = file.data()
    assert check(before, LABEL_NET).accepted
    change(file.document)
    assert rejected(check(file.data(), LABEL_NET), reason)


def test_a_label_of_a_network_of_many_outputs_takes_no_memory() -> None:
    """The rows that it would have are not made before as many are there."""
    net = network({"op": "input", "size": 2**18})
    file = certificate(net, ball(np.zeros(2**18), "1"), [], C=np.zeros((1, 2**18)))
    file.document["claim"]["label"] = 0
    data = file.data()
    tracemalloc.start()
    assert rejected(check(data, net), r"C and d are not those of label 0")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


def test_a_larger_region_no_longer_has_the_margin() -> None:
    net = network(*dense(([[1], [-1]], None), ([[-1, -1], [0, 0]], [1.5, 0])))
    steps = [{"op": "bounds", "relu": 1, "neurons": i32(0), "multipliers": {}}]
    file = certificate(net, ball([0.0], "1", clip=[None, "1"]), steps, label=0, margins=[0.25])
    assert check(file.data(), net).accepted
    file.document["claim"]["parts"][0]["region"]["epsilon"] = "7/5"
    assert rejected(check(file.data(), net), r"clause 0 \(target 1\): derived margin 0.[01]\d*, claimed 0.25")
    file.document["claim"]["parts"][0]["region"]["epsilon"] = "2"
    del file.document["claim"]["parts"][0]["region"]["at_most"]
    assert rejected(check(file.data(), net), r"clause 0 \(target 1\) is not refuted by any step")


def test_another_file_of_the_same_network_fits_and_another_network_does_not() -> None:
    file = labelled().data()
    for other in (gzip.compress(LABEL_NET), zlib.compress(LABEL_NET)):
        assert check(file, other).accepted
    changed = network(*dense(([[1], [-1]], None), ([[1, 1], [0, 0], [0, 0]], [1, 0, np.nextafter(0.5, 1)])))
    assert rejected(check(file, changed), "the claim is about the network")


def test_the_claim_is_said_in_words() -> None:
    words = check(labelled().data(), LABEL_NET).words
    for part in ("linf(x - centre) <= 1", "from -1 to 1", "label 0", "target 2", "real arithmetic"):
        assert part in words


def test_clauses_need_not_be_of_a_label() -> None:
    assert check(example(**CLAUSES, region=REGION).data(), NETWORK).accepted
    assert rejected(check(example(region=box([1], [-1])).data(), NETWORK), "the region is empty")
