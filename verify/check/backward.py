"""Rule `backward`: linear forms below functionals, from slopes and multipliers, over frames; and how multipliers are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.forms import Numbers, read, require
from verify.check.model import Frame, Model

Array = NDArray[Any]
_UNIT = {"u1": 255.0, "u2": 65535.0}
_SLOPES = Numbers("U8 U16 F32 F64", (None, None), 0, 1)
_VALUES = {"lower": _SLOPES, "upper": _SLOPES, "beta": Numbers("F64 F32", (None, None))}
_FORM = {"default?": {"area", "parallel"}, "lower?": dict, "upper?": dict, "beta?": dict}


@dataclass(frozen=True)
class Multipliers:
    """Those of R functionals: by kind, places (c,) in frames, increasing, and values (R or 1, c)."""

    parallel: bool
    tables: dict[str, tuple[Array, Array]]

    def taken(self, rows: Array) -> Multipliers:
        """Those of some of the functionals."""
        tables = {kind: (at, value if len(value) == 1 else value[rows]) for kind, (at, value) in self.tables.items()}
        return Multipliers(self.parallel, tables)

    def named(self, kind: str, known: slice, shape: tuple[int, int]) -> tuple[Array, Array]:
        """Which neurons (c,) of the ReLU at ``known`` are named, and values (c, S, B), for S functionals in each of B frames."""
        at, value = self.tables.get(kind, (np.arange(0), np.zeros((1, 0))))
        begin, end = np.searchsorted(at, [known.start, known.stop])
        found = value[:, begin:end].T.astype(np.float64) / _UNIT.get(value.dtype.str[1:], 1.0)
        return at[begin:end] - known.start, found.reshape(end - begin, *(shape if len(value) > 1 else (1, 1)))


def read_multipliers(entry: Any, rows: int, size: int) -> Multipliers:
    """The multipliers of so many functionals, in frames of ``size`` places."""
    given, tables = read(_FORM, entry, "multipliers"), {}
    for kind in _VALUES.keys() & given.keys():
        table = read({"at": Numbers("I32", (None,), 0, size - 1), "value": _VALUES[kind]}, given[kind], kind)
        at, value = tables[kind] = table["at"], table["value"]
        require((np.diff(at) > 0).all(), f"at of {kind} is not strictly increasing")
        fits = value.shape in ((1, len(at)), (rows, len(at)))
        require(fits, f"value of {kind} has the shape {value.shape}, for {rows} functionals and {len(at)} places")
    return Multipliers(given.get("default") == "parallel", tables)


def backward(
    model: Model, frame: Frame, start: dict[int, Array], shape: tuple[int, int], chosen: Multipliers
) -> tuple[Any, Any]:
    """``(a, c)``, (n_in, S, B) and (S, B) = ``shape``: in frame b, functional s is at least ``a . x + c``.

    ``start``: its coefficients (n, S, B) on the arguments of ReLUs. S or B is 1, where multipliers are given. Invariant: it is at
    least the form in ``forms`` plus ``constant``, for every x that the frame speaks of.
    """
    lift, held = model.arithmetic.lift, _held(model, frame, start, shape, chosen)
    constant, nothing = lift(np.full(shape, -model.tiny)), lift(np.zeros((1, *shape)))
    forms = {0: nothing.repeat(model.layers[0].node.size, axis=0)}
    for j in range(len(model.layers) - 1, -1, -1):
        layer, node = model.layers[j], model.layers[j].node
        if j not in forms and j not in held:
            continue
        a = forms[j] if j in forms else nothing.repeat(node.size, axis=0)
        extra, mass, offset = held.get(j, (0, 0, 0))
        if np.any(layer.error):
            constant = constant - _dot(layer.error, np.abs(a) + mass)
        parts = [a]
        if node.op == "relu":
            part, more = _relaxed(model, frame, model.known[model.relus.index(j)], a, chosen)
            parts, offset = [part + extra], offset + more
        elif node.op == "linear":
            sizes = [model.layers[i].node.size for i in node.inputs]
            parts = np.split(node.backwards(layer.weight, a), np.cumsum(sizes)[:-1])
            offset = 0 if node.bias is None else _dot(layer.bias, a)
        constant = constant + offset
        for i, part in zip(node.inputs, parts, strict=False):
            forms[i] = forms[i] + part if i in forms else part
    return forms[0], constant


def _dot(x: Any, a: Any) -> Any:
    return np.tensordot(x[:, 0, 0], a, 1)


def _held(
    model: Model, frame: Frame, start: dict[int, Array], shape: tuple[int, int], chosen: Multipliers
) -> dict[int, tuple[Any, Any, Any]]:
    """By node, what is added to the form on the argument of a ReLU: coefficients, at least their magnitudes, and a constant.

    - beta y goes with beta l where beta > 0, and with beta u elsewhere: - beta (y - l) and - beta (y - u) are not above 0.
    """
    lift, found = model.arithmetic.lift, dict[int, tuple[Any, Any, Any]]()
    for relu, j in enumerate(model.relus):
        known = model.known[relu]
        at, value = chosen.named("beta", known, shape)
        if relu in start or len(at):
            extra = lift(start.get(relu, np.zeros((model.layers[j].node.size, *shape))))
            mass, beta = np.abs(extra), lift(value)
            extra[at], mass[at] = extra[at] - beta, mass[at] + np.abs(beta)
            ends = lift(np.where(value > 0, frame.lower[known][at], frame.upper[known][at]))
            found[j] = extra, mass, (beta * ends).sum(axis=0)
    return found


def _relaxed(model: Model, frame: Frame, known: slice, a: Array, chosen: Multipliers) -> tuple[Any, Any]:
    """Coefficients (n, S, B) on the argument of a ReLU, and a constant, from coefficients on its output."""
    lower = frame.lower[known]
    upper = np.maximum(frame.upper[known], lower)  # a crossed neuron is the point lower
    chord = np.clip(upper / (upper - lower), 0.0, 1.0)
    area = chord if chosen.parallel else np.where(upper >= -lower, 1.0, 0.0)
    slopes = []
    for kind, base in (("lower", area), ("upper", chord)):
        at, value = chosen.named(kind, known, (a.shape[1], a.shape[2]))
        given = np.broadcast_to(base, (len(a), *np.broadcast_shapes(base.shape[1:], value.shape[1:]))).copy()
        given[at] = value
        slopes.append(model.arithmetic.lift(np.where(lower >= 0, 1.0, np.where(upper <= 0, 0.0, given))))
    low, high = slopes
    u, minus_l = model.arithmetic.lift(upper), model.arithmetic.lift(-lower)
    t = np.maximum(u * (1 - high), minus_l * high)  # 0 where the ReLU is linear
    positive, negative = np.maximum(a, 0), np.minimum(a, 0)
    return positive * low + negative * high, (negative * t).sum(axis=0)
