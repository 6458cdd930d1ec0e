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
from support.certificates import ENTER, File, ball, box, certificate, dense, i32, mix, network
from support.worked_example import CLAUSES, NETWORK, REGION, STEPS, beta, example

from verify.check import Report, check


def i8(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int8)


def i16(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int16)


# Both ReLUs are split. Leaf 0 (x >= 0 and -x >= 0) is not empty, the point 0 is in it; beta says that there 2 x is at most 0.
TREE = {
    "op": "tree",
    "shape": i8(1, 1, 0, 0, 1, 0, 0),
    "relu": i16(0, 0, 0),
    "neuron": i32(0, 1, 1),
    "multipliers": {**mix([1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]), "beta": beta(2)},
}
# 0: the whole, cut at 0; its halves are refuted by the two signs of x
BOXES_MIX = [0, 0, 0], [1, 0, 1], [1, 1, 0]
BOXES = {"op": "boxes", "cut": i16(0, -1, -1), "multipliers": mix(*BOXES_MIX)}
ASSUME = {"op": "assume", "clause": 1}
MARGIN = STEPS[0]
SPLIT = STEPS[2]


def with_rows(count: int) -> dict[str, Any]:
    """The multipliers of the first leaves of the tree."""
    return {**TREE["multipliers"], "mix": TREE["multipliers"]["mix"][:count]}


def with_tree(**changed: Any) -> list[dict[str, Any]]:
    return [MARGIN, ASSUME, {**TREE, **changed}]


