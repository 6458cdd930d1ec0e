"""VNN-LIB 1.0: what a file says is what the clauses say, to the last bit, and what is not read is refused by name."""

from __future__ import annotations

import gzip
import math
import re
import time
from fractions import Fraction

import pytest
from support.properties import declared, network, unit

import verify
from verify.errors import LoadError, UnsupportedProperty


@pytest.fixture
def read(tmp_path):
    """Reads a text as a property of a network of the given sizes."""

    def reader(text, inputs=2, outputs=2):
        file = tmp_path / "p.vnnlib"
        file.write_text(text)
        return verify.load_property(file, network(inputs, outputs))

    return reader


def rows(clause):
    return [([*c], d, s) for c, d, s in zip(clause.C.tolist(), clause.d.tolist(), clause.strict.tolist(), strict=True)]


# --- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assertion", "expected"),
    [
        ("(<= Y_0 1)", [([1.0, 0.0], -1.0, False)]),
        ("(>= Y_0 1)", [([-1.0, 0.0], 1.0, False)]),
        ("(< Y_0 Y_1)", [([1.0, -1.0], 0.0, True)]),
        ("(> Y_0 Y_1)", [([-1.0, 1.0], 0.0, True)]),
        ("(<= 1e-1 (* 0.2 Y_0))", [([-1.0, 0.0], 0.5, False)]),
        ("(<= (+ Y_0 (* -2 Y_1) 3) (- Y_1 (- 1.5)))", [([1.0, -3.0], 1.5, False)]),
        ("(<= (- Y_0 Y_1 1) 0)", [([1.0, -1.0], -1.0, False)]),
        ("(<= (/ Y_0 4) (/ 1 2))", [([0.25, 0.0], -0.5, False)]),
        ("(<= (* 2 (+ Y_0 Y_1) (/ 1 2)) .5)", [([1.0, 1.0], -0.5, False)]),
        ("(= Y_0 2)", [([1.0, 0.0], -2.0, False), ([-1.0, 0.0], 2.0, False)]),
        ("(and (<= Y_0 1) (and (<= Y_1 2)))", [([1.0, 0.0], -1.0, False), ([0.0, 1.0], -2.0, False)]),
        ("(<= (- Y_0 Y_0) Y_1)", [([0.0, -1.0], 0.0, False)]),
    ],
)
def test_an_output_constraint_is_a_row(read, assertion, expected):
    (clause,) = read(unit(assertion)).clauses
    assert [(c, d, s) for c, d, s in rows(clause) if any(c)] == expected


def test_coefficients_that_are_no_float64_are_scaled_to_integers(read):
    (clause,) = read(unit("(<= (+ (* 0.1 Y_0) (* 0.35 Y_1)) 0.7)")).clauses
    assert rows(clause) == [([2.0, 7.0], -14.0, False)]


def test_constants_are_rounded_both_ways(read):
    (clause,) = read(unit("(<= Y_0 0.1)")).clauses
    assert Fraction(clause.d.item()) < Fraction(-1, 10) < Fraction(clause.inner_d.item())
    assert clause.inner_d.item() == math.nextafter(clause.d.item(), math.inf)


def test_ends_of_the_box_are_rounded_outwards_and_inwards(read):
    (clause,) = read(declared("(>= X_0 0.1)", "(<= X_0 0.3)", "(>= X_1 -0.5)", "(<= X_1 1e-1)")).clauses
    region, tenth, three = clause.region, Fraction(1, 10), Fraction(3, 10)
    low, high = Fraction(region.lower[0, 0].item()), Fraction(region.upper[0, 0].item())
    inner_low, inner_high = Fraction(region.inner_lower[0, 0].item()), Fraction(region.inner_upper[0, 0].item())
    assert low < tenth < inner_low < inner_high < three < high
    assert region.lower[0, 1].item() == region.inner_lower[0, 1].item() == -0.5
    assert len(clause.d) == 0


def test_a_strict_input_bound_keeps_its_end_for_proofs_and_not_for_witnesses(read):
    (clause,) = read(declared("(> X_0 0)", "(< X_0 1)", "(>= X_1 0)", "(<= X_1 1)")).clauses
    region = clause.region
    assert (region.lower[0, 0].item(), region.upper[0, 0].item()) == (0.0, 1.0)
    assert region.inner_lower[0, 0].item() == math.nextafter(0.0, 1.0)
    assert region.inner_upper[0, 0].item() == math.nextafter(1.0, 0.0)


