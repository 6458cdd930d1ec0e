"""The law of the normal form: a point satisfies the assertions iff it satisfies some clause."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import declared, network, satisfied

import verify

RELATIONS = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
GRID = st.integers(-8, 8)


def trees(unit: int):
    """Trees of ("and" | "or", parts) over (relation, left, right); a side is a dict of coefficients, "" for the constant."""
    number = GRID.map(lambda k: Fraction(k, unit))
    bound = st.tuples(st.sampled_from(["X_0", "X_1"]), number, st.booleans()).map(
        lambda t: ({t[0]: Fraction(1)}, {"": t[1]}) if t[2] else ({"": t[1]}, {t[0]: Fraction(1)})
    )
    term = st.dictionaries(st.sampled_from(["Y_0", "Y_1", ""]), number, min_size=1)
    sides = st.one_of(bound, st.tuples(term, term))
    atom = st.tuples(st.sampled_from(list(RELATIONS)), sides).map(lambda t: (t[0], *t[1]))
    return st.recursive(
        atom, lambda p: st.tuples(st.sampled_from(["and", "or"]), st.lists(p, min_size=1, max_size=3)), max_leaves=8
    )


def written(tree) -> str:
    if tree[0] in ("and", "or"):
        return f"({tree[0]} {' '.join(written(part) for part in tree[1])})"
    return f"({tree[0]} {side(tree[1])} {side(tree[2])})"


def side(term: dict[str, Fraction]) -> str:
    parts = [f"(* {decimal(c)} {name})" if name else decimal(c) for name, c in term.items()]
    return parts[0] if len(parts) == 1 else f"(+ {' '.join(parts)})"


def decimal(value: Fraction) -> str:
    return f"{float(value):.3f}"  # quarters and tenths have at most two digits


def true(tree, point: dict[str, Fraction]) -> bool:
    if tree[0] in ("and", "or"):
        return (all if tree[0] == "and" else any)(true(part, point) for part in tree[1])
    left, right = (sum((c * point.get(n, Fraction(1)) for n, c in s.items()), Fraction(0)) for s in tree[1:])
    return RELATIONS[tree[0]](left, right)


def clauses(assertions):
    ends = [f"({r} X_{i} {v})" for i in (0, 1) for r, v in ((">=", "-2"), ("<=", "2"))]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "p.vnnlib"
        file.write_text(declared(*ends, *(written(t) for t in assertions)))
        return verify.load_property(file, network()).clauses


points = st.lists(st.tuples(GRID, GRID, GRID, GRID), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(assertions=st.lists(trees(4), max_size=3), points=points)
def test_a_point_satisfies_the_file_iff_it_satisfies_a_clause(assertions, points):
    found = clauses(assertions)
    for numbers in points:  # quarters within [-2, 2]: every number here is a float64
        x0, x1, y0, y1 = (Fraction(k, 4) for k in numbers)
        expected = all(true(t, {"X_0": x0, "X_1": x1, "Y_0": y0, "Y_1": y1}) for t in assertions)
        assert any(satisfied(c, [x0, x1], [y0, y1], inner=True) for c in found) == expected


@settings(max_examples=100, deadline=None)
@given(assertions=st.lists(trees(10), max_size=3), points=points)
def test_rounding_loses_no_counterexample(assertions, points):
    found = clauses(assertions)
    for numbers in points:  # tenths: hardly any of them is a float64
        x0, x1, y0, y1 = (Fraction(k, 10) for k in numbers)
        if all(true(t, {"X_0": x0, "X_1": x1, "Y_0": y0, "Y_1": y1}) for t in assertions):
            assert any(satisfied(c, [x0, x1], [y0, y1], inner=False) for c in found)