ACCEPTED = {
    "assume, split, bounds, refute": STEPS,
    "tree": with_tree(),
    "boxes": [MARGIN, ASSUME, BOXES],
    "interval changes nothing": [{"op": "interval", "relu": 0}, *STEPS],
    "a clause may be refuted twice": [*STEPS, *STEPS],
    "parallel slopes": [{**MARGIN, "multipliers": {"default": "parallel"}}, *STEPS[1:]],
    "slopes in every type": [
        {**MARGIN, "multipliers": {"upper": {"0": {"at": i32(0, 1), "value": np.array([[half, half]], dtype=dtype)}}}}
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


def slopes(value: Any, at: Any = (0, 1), kind: str = "lower") -> list[dict[str, Any]]:
    given = {kind: {"0": {"at": i32(*at), "value": np.array(value)}}}
    return [{**MARGIN, "multipliers": given}, *STEPS[1:]]


def edited(number: int, **changed: Any) -> list[dict[str, Any]]:
    return [{**step, **changed} if k == number else step for k, step in enumerate(STEPS)]


REJECTED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a slope above 1": (
        slopes([[0.5, np.nextafter(1, 2)]]),
        r"step 1 \(margins\): value of lower of ReLU 0 has the entry 1.0000000000000002 at \[0, 1\], not",
    ),
    "a slope below 0": (
        slopes([[0.5, -5e-324]], kind="upper"),
        r"value of upper of ReLU 0 has the entry -5e-324 at \[0, 1\], not a finite number from 0 to 1",
    ),
    "a slope that is NaN": (
        slopes([[0.5, np.nan]]),
        r"value of lower of ReLU 0 has the entry nan at \[0, 1\], not a finite number",
    ),
    "slopes of no neuron": (
        slopes([[0.5, 0.5]], at=(0, 2)),
        r"at of lower of ReLU 0 has the entry 2 at \[1\], not a finite number from 0 to 1",
    ),
    "slopes of a neuron twice": (slopes([[0.5, 0.5]], at=(1, 1)), r"is not strictly increasing"),
    "slopes of other rows": (slopes([[0.5, 0.5]] * 2), r"has 2 rows for 1 functionals"),
    "slopes in a wrong type": (slopes(np.array([[1, 1]], dtype=np.int8)), r"is I8, not U8 or U16 or F32 or F64"),
    "a ReLU that is not there": (
        [{**MARGIN, "multipliers": {"lower": {"1": {}}}}, *STEPS[1:]],
        r"lower names ReLU '1', and the network has 1",
    ),
    "an unknown default": (
        [{**MARGIN, "multipliers": {"default": "best"}}, *STEPS[1:]],
        r"default of multipliers is 'best', not one",
    ),
    "an unknown multiplier": ([{**MARGIN, "multipliers": {"gamma": {}}}, *STEPS[1:]], r"an unknown key 'gamma'"),
    "a negative mix": (
        edited(4, multipliers=mix([1, 1, -5e-324])),
        r"step 5 \(refute\): mix of multipliers has the entry -5e-324 at \[0, 2\], not",
    ),
    "mix of another clause": (
        edited(4, multipliers=mix([1])),
        r"mix of multipliers has the shape \(1, 1\), not .*\(1, 3\)",
    ),
    "mix without a clause": (edited(0, multipliers=mix([1])), r"mix is given in a frame that assumes no clause"),
    "beta that goes with the far end": (
        edited(3, multipliers={"beta": beta(-1)}),
        r"step 5 \(refute\): clause 1: the derived bound is -1.75",
    ),
    "beta that is not finite": (edited(3, multipliers={"beta": beta(np.inf)}), r"not a finite number"),
    "beta twice": (
        edited(3, multipliers={"beta": {"0": {"row": i32(0, 0), "at": i32(0, 0), "value": np.ones(2)}}}),
        r"beta of ReLU 0 names a row and neuron twice",
    ),
    "beta of a row that is not there": (
        edited(3, multipliers={"beta": {"0": {"row": i32(1), "at": i32(0), "value": np.ones(1)}}}),
        r"row of beta of ReLU 0 has the entry 1 at \[0\], not a finite number from 0 to 0",
    ),
    "halves of a split in the wrong order": (
        [*STEPS[:3], *STEPS[5:], *STEPS[3:5]],
        r"step 5 \(refute\): clause 1: the derived bound is -1.75",
    ),
    "a dropped lemma": ([*STEPS[:3], *STEPS[4:]], r"step 4 \(refute\): clause 1: the derived bound is -1.75"),
    "lemmas that come too late": ([*STEPS[:3], STEPS[4], STEPS[3], *STEPS[5:]], r"step 4 \(refute\): .*is -1.75"),
    "one half is missing": (STEPS[:5], r"1 frames are still open after the last step"),
    "more than two halves": ([*STEPS, STEPS[6]], r"step 8 \(refute\): it belongs in the assuming frame"),
    "a clause that no step refutes": (STEPS[:1], r"clause 1 is not refuted by any step"),
    "an assumption inside another": ([ASSUME, ASSUME], r"step 2 \(assume\): it belongs in the root frame"),
    "margins under an assumption": ([ASSUME, MARGIN], r"step 2 \(margins\): it belongs in the root frame"),
    "a margin of several rows": (edited(0, clauses=i32(1)), r"clause 1 has several rows: no margin"),
    "a margin of no clause": (
        edited(0, clauses=i32(2)),
        r"clauses of the step has the entry 2 at \[0\]",
    ),
    "an empty frame that is not": ([ASSUME, {"op": "empty"}], r"step 2 \(empty\): no interval of the frame is crossed"),
    "a neuron that is not there": (edited(2, neuron=2), r"step 3 \(split\): ReLU 0 has no neuron 2"),
    "a neuron of text": (edited(2, neuron="0"), r"step 3 \(split\): neuron of the step is '0', not an integer"),
    "a neuron that is true": (edited(2, neuron=True), r"neuron of the step is True, not an integer"),
    "an unknown op": ([*STEPS, {"op": "trust"}], r"step 8: op of the step is 'trust', not one of region, interval"),
    "an unknown key": (edited(2, bound=1), r"step 3 \(split\): the step has an unknown key 'bound'"),
    "a side that is 0": (edited(3, sides=i8(0)), r"sides has an entry other than 1 and -1"),
    "neurons in a wrong type": (edited(3, neurons=np.array([1])), r"neurons of the step is I64, not I32"),
    "an array that is not there": (
        edited(3, neurons="#9999"),
        r"neurons of the step is '#9999', which is no array of the file",
    ),
    "too many frames": ([ASSUME, *[SPLIT] * 4100], r"step 4096 \(split\): over 4096 frames are open at once"),
    "a tree split at other neurons": (
        with_tree(shape=i8(1, 1, 0, 0, 1, 0, 0), neuron=i32(1, 0, 0)),
        r"step 3 \(tree\): leaf 1: the derived bound is -",
    ),
    "a tree with swapped leaves": (
        with_tree(multipliers=mix([1, 0, 1], [1, 0, 1], [1, 1, 0], [1, 1, 0])),
        r"step 3 \(tree\): leaf 0: the derived bound is -\d",
    ),
    "a tree cut short": (
        with_tree(shape=i8(1, 1, 0, 0, 1, 0), multipliers=with_rows(3)),
        r"shape ends before its tree is complete",
    ),
    "a tree that goes on": (
        with_tree(shape=i8(1, 0, 0, 1, 1, 0, 0), multipliers=mix([1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 0, 1])),
        r"entry 3 of shape follows a tree that is complete",
    ),
    "a tree of other entries": (
        with_tree(shape=i8(1, 1, 0, 3, 1, 0, 0)),
        r"shape of the step has the entry 3 at \[3\], not a finite number from 0 to 2",
    ),
    "a tree split at no neuron": (with_tree(neuron=i32(0, 1, 2)), r"step 3 \(tree\): ReLU 0 has no neuron 2"),
    "a leaf said to be empty": (
        with_tree(shape=i8(1, 1, 2, 0, 1, 0, 0), multipliers=mix([1, 1, 0], [1, 0, 1], [1, 0, 1])),
        r"step 3 \(tree\): entry 2 of shape: no interval is crossed",
    ),
    "boxes with a part missing": (
        [ASSUME, {**BOXES, "cut": i16(0, -1), "multipliers": mix([1, 1, 0], [1, 0, 1])}],
        r"step 2 \(boxes\): part 2 is missing",
    ),
    "boxes that no cut makes": (
        [ASSUME, {**BOXES, "cut": i16(0, -1, -1, -1), "multipliers": mix(*BOXES_MIX, [1, 1, 0])}],
        r"4 parts, of which 3 are the box and the halves of those that are cut",
    ),
    "boxes with swapped halves": (
        [ASSUME, {**BOXES, "multipliers": mix([0, 0, 0], [1, 1, 0], [1, 0, 1])}],
        r"step 2 \(boxes\): part 1: the derived bound is -",
    ),
    "boxes cut along no input": (
        [ASSUME, {**BOXES, "cut": i16(1, -1, -1)}],
        r"cut of the step has the entry 1 at \[0\], not a finite number from -1 to 0",
    ),
}


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
@pytest.mark.parametrize("name", REJECTED)
def test_rejected_with_its_own_reason(name: str, arithmetic: str) -> None:
    steps, reason = REJECTED[name]
    report = check(example(steps=steps).data(), NETWORK, arithmetic=arithmetic)
    assert rejected(report, reason)


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
def test_a_margin_that_says_nothing_does_not_stand_in_the_way_of_another_proof(arithmetic: str) -> None:
    steps = [
        *slopes([[1.0, 1.0]], kind="upper")[:1],
        {"op": "assume", "clause": 0},
        {"op": "refute", "multipliers": mix([1])},
    ]
    file = certificate(NETWORK, REGION, steps, C=[[-1, 0]], d=[1.25])
    report = check(file.data(), NETWORK, arithmetic=arithmetic)
    assert report.accepted, report.reason
    assert report.margins[0] < 0
    assert "clause 0: refuted, with no number derived" in report.words