def test_an_input_that_is_fixed_at_a_decimal_is_the_float64_next_to_it(read):
    (clause,) = read(declared("(= X_0 0.1)", "(>= X_1 0)", "(<= X_1 1)")).clauses
    region = clause.region
    assert region.inner_lower[0, 0].item() == region.inner_upper[0, 0].item() == 0.1
    assert Fraction(region.lower[0, 0].item()) < Fraction(1, 10) < Fraction(region.upper[0, 0].item())


def test_the_tightest_of_several_bounds_counts(read):
    text = declared("(>= X_0 0)", "(>= (* 2 X_0) 0.5)", "(> X_0 0.25)", "(<= 0 (- 1 X_0))", "(>= X_1 0)", "(<= X_1 1)")
    region = read(text).clauses[0].region
    assert (region.lower[0, 0].item(), region.upper[0, 0].item()) == (0.25, 1.0)
    assert region.inner_lower[0, 0].item() == math.nextafter(0.25, 1.0)


def test_disjunctions_become_clauses_in_the_order_of_the_file(read):
    found = read(unit("(or (<= Y_0 0) (and (<= Y_1 1) (or (<= Y_0 2) (<= Y_0 3))))"))
    assert [[(c.index(1.0), d) for c, d, _ in rows(k)] for k in found.clauses] == [
        [(0, -0.0)],
        [(1, -1.0), (0, -2.0)],
        [(1, -1.0), (0, -3.0)],
    ]


def test_two_disjunctions_are_combined(read):
    assert len(read(unit("(or (<= Y_0 0) (<= Y_0 1))", "(or (<= Y_1 0) (<= Y_1 1) (<= Y_1 2))")).clauses) == 6


def test_clauses_over_the_same_box_share_the_region_object(read):
    boxes = "(or (and (>= X_0 0.5)) (and (<= X_0 0.5)))"
    found = read(unit(boxes, "(or (<= Y_0 0) (<= Y_1 0))")).clauses
    assert len(found) == 4 and len({id(c.region) for c in found}) == 2
    assert found[0].region is found[1].region and found[2].region is found[3].region
    assert found[0].region.lower.tolist() == [[0.5, 0.0]] and found[2].region.upper.tolist() == [[0.5, 1.0]]
    assert len({id(c.region) for c in read(unit("(or (<= Y_0 0) (<= Y_1 0))")).clauses}) == 1


@pytest.mark.parametrize(
    ("assertion", "clauses"),
    [
        ("(>= X_0 2)", 0),
        ("(and (< X_0 0.5) (> X_0 0.5))", 0),
        ("(and (<= X_0 0.5) (> X_0 0.5))", 0),
        ("(and (<= X_0 0.1) (>= X_0 0.1))", 1),
        ("(and (<= X_0 0.1) (>= X_0 0.10000000000000000000001))", 0),  # one float64, but not one number
        ("(and (<= X_0 0.10000000000000000000001) (>= X_0 0.1))", 1),
        ("(or (>= X_0 2) (<= Y_0 0))", 1),
        ("(<= 1 0)", 0),
        ("(< 0 0)", 0),
        ("(<= 0 0)", 1),
        ("(or (< 1 1) (<= Y_0 0))", 1),
        ("(!= X_0 X_0)", 0),
    ],
)
def test_a_case_is_dropped_only_when_it_is_empty_in_exact_arithmetic(read, assertion, clauses):
    found = read(unit(assertion))
    assert len(found.clauses) == clauses
    if not clauses:
        assert verify.decide(network(), found).verdict is verify.Verdict.VERIFIED


def test_comments_layout_and_gz_make_no_difference(tmp_path):
    text = unit("(or (<= Y_0 0) (<= Y_1 0))")
    other = "; a comment (assert\n" + text.replace(" ", "\n  ").replace("(or", "( or ; (and)\n") + "; the end"
    (tmp_path / "a.vnnlib").write_text(text)
    (tmp_path / "b.vnnlib").write_text(other)
    (tmp_path / "c.vnnlib.gz").write_bytes(gzip.compress(text.encode()))
    found = [
        verify.load_property(tmp_path / name, network()).clauses for name in ("a.vnnlib", "b.vnnlib", "c.vnnlib.gz")
    ]
    assert len({str([rows(c) for c in k]) for k in found}) == 1 and len(found[0]) == 2


