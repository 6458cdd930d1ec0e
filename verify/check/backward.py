"""Rule `backward`: linear forms below functionals, from slopes and multipliers, over frames; and how multipliers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.check.forms import Array, Numbers, read, require
from verify.check.model import Model
from verify.check.network import marked

Form = tuple[Array, Any]  # entries of a value, increasing, and coefficients (entries, B, S); of others they are 0
_SUM = "nbs,nbs->bs"  # one after another
_SLOPES = Numbers("U8 U16 F32 F64", (None, None), 0, 1)
_VALUES = {"lower": _SLOPES, "upper": _SLOPES, "beta": Numbers("F64 F32", (None, None))}


@dataclass(frozen=True)
class Multipliers:
    """Those of R functionals: by kind, places (c,) in frames, increasing, and values (R or 1, c)."""

    tables: dict[str, tuple[Array, Array]]
    parallel: bool = False

    def taken(self, rows: Array) -> Multipliers:
        """Those of some of the functionals."""
        tables = {kind: (at, value if len(value) == 1 else value[rows]) for kind, (at, value) in self.tables.items()}
        return Multipliers(tables, self.parallel)

    def named(self, kind: str, places: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
        """Which of some places (n,) are named: which (c,) of these, and values (c, B, S), for S functionals in each of B frames."""
        at, value = self.tables[kind]
        column = np.searchsorted(at, places)
        some = np.flatnonzero(np.searchsorted(at, places, side="right") > column)
        unit = np.iinfo(value.dtype).max if value.dtype.kind == "u" else 1
        found = value[:, column[some]].T.astype(np.float64) / unit
        return some, found.reshape(len(some), *(shape if len(value) > 1 else (1, 1)))


def read_multipliers(entry: Any, rows: int, places: int) -> Multipliers:
    """The multipliers of so many functionals, in frames of so many places."""
    at, tables = Numbers("I32", (None,), 0, places - 1), {}
    forms = {f"{kind}?": {"at": at, "value": values} for kind, values in _VALUES.items()}
    given = read({"default?": {"area", "parallel"}, **forms}, entry, "multipliers")
    for kind in _VALUES.keys() & given.keys():
        at, value = tables[kind] = given[kind]["at"], given[kind]["value"]
        require((np.diff(at) > 0).all(), f"at of {kind} is not strictly increasing")
        fits = value.shape in ((1, len(at)), (rows, len(at)))
        require(fits, f"value of {kind} has the shape {value.shape}, for {rows} functionals and {len(at)} places")
    return Multipliers(tables, given.get("default") == "parallel")


def backward(model: Model, frame: Array, start: dict[int, Form], count: int, chosen: Multipliers) -> tuple[Any, Any]:
    """``(a, c)``, (n_in, B, S) and (B, S): in frame b of B, functional s of S = ``count`` is at least ``a . x + c``.

    ``start``: its coefficients on the arguments of ReLUs, by node. S or B is 1, where multipliers are given.
    Invariant: it is at least the sum of ``forms`` plus ``constant``, for every x that the frame speaks of.
    """
    lift, shape = model.arithmetic.lift, (frame.shape[2], count)
    forms, constant = dict[int, Form](), lift(np.full(shape, -model.tiny))
    reached = lift(np.zeros((model.layers[0].node.size, *shape)))

    def add(node: int, at: Array, a: Any) -> None:
        if node in forms:
            known, rest = forms[node]
            both, row = marked(np.concatenate([known, at]), model.layers[node].node.size)
            total = np.zeros((len(both), *a.shape[1:]), a.dtype)
            total[row[known]] = rest
            total[row[at]] += a
            forms[node] = both, total
        elif len(at):
            forms[node] = at, a

    given = [(j, at, lift(a)) for j, (at, a) in start.items()]
    for j in model.relus if "beta" in chosen.tables else ():
        places = np.arange(model.known[j].start, model.known[j].stop)
        at, value = chosen.named("beta", places, shape)
        beta = lift(np.broadcast_to(value, (len(at), *shape)))
        # - beta y goes with beta l where beta > 0, and with beta u elsewhere: - beta (y - l), - beta (y - u) are not above 0
        constant = constant + least(model, frame[:, places[at]], beta)
        given.append((j, at, -beta))
    for j, at, a in [(j, at, a) for j, at, a in given if len(at)]:
        constant = constant - dot(model.layers[j].error[at], np.abs(a))
        add(model.layers[j].node.inputs[0], at, a)
    while forms:
        j = max(forms)
        (at, a), layer, node = forms.pop(j), model.layers[j], model.layers[j].node
        constant = constant - dot(layer.error[at], np.abs(a))
        if node.op == "relu":
            a, offset = _relaxed(model, frame, model.known[j].start + at, a, chosen)
            constant = constant + offset
        elif node.op == "linear":
            constant = constant + dot(layer.bias[at], a)
            at, a = node.backwards(layer.weight, at, a)
        else:
            reached[at] = a
        ends = np.cumsum([0, *(model.layers[i].node.size for i in node.inputs)])
        for i, begin, end in zip(node.inputs, ends, ends[1:], strict=False):
            some = slice(*np.searchsorted(at, [begin, end]))
            add(i, at[some] - begin, a[some])
    return reached, constant


def dot(x: Any, a: Any) -> Any:
    """``x . a`` (B, S) for numbers x (n, 1, 1) of a node."""
    return (x.ravel() @ a.reshape(len(a), -1)).reshape(a.shape[1:])


def least(model: Model, ends: Array, a: Any) -> Any:
    """The minimum (B, S) of ``a . y`` for y with these ends; a is (n, B, S)."""
    lower, minus_upper = model.arithmetic.lift(ends)
    return np.einsum(_SUM, lower, np.maximum(a, 0)) + np.einsum(_SUM, minus_upper, np.maximum(-a, 0))


def _relaxed(model: Model, frame: Array, places: Array, a: Any, chosen: Multipliers) -> tuple[Any, Any]:
    """Coefficients (n, B, S) on the arguments of the ReLUs at some places, and a constant, from those on their outputs."""
    lower = frame[0, places]
    upper = np.maximum(-frame[1, places], lower)  # a crossed neuron is the point lower
    chord = np.clip(upper / (upper - lower), 0.0, 1.0)
    slopes = {"lower": chord if chosen.parallel else (upper >= -lower) * 1.0, "upper": chord}
    for kind in slopes.keys() & chosen.tables.keys():
        some, value = chosen.named(kind, places, (a.shape[1], a.shape[2]))
        wide = (len(a), *np.broadcast_shapes(chord.shape[1:], value.shape[1:]))
        slopes[kind] = np.broadcast_to(slopes[kind], wide).copy()
        slopes[kind][some] = value
    lift = model.arithmetic.lift
    low, high = (lift(np.where((lower < 0) & (upper > 0), slope, lower >= 0)) for slope in slopes.values())
    intercept = np.maximum(lift(upper) * (1 - high), lift(-lower) * high)  # 0 where the ReLU is linear
    return a * np.where(a < 0, high, low), np.einsum(_SUM, intercept, np.minimum(a, 0))
