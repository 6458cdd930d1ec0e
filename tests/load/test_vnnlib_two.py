"""VNN-LIB 2.0 means what the same property says in 1.0; what is more than one network of two tensors is refused."""

from __future__ import annotations

import gzip
import sys

import pytest
from support.properties import network, unit

import verify
from verify.errors import LoadError, MissingDependency, UnsupportedProperty

vnnlib = pytest.importorskip("vnnlib")

HEAD = """(vnnlib-version <2.0>)
(declare-network f
  (declare-input X float32 [1, 2])
  (declare-output Y float32 [2]))
"""
UNIT = """(assert (and (>= X[0,0] 0.0) (<= X[0,0] 1.0)))
(assert (>= X[0,1] 0.0)) (assert (<= X[0,1] 1.0))
"""


@pytest.fixture
def read(tmp_path):
    def reader(text, name="p.vnnlib"):
        file = tmp_path / name
        file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return verify.load_property(file, network())

    return reader


def content(prop):
    return [
        [t.tolist() for t in (c.region.lower, c.region.inner_lower, c.region.upper, c.C, c.d, c.inner_d, c.strict)]
        for c in prop.clauses
    ]


@pytest.mark.parametrize(
    ("two", "one"),
    [
        ("(<= Y[0] Y[1])", "(<= Y_0 Y_1)"),
        ("(> Y[0] (* 2.0 Y[1]))", "(> Y_0 (* 2.0 Y_1))"),
        ("(or (<= Y[0] 0.1) (and (< Y[1] -1.0) (>= X[0,1] 0.3)))", "(or (<= Y_0 0.1) (and (< Y_1 -1) (>= X_1 0.3)))"),
        ("(<= (- Y[0] Y[1] 0.3) (+ Y[1] (- 0.7)))", "(<= (- Y_0 Y_1 0.3) (+ Y_1 (- 0.7)))"),
        ("(== Y[0] 0.5)", "(= Y_0 0.5)"),
        ("(!= Y[0] 0.5)", "(or (< Y_0 0.5) (> Y_0 0.5))"),
    ],
)
def test_two_says_what_one_says(read, two, one):
    assert content(read(f"{HEAD}{UNIT}(assert {two})")) == content(read(unit(one)))


def test_a_conjunction_of_inputs_and_a_disjunction_of_outputs_stay_together(read):
    found = read(f"; comment\n{HEAD}{UNIT}(assert (or (<= Y[0] 0.0) (<= Y[1] 0.0)))", "p.vnnlib.gz").clauses
    assert len(found) == 2 and found[0].region is found[1].region and all(len(c.d) == 1 for c in found)


REFUSED = {
    "a hidden node": (
        HEAD.replace("  (declare-output", '  (declare-hidden h float32 [2] "node")\n  (declare-output') + UNIT,
        "hidden",
    ),
    "two networks": (
        HEAD
        + HEAD.replace("(vnnlib-version <2.0>)\n", "").replace(" f\n", " g\n").replace("X", "U").replace("Y", "V")
        + UNIT,
        "are 2 networks",
    ),
    "two inputs": (
        HEAD.replace("  (declare-output", "  (declare-input Z float32 [1])\n  (declare-output") + UNIT,
        "2 input tensors",
    ),
    "integers": (HEAD.replace("X float32", "X int32") + "(assert (<= X[0,0] 1))", "has type I32"),
    "other sizes": (HEAD.replace("[1, 2]", "[1, 3]") + UNIT, "declares 3 inputs X_i, the network  has 2"),
    "several inputs in one comparison": (HEAD + UNIT + "(assert (<= X[0,0] X[0,1]))", "has several inputs"),
    "a missing bound": (HEAD + "(assert (<= X[0,0] 1.0))", "without a lower bound"),
    "what its grammar refuses": (HEAD + UNIT + "(assert (<= X[0,5] 1.0))", "out of bounds"),
    "a syntax error": (HEAD + "(assert", "syntax error"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_not_read_is_refused(read, name):
    text, message = REFUSED[name]
    with pytest.raises(LoadError) as refused:
        read(text)
    assert message in str(refused.value) and "p.vnnlib" in str(refused.value)


def test_refusals_of_whole_networks_say_what_is_supported(read):
    with pytest.raises(UnsupportedProperty, match="one network with one input and one output tensor"):
        read(REFUSED["two inputs"][0])


def test_without_the_package_the_error_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "vnnlib", None)
    with pytest.raises(MissingDependency, match=r"pip install 'reluproof\[vnnlib\]'"):
        read(HEAD + UNIT)
    assert read(unit("(<= Y_0 1)")).clauses  # version 1.0 needs no package
