"""The claim: its regions, clauses, label and margins; what is changed in it is rejected with its own reason."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.certificates import File, ball, box, certificate, dense, i32, network, rejected
from support.worked_example import CLAUSES, NETWORK, REGION, STEPS, example, mix

from verify.check import check

MARGIN, SPLIT = STEPS[0], STEPS[2]

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
        r"part 0 of the claim has 1 and 1 rows of C and d, not 2",
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