# By hand, for x from -1 to 3: the chords give 8 - |x| >= 13/2 - x/2, and beta takes off beta (x + 1), or beta (x - 3) if negative.
BETAS = [(0, 5), (0.5, 3), (1, 1), (-0.25, 5), (-0.5, 5), (-1, 3)]


@pytest.mark.parametrize(("value", "margin"), BETAS)
def test_beta_at_an_unstable_neuron_goes_with_the_end_of_its_sign(value: float, margin: float) -> None:
    steps = [{**MARGIN, "multipliers": {"beta": beta(value)}}]
    file = certificate(NETWORK, box([-1], [3]), steps, C=[[-1, 0]], d=[8])
    assert check(file.data(), NETWORK, arithmetic="exact").margins == {0: margin}
    assert margin - 1e-12 < check(file.data(), NETWORK).margins[0] <= margin


# Two regions, each with a clause; the second's needs its own steps.
LEAVE = {"op": "region", "number": 1}
TURNS = [ENTER, MARGIN, LEAVE, *STEPS[1:]]


def two_regions(steps: Any = TURNS, region_of: Any = (0, 1), **changed: Any) -> File:
    return example(steps=steps, region=[REGION, box([-1], [0.75])], region_of=region_of, **changed)


@pytest.mark.parametrize("arithmetic", ["float64", "exact"])
def test_clauses_may_be_about_different_regions(arithmetic: str) -> None:
    report = check(two_regions().data(), NETWORK, arithmetic=arithmetic)
    assert report.accepted, report.reason
    for part in ("region 0", "region 1", "clauses 0", "clauses 1"):
        assert part in report.words


def peak_of_regions(count: int, size: int) -> int:
    """The memory of checking ``count`` balls around one stored centre."""
    net = network(*dense((np.ones((1, size)), None)))
    enter = [{"op": "region", "number": g} for g in range(count)]
    centre = ball(np.zeros(size), "1")
    file = certificate(net, [centre], enter, C=np.ones((count, 1)), region_of=np.arange(count))
    file.document["claim"]["regions"] *= count
    data = file.data()
    tracemalloc.start()
    assert rejected(check(data, net), r"clause 0 is not refuted")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_many_regions_take_the_memory_of_one() -> None:
    """A file may name one centre again and again: what is derived of a region is not kept."""
    size = 1500
    assert peak_of_regions(30, size) - peak_of_regions(10, size) < 20 * size * 8