def test_a_verified_and_a_falsified_property_of_one_network(read):
    net = network()  # outputs x0 + x1 and x0 + x1 + 1
    assert verify.decide(net, read(unit("(<= Y_1 0.5)"))).verdict is verify.Verdict.VERIFIED
    found = verify.decide(net, read(unit("(or (<= Y_1 0.5) (>= Y_0 1.5))")))
    assert found.verdict is verify.Verdict.FALSIFIED and found.counterexample.clause == 1


# --- size ------------------------------------------------------------------------------------------------------------


def test_thousands_of_boxes_are_read_in_linear_time(read):
    cases = [f"(and (>= X_0 {i}.25) (<= X_0 {i}.75) (<= Y_0 {i}))" for i in range(3000)]
    text = declared(f"(or {' '.join(cases)})", "(>= X_1 0)", "(<= X_1 1)")
    begun = time.perf_counter()
    assert len(read(text).clauses) == 3000
    assert time.perf_counter() - begun < 20  # about 0.3 s on a quiet machine


def test_deep_nesting_meets_no_recursion_limit(read):
    deep = "(and (<= Y_0 1) " * 20_000 + "(<= Y_0 2)" + ")" * 20_000
    assert len(read(unit(deep)).clauses[0].d) == 20_001
    term = "(+ 1 " * 5_000 + "Y_0" + ")" * 5_000
    assert rows(read(unit(f"(<= {term} 0)")).clauses[0]) == [([1.0, 0.0], 5000.0, False)]


