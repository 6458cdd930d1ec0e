"""Network files: nodes that do not fit are refused with a reason, and none asks for memory that the file does not fill."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from support.certificates import network

from verify.check.forms import Rejected
from verify.check.report import read_network

INPUT = {"op": "input", "size": 12}
CONV = {"op": "conv", "inputs": [0], "shape": [3, 2, 2], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
KERNEL = np.ones((2, 3, 1, 1))
AFFINE = {"op": "affine", "inputs": [0], "weight": np.ones((2, 12))}


def index(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


REFUSED: dict[str, tuple[list[Any], str]] = {
    "no nodes": ([], "there are no nodes"),
    "no input": ([AFFINE], "node 0 .affine.: the input is the first node"),
    "two inputs": ([INPUT, INPUT], "node 1 .input.: the input is the first node"),
    "an unknown op": ([INPUT, {"op": "tanh", "inputs": [0]}], "op of node 1 is 'tanh', not one of input, affine"),
    "an op that is a list": ([INPUT, {"op": ["relu"], "inputs": [0]}], r"op of node 1 is \['relu'\], not one of"),
    "a later node": (
        [INPUT, {"op": "relu", "inputs": [1]}],
        "entry 0 of inputs of it is 1, not an integer from 0 to 0",
    ),
    "one summand": ([INPUT, {"op": "add", "inputs": [0]}], "inputs of it has 1 entries, not 2"),
    "summands of two sizes": ([INPUT, AFFINE, {"op": "add", "inputs": [0, 1]}], "values of 12 and 2 are added"),
    "columns that do not fit": (
        [INPUT, {**AFFINE, "weight": np.ones((2, 5))}],
        "weight has 5 columns for a value of 12",
    ),
    "no columns": ([INPUT, {**AFFINE, "weight": np.ones((2, 0))}], "weight has 0 columns"),
    "no rows": ([INPUT, {**AFFINE, "weight": np.ones((0, 12))}], "a value of 0"),
    "a vector as a matrix": (
        [INPUT, {**AFFINE, "weight": np.ones(12)}],
        r"weight of it has the shape \(12,\), not m n",
    ),
    "an infinite weight": ([INPUT, {**AFFINE, "weight": np.full((2, 12), np.inf)}], r"has the entry inf at \[0, 0\]"),
    "a bias of another size": ([INPUT, {**AFFINE, "bias": np.ones(3)}], "bias has 3 entries for a value of 2"),
    "a negative bias_error": ([INPUT, {**AFFINE, "bias_error": -np.ones(2)}], "bias_error of it has the entry -1.0"),
    "a bias_error unlike the bias": (
        [INPUT, {**AFFINE, "bias": np.ones(2), "bias_error": np.ones(1)}],
        r"bias_error of it has the shape \(1,\), not b = \(2,\)",
    ),
    "many ulps": ([INPUT, {**AFFINE, "weight_ulps": 2**21}], "weight_ulps of it is 2097152, not an integer from 0"),
    "a factor for each but one": (
        [INPUT, {"op": "scale", "inputs": [0], "weight": np.ones(11)}],
        "weight has 11 entries",
    ),
    "an index beyond": ([INPUT, {"op": "select", "inputs": [0], "index": index(12)}], "index names entries that"),
    "an index of -2": ([INPUT, {"op": "select", "inputs": [0], "index": index(-2)}], r"index of it has the entry -2"),
    "a selection from nothing": ([INPUT, {"op": "select", "inputs": [], "index": index(0)}], "1 entries of 0 values"),
    "an empty selection": ([INPUT, {"op": "select", "inputs": [0], "index": index()}], "a value of 0"),
    "another plane": ([INPUT, {**CONV, "weight": KERNEL, "shape": [3, 2, 3]}], "weight has the shape"),
    "groups that do not fit": ([INPUT, {**CONV, "weight": np.ones((2, 2, 1, 1))}], "weight has the shape"),
    "no kernel": ([INPUT, {**CONV, "weight": np.ones((2, 3, 0, 1))}], "weight has the shape"),
    "a kernel that does not fit": (
        [INPUT, {**CONV, "weight": np.ones((2, 3, 3, 1))}],
        r"a kernel reaches \[3, 1\] over",
    ),
    "a stride of 0": ([INPUT, {**CONV, "weight": KERNEL, "stride": [0, 1]}], "entry 0 of stride of it is 0"),
    "an unknown key": ([INPUT, {**CONV, "weight": KERNEL, "groups": 1}], "it has an unknown key 'groups'"),
    "endless padding": ([INPUT, {**CONV, "weight": KERNEL, "padding": [2**24, 2**24]}], "windows or the padded input"),
    "endless windows": (
        [{"op": "input", "size": 10**6}, {**CONV, "shape": [1, 1000, 1000], "weight": np.ones((1, 1, 300, 300))}],
        "windows or the padded input have 44226090000 entries",
    ),
    "endless selections": (
        [INPUT, {"op": "select", "inputs": [0] * 2**10, "index": index(*range(12)).repeat(3000)}],
        "values",
    ),
    "an endless value": ([{"op": "input", "size": 2**26}], "size of it is 67108864, not an integer"),
    "endless values": (
        [INPUT, *({"op": "select", "inputs": [k], "index": np.zeros(2**21, dtype=np.int64)} for k in range(9))],
        "all of them and all indices have",
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
