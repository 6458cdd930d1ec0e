"""Rule `backward`: linear forms below functionals, from slopes and multipliers, over frames; and how multipliers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.check.forms import Array, Numbers, read, require
from verify.check.model import Model

_UNIT = {"u1": 255.0, "u2": 65535.0}
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

    def named(self, kind: str, known: slice, shape: tuple[int, int]) -> tuple[Array, Array]:
        """Which neurons (c,) of the ReLU at ``known`` are named, and values (c, B, S), for S functionals in each of B frames."""
        at, value = self.tables.get(kind, (np.arange(0), np.zeros((1, 0))))
        begin, end = np.searchsorted(at, [known.start, known.stop])
        found = value[:, begin:end].T.astype(np.float64) / _UNIT.get(value.dtype.str[1:], 1.0)
        return at[begin:end] - known.start, found.reshape(end - begin, *(shape if len(value) > 1 else (1, 1)))


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


def backward(
    model: Model, frame: Array, start: dict[int, Array], shape: tuple[int, int], chosen: Multipliers
) -> tuple[Any, Any]:
    """``(a, c)``, (n_in, B, S) and (B, S) = ``shape``: in frame b, functional s is at least ``a . x + c``.

    ``start``: its coefficients (n, B, S) on the arguments of ReLUs, by node. S or B is 1, where multipliers are given.
    Invariant: it is at least the form in ``forms`` plus ``constant``, for every x that the frame speaks of.
    """
    lift = model.arithmetic.lift
    forms, constant = {0: lift(np.zeros((model.layers[0].node.size, *shape)))}, lift(np.full(shape, -model.tiny))
    for j in model.relus:
        known, argument = model.known[j], model.layers[j].node.inputs[0]
        at, value = chosen.named("beta", known, shape)
        if j in start or len(at):
            extra, beta = lift(start.get(j, np.zeros((known.stop - known.start, *shape)))).copy(), lift(value)
            mass = np.abs(extra)
            extra[at], mass[at] = extra[at] - beta, mass[at] + np.abs(beta)
            # - beta y goes with beta l where beta > 0, and with beta u elsewhere: - beta (y - l), - beta (y - u) are not above 0
            constant = constant + least(model, frame[:, known][:, at], beta) - _dot(model.layers[j].error, mass)
            forms[argument] = forms[argument] + extra if argument in forms else extra
    for j, layer in reversed(list(enumerate(model.layers))):
        if j not in forms:
            continue
        a, node, parts = forms[j], layer.node, list[Any]()
        if node.op == "relu":
            part, offset = _relaxed(model, frame[:, model.known[j]], model.known[j], a, chosen)
            parts, constant = [part], constant + offset
        elif node.op == "linear":
            sizes = [model.layers[i].node.size for i in node.inputs]
            parts = np.split(node.backwards(layer.weight, a), np.cumsum(sizes)[:-1])
            constant = constant if node.bias is None else constant + _dot(layer.bias, a)
        if np.any(layer.error):
            constant = constant - _dot(layer.error, np.abs(a))
        for i, part in zip(node.inputs, parts, strict=True):
            forms[i] = forms[i] + part if i in forms else part
    return forms[0], constant


def least(model: Model, ends: Array, a: Any) -> Any:
    """The minimum (B, S) of ``a . y`` for y with these ends; a is (n, B, S)."""
    lower, minus_upper = model.arithmetic.lift(ends)
    return (lower * np.maximum(a, 0) + minus_upper * np.maximum(-a, 0)).sum(axis=0)


def _dot(x: Any, a: Any) -> Any:
    return (x[:, 0, 0] @ a.reshape(len(a), -1)).reshape(a.shape[1:])


def _relaxed(model: Model, ends: Array, known: slice, a: Any, chosen: Multipliers) -> tuple[Any, Any]:
    """Coefficients (n, B, S) on the argument of a ReLU, and a constant, from coefficients on its output."""
    lower = ends[0]
    upper = np.maximum(-ends[1], lower)  # a crossed neuron is the point lower
    chord = np.clip(upper / (upper - lower), 0.0, 1.0)
    slopes = []
    for kind, base in (("lower", chord if chosen.parallel else (upper >= -lower) * 1.0), ("upper", chord)):
        at, value = chosen.named(kind, known, (a.shape[1], a.shape[2]))
        given = np.broadcast_to(base, (len(a), *np.broadcast_shapes(base.shape[1:], value.shape[1:]))).copy()
        given[at] = value
        slopes.append(model.arithmetic.lift(np.where(lower >= 0, 1.0, np.where(upper <= 0, 0.0, given))))
    low, high = slopes
    u, minus_l = model.arithmetic.lift(upper), model.arithmetic.lift(-lower)
    intercept = np.maximum(u * (1 - high), minus_l * high)  # 0 where the ReLU is linear
    below = np.minimum(a, 0)
    return a * low + below * (high - low), (below * intercept).sum(axis=0)