@pytest.mark.parametrize(
    "assertions",
    [
        ["(or (<= Y_0 1) (<= Y_0 2))"] * 40,
        ["(and " + "(or (<= Y_0 1) (<= Y_0 2)) " * 40 + ")"],
        ["".join(f"({'or' if i % 2 else 'and'} (<= Y_0 {i}) " for i in range(9000)) + "(<= Y_0 1)" + ")" * 9000],
    ],
)
def test_an_explosion_is_refused_before_it_is_written_down(read, assertions):
    with pytest.raises(UnsupportedProperty, match="too many to write down: up to 1,000,000 cases"):
        read(unit(*assertions))


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED = {
    "several inputs": (unit("(<= (+ X_0 X_1) 1)"), "line 9: (<= (+ X_0 X_1) 1) has several inputs in one comparison"),
    "inputs and outputs": (unit("(or (<= X_0 Y_0) (<= Y_0 1))"), "(<= X_0 Y_0) has inputs and outputs in one"),
    "no lower bound": (
        declared("(<= X_0 1)", "(>= X_1 0)", "(<= X_1 1)"),
        "(<= X_0 1) leaves input X_0 without a lower",
    ),
    "no upper bound": (declared("(<= X_0 1)", "(>= X_0 0)", "(>= X_1 0)"), "leaves input X_1 without an upper bound"),
    "no bound": (declared("(<= Y_0 1)"), "leaves input X_0 without a bound"),
    "no bound in one case": (
        declared("(or (and (<= X_0 1) (>= X_0 0)) (<= Y_0 1))", "(>= X_1 0)", "(<= X_1 1)"),
        "leaves input X_0 without a bound",
    ),
    "coefficients beyond float64": (
        unit("(<= (+ (* 0.12345678901234567891 Y_0) (* 3.98765432109876543219 Y_1)) 1)"),
        "has coefficients that no float64 row holds exactly",
    ),
    "an end beyond float64": (
        declared("(<= X_0 1e399)", "(>= X_0 0)", "(= X_1 0)"),
        "(<= X_0 1e399) is beyond float64",
    ),
    "an exponent like a bomb": (unit("(<= Y_0 1e999999999)"), "no float64 computation can be about it"),
    "an open interval without a float64": (
        unit("(> X_0 0)", "(< X_0 4e-324)"),
        "leave no float64 number strictly between them",
    ),
    "not": (unit("(not (<= Y_0 1))"), "uses 'not', which is not read: and, or, <="),
    "let": (unit("(let ((a 1)) (<= Y_0 a))"), "uses 'a', which is not read"),
    "a product of variables": (unit("(<= (* Y_0 Y_1) 1)"), "multiplies variables with one another"),
    "a quotient by a variable": (unit("(<= (/ 1 Y_1) 1)"), "divides not by exactly one number"),
    "a division by zero": (unit("(<= (/ Y_1 0) 1)"), "divides by zero"),
    "three sides": (unit("(<= 0 Y_0 1)"), "compares 3 terms: two are read"),
    "an empty or": (unit("(or)"), "is an or of nothing"),
    "an empty assertion": (unit("()"), "does not begin with an operator"),
    "two formulas": (unit("(<= Y_0 1) (<= Y_1 1)"), "asserts not exactly one formula"),
    "a number for a formula": (unit("(and 1 (<= Y_0 1))"), "has '1' where a comparison"),
    "a formula for a number": (unit("(<= (<= Y_0 1) 1)"), "has a formula where a number"),
    "an undeclared variable": (unit("(<= Y_7 1)"), "uses Y_7, which is not declared"),
    "a word": (unit("(<= Y_0 many)"), "has 'many' where a number"),
    "a name that is no X or Y": ("(declare-const Z_0 Real)", "is not read: inputs X_0, X_1, ..."),
    "integers": ("(declare-const X_0 Int)", "of type Real are"),
    "a variable declared twice": (declared() + "(declare-const X_0 Real)", "declares X_0 again"),
    "a gap": ("(declare-const X_0 Real)(declare-const X_2 Real)", "X_2 is declared but X_1 is not"),
    "an unknown command": (unit() + "(push 1)", "(push 1) is no command that is read"),
    "a truncated file": (unit("(<= Y_0 1)")[:-4], "is never closed: the file is truncated"),
    "a parenthesis too many": (unit("(<= Y_0 1))"), "is outside of any command"),
    "another kind of file": ("hello", "holds no VNN-LIB command"),
    "an empty file": ("", "holds no VNN-LIB command"),
    "other inputs": (unit(inputs=3), "declares 3 inputs X_i, the network  has 2"),
    "other outputs": (unit(outputs=5), "declares 5 outputs Y_j, the network  has 2"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_not_read_is_refused_by_name_and_line(read, name):
    text, message = REFUSED[name]
    with pytest.raises(LoadError, match=re.escape(message)):
        read(text)


def test_a_refusal_says_line_assertion_and_remedy(read):
    with pytest.raises(UnsupportedProperty) as refused:
        read(unit("(<= Y_0 1)", "(or (<= Y_0 1)\n (<= (- X_0 X_1)\n 0))"))
    assert refused.value.line == 11 and refused.value.assertion == "(<= (- X_0 X_1) 0)"
    assert "are supported" in refused.value.remedy


# Names of their own: the compressed bytes hold the time, so every worker would collect another test.
@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08\x00cut", gzip.compress(unit().encode())[:-9]], ids=["no stream", "cut short"]
)
def test_a_damaged_gz_file_is_refused(tmp_path, content):
    (tmp_path / "p.vnnlib.gz").write_bytes(content)
    with pytest.raises(LoadError, match="not a whole gzip file"):
        verify.load_property(tmp_path / "p.vnnlib.gz", network())


# --- real files ------------------------------------------------------------------------------------------------------

EXPECTED = {  # (most clauses, boxes, most rows) of each set's files
    "acasxu": {(1, 1, 4), (4, 1, 1), (2, 1, 3), (1, 1, 1)},
    "mnist_fc": {(9, 1, 1)},
    "oval21": {(9, 1, 1)},
    "rl_benchmarks": {(1, 1, 1)},
    "sat_relu": {(1, 1, 2)},
    "sri_resnet_a": {(9, 1, 1)},
    "test": {(1, 1, 1), (1, 1, 4)},
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_every_reference_file_is_read(reference_data, name):
    folder = reference_data / "vnncomp" / name
    files = sorted([*folder.glob("vnnlib/*"), *folder.glob("*.vnnlib")])
    assert files
    sizes = set()
    for file in files:
        text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
        inputs, outputs = (len(re.findall(rf"declare-const {kind}_", text)) for kind in "XY")
        found = verify.load_property(file, network(inputs, outputs)).clauses
        sizes.add((len(found), len({id(c.region) for c in found}), max(len(c.d) for c in found)))
        region = found[0].region
        assert bool((region.inner_lower <= region.inner_upper).all()) and region.lower.shape == (1, inputs)
    assert sizes <= EXPECTED[name]