REGIONS: dict[str, tuple[File, str]] = {
    "out of order": (two_regions([LEAVE, *STEPS]), r"step 0 \(region\): region 1 is entered, the next is 0"),
    "entered twice": (two_regions([ENTER, MARGIN, ENTER]), r"step 2 \(region\): region 0 is entered, the next is 1"),
    "left out": (two_regions([ENTER, MARGIN]), r"clause 1 is not refuted by any step"),
    "entered by no step": (two_regions([MARGIN]), r"step 0 \(margins\): no region was entered yet"),
    "no steps at all": (two_regions([]), r"clause 0 is not refuted by any step"),
    "one that is not there": (
        two_regions([*TURNS, {"op": "region", "number": 2}]),
        r"number of the step is 2, not an integer",
    ),
    "margins of another's clause": (
        two_regions([ENTER, LEAVE, MARGIN]),
        r"step 2 \(margins\): clause 0 is about region 0, not the current one",
    ),
    "another's clause assumed": (
        two_regions([ENTER, *STEPS]),
        r"step 2 \(assume\): clause 1 is about region 1, not the current one",
    ),
    "left while a frame is open": (
        two_regions([ENTER, LEAVE, ASSUME, ENTER]),
        r"step 3 \(region\): it belongs in the root frame",
    ),
    "one without a clause": (
        two_regions(region_of=(0, 0)),
        r"region_of leaves a region out, or there is none",
    ),
    "a clause about none": (two_regions(region_of=(0, 2)), r"region_of of the claim has the entry 2 at \[1\]"),
    "a negative number": (two_regions(region_of=(0, -1)), r"region_of of the claim has the entry -1 at \[1\]"),
    "no regions": (example(region=[], region_of=(0, 0)), r"region_of of the claim has the entry 0 at \[0\]"),
    "two of a label": (
        certificate(
            network(*dense(([[1], [-1]], None), ([[1, 1], [0, 0], [0, 0]], [1, 0, 0.5]))),
            [REGION, REGION],
            [ENTER, {"op": "margins", "clauses": i32(0), "multipliers": {}}],
            label=0,
            outputs=3,
            region_of=(0, 1),
        ),
        r"a label, and 2 regions",
    ),
    "clauses that changed places": (
        two_regions([ENTER, LEAVE, MARGIN, *STEPS[1:]], region_of=(1, 0)),
        r"step 3 \(assume\): clause 1 is about region 0",
    ),
}


@pytest.mark.parametrize("name", REGIONS)
def test_regions_that_do_not_fit_are_rejected(name: str) -> None:
    file, reason = REGIONS[name]
    net = NETWORK if name != "two of a label" else LABEL_NET
    assert rejected(check(file.data(), net), reason)


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
LABEL_STEPS = [{"op": "margins", "clauses": i32(0, 1), "multipliers": {}}]


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
    "a label that is no output": (put("claim", "label", 3), r"label of the claim is 3, not an integer from 0 to 2"),
    "a label of text": (put("claim", "label", "0"), r"label of the claim is '0', not an integer"),
    "unknown semantics": (
        put("claim", "semantics", "bfloat16"),
        r"semantics of the claim is 'bfloat16', not one of float32, real",
    ),
    "another norm": (put("claim", "regions", 0, "kind", "l3"), r"kind of the region is 'l3', not one of box, linf"),
    "an epsilon with an exponent": (
        put("claim", "regions", 0, "epsilon", "1e9"),
        r"epsilon of the region is '1e9', not a number such as",
    ),
    "a negative epsilon": (put("claim", "regions", 0, "epsilon", "-1"), r"epsilon is -1, negative"),
    "epsilon over 0": (put("claim", "regions", 0, "epsilon", "1/0"), r"epsilon of the region is '1/0', not a number"),
    "an empty region": (put("claim", "regions", 0, "at_least", "2"), r"the region is empty"),
    "a region of no kind": (
        put("claim", "regions", 0, {"epsilon": "1"}),
        r"kind of the region is None, not one of box",
    ),
    "an unknown key": (put("claim", "trusted", 1), r"the claim has an unknown key 'trusted'"),
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


def test_a_larger_region_no_longer_has_the_margin() -> None:
    net = network(*dense(([[1], [-1]], None), ([[-1, -1], [0, 0]], [1.5, 0])))
    steps = [{"op": "margins", "clauses": i32(0), "multipliers": {}}]
    file = certificate(net, ball([0.0], "1", clip=[None, "1"]), steps, label=0, margins=[0.25])
    assert check(file.data(), net).accepted
    file.document["claim"]["regions"][0]["epsilon"] = "7/5"
    assert rejected(check(file.data(), net), r"clause 0 \(target 1\): derived margin 0.[01]\d*, claimed 0.25")
    file.document["claim"]["regions"][0]["epsilon"] = "2"
    del file.document["claim"]["regions"][0]["at_most"]
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
