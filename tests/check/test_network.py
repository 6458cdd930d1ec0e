"""Network files: nodes that do not fit are refused with a reason, and none asks for memory that the file does not fill."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from support.certificates import affine, i32, network

from verify.check.forms import Rejected
from verify.check.report import read_network

INPUT = {"op": "input", "size": 12}
AFFINE = affine([0], np.ones((2, 12)))
RELU = {"op": "relu", "inputs": [0]}


def changed(**keys: Any) -> list[Any]:
    return [INPUT, {**AFFINE, **keys}]


REFUSED: dict[str, tuple[list[Any], str]] = {
    "no nodes": ([], "there are no nodes"),
    "no input": ([AFFINE], "node 0 .linear.: the input is the first node"),
    "two inputs": ([INPUT, INPUT], "node 1 .input.: the input is the first node"),
    "an unknown op": (
        [INPUT, {"op": "tanh", "inputs": [0]}],
        r"op of node \d( \(\w+\))? is 'tanh', not one of input, relu, linear",
    ),
    "an op that is a list": (
        [INPUT, {"op": ["relu"], "inputs": [0]}],
        r"op of node \d( \(\w+\))? is \['relu'\], not one of",
    ),
    "a later node": ([INPUT, {"op": "relu", "inputs": [1]}], r"inputs are \[1\], not nodes before it"),
    "a node of text": ([INPUT, {"op": "relu", "inputs": ["0"]}], r"inputs are \['0'\], not nodes before it"),
    "a node that is true": ([INPUT, RELU, {"op": "relu", "inputs": [True]}], r"inputs are \[True\], not nodes"),
    "no inputs": ([INPUT, {"op": "relu", "inputs": []}], r"inputs are \[\], not nodes before it"),
    "a ReLU of two": ([INPUT, {"op": "relu", "inputs": [0, 0]}], r"inputs are \[0, 0\], not nodes before it"),
    "no taps": (changed(taps=np.zeros((0, 0), dtype=np.int32)), "weight does not fit|its value is empty"),
    "taps beyond": (changed(taps=AFFINE["taps"] + i32(1)), "it reads entries beyond the 12 of its inputs"),
    "a negative tap": (changed(taps=AFFINE["taps"] - i32(1)), r"taps of node \d \(\w+\) has the entry -1 at \[0, 0\]"),
    "taps of another weight": (changed(taps=AFFINE["taps"][:, 1:]), "weight does not fit"),
    "taps that are a vector": (changed(taps=AFFINE["taps"][0]), r"taps of node \d \(\w+\) has the shape \(12,\), not"),
    "no bases": (changed(bases=i32()), "its value is empty"),
    "bases beyond": (changed(bases=i32(1)), "it reads entries beyond"),
    "a negative base": (changed(bases=i32(-1)), r"bases of node \d \(\w+\) has the entry -1"),
    "an entry beyond what is gathered": (changed(gather=i32(*range(11))), "beyond the 11 that it gathers"),
    "gathered entries beyond": (changed(gather=i32(*range(1, 13))), "beyond the 12 of its inputs"),
    "a gathered entry of -2": (changed(gather=i32(*range(-2, 10))), r"gather of node \d \(\w+\) has the entry -2"),
    "an entry gathered twice": (
        changed(gather=i32(0, 0), taps=i32(0)[None], bases=i32(0, 1), weight=np.ones((1, 2, 1))),
        "a tap reads an entry twice",
    ),
    "an entry twice": (changed(bases=i32(0, 0)), "a tap reads an entry twice"),
    "a matrix as weight": (changed(weight=np.ones((2, 12))), r"weight of node \d \(\w+\) has the shape \(2, 12\), not"),
    "no rows": (changed(weight=np.ones((1, 0, 12))), "its value is empty"),
    "an infinite weight": (changed(weight=np.full((1, 2, 12), np.inf)), r"has the entry inf at \[0, 0, 0\]"),
    "a bias of another size": (changed(bias=np.ones(3)), "bias has 3 entries for a value of 2"),
    "a negative bias_error": (changed(bias_error=-np.ones(2)), r"bias_error of node \d \(\w+\) has the entry -1.0"),
    "a bias_error of another size": (changed(bias_error=np.ones(1)), "bias_error has 1 entries for a value of 2"),
    "many ulps": (changed(weight_ulps=2**21), r"weight_ulps of node \d( \(\w+\))? is 2097152, not an integer from 0"),
    "an unknown key": (changed(groups=1), " has an unknown key 'groups'"),
    "an endless value": ([{"op": "input", "size": 2**26}], r"size of node \d( \(\w+\))? is 67108864, not an integer"),
    "endless windows": (
        [
            {"op": "input", "size": 2**20},
            changed(
                taps=np.arange(2**15, dtype=np.int32)[None],
                bases=np.arange(2**15, dtype=np.int32),
                weight=np.ones((1, 1, 2**15)),
            )[1],
        ],
        "of 32505856 that are left",
    ),
    "endless rows": (
        [INPUT, changed(taps=i32(0)[None], bases=i32(*range(12)).repeat(1000), weight=np.ones((1, 2**14, 1)))[1]],
        "it needs 196620012 entries",
    ),
    "endless inputs": ([{"op": "input", "size": 2**15}, {**AFFINE, "inputs": [0] * 2**12}], "it needs 134217"),
    "endless values": (
        [{"op": "input", "size": 2**22}, *[RELU] * 9],
        "it needs 8388608 entries, of 4194304 that are left",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nodes_that_do_not_fit_are_refused(name: str) -> None:
    nodes, reason = REFUSED[name]
    data = network(*nodes)
    tracemalloc.start()
    with pytest.raises(Rejected) as refused:
        read_network(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert re.search(reason, str(refused.value)), refused.value
    assert peak < 2**24 + 10 * len(data)
