"""Rule `backward`: lower bounds of linear functionals over frames, from slopes and multipliers; and how those are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.forms import Numbers, read, require
from verify.check.model import Frame, Model

Array = NDArray[Any]
_UNIT = {"u1": 255.0, "u2": 65535.0}
_SLOPES = {"at": Numbers("I32", "c", 0, "width"), "value": Numbers("U8 U16 F32 F64", "r c", 0, 1)}
_BETA = {"row": Numbers("I32", "m", 0, "rows"), "at": Numbers("I32", "m", 0, "width"), "value": Numbers("F64 F32", "m")}
_FORM = {
    "default?": {"area", "parallel"},
    "lower?": dict,
    "upper?": dict,
    "beta?": dict,
    "mix?": Numbers("F64 F32", "rows mixed", 0),
}


@dataclass(frozen=True)
class Multipliers:
    """Those of S functionals (FORMAT.md, rule `backward`). ``lower`` and ``upper``: neurons (c,) and slopes (S or 1, c), by ReLU.

    ``beta``: rows, neurons and values (m,), by ReLU, in the order of their rows. ``mix`` (S, J), J rows of the assumed clause.
    """

    parallel: bool = False
    lower: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    upper: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    beta: dict[int, tuple[Array, Array, Array]] = field(default_factory=dict)
    mix: Array | None = None

    def taken(self, rows: Array) -> Multipliers:
        """Those of some rows, in increasing order, which are counted anew."""
        lower, upper = (
            {r: (at, value if len(value) == 1 else value[rows]) for r, (at, value) in slopes.items()}
            for slopes in (self.lower, self.upper)
        )
        beta = {}
        for r, (row, at, value) in self.beta.items():
            begin, end = np.searchsorted(row, rows), np.searchsorted(row, rows, side="right")
            entries = np.concatenate([np.arange(0), *map(np.arange, begin, end)])
            beta[r] = np.repeat(np.arange(len(rows)), end - begin), at[entries], value[entries]
        return Multipliers(self.parallel, lower, upper, beta, None if self.mix is None else self.mix[rows])


def slope(value: Array) -> Array:
    """Slopes as float64; unsigned integers are fractions of the largest of their type."""
    return value / _UNIT[value.dtype.str[1:]] if value.dtype.kind == "u" else value.astype(np.float64)


def read_multipliers(entry: dict[str, Any], rows: int, widths: list[int], mixed: int | None) -> Multipliers:
    """The multipliers of ``rows`` functionals, for ReLUs of these ``widths``. ``mixed``: how many rows the assumed clause has."""
    require("mix" not in entry or mixed is not None, "mix is given in a frame that assumes no clause")
    given = read(_FORM, entry, "multipliers", {"rows": rows, "mixed": mixed or 0})
    found: dict[str, dict[int, Any]] = {"lower": {}, "upper": {}, "beta": {}}
    numbers = {str(r): r for r in range(len(widths))}
    for kind, of_relu in found.items():
        for name, item in given.get(kind, {}).items():
            require(name in numbers, f"{kind} names ReLU {name!r:.40}, and the network has {len(widths)}")
            what, r = f"{kind} of ReLU {name}", numbers[name]
            form, sizes = _BETA if kind == "beta" else _SLOPES, {"width": widths[r], "rows": rows}
            own = read(form, item, what, sizes)
            at, value = own["at"], own["value"]
            if kind == "beta":
                order = np.lexsort((at, own["row"]))
                row, at, value = own["row"][order].astype(np.int64), at[order], value[order].astype(np.float64)
                of_relu[r] = row, at, value
                require(((np.diff(row) > 0) | (np.diff(at) > 0)).all(), f"{what} names a row and neuron twice")
            else:
                require((np.diff(at) > 0).all(), f"at of {what} is not strictly increasing")
                require(len(value) in (1, rows), f"value of {what} has {len(value)} rows for {rows} functionals")
                of_relu[r] = at, value
    return Multipliers(given.get("default") == "parallel", **found, mix=given.get("mix"))


def backward(
    model: Model, frame: Frame, start: dict[int, Array], constant: Array, multipliers: Multipliers
) -> tuple[Array, Array]:
    """``(a, c)``, (n_in, R) and (R,): in frame b, functional R/B b + s is at least ``a . x + c``.

    ``start`` maps nodes to coefficients (size, R). The multipliers are those of the R rows.
    Invariant: the functional is at least the form in ``forms`` plus ``constant``, for every x that the frame speaks of.
    """
    forms, down, up = dict(start), model.arithmetic.down, model.arithmetic.up
    betas = {model.relus[r]: beta for r, beta in multipliers.beta.items()}
    nothing = np.zeros((1, len(constant)), constant.dtype)
    for j in range(len(model.layers) - 1, 0, -1):
        layer = model.layers[j]
        node = layer.node
        if j not in forms and j not in betas:
            continue
        a = forms.pop(j) if j in forms else nothing.repeat(node.size, axis=0)
        if layer.loss is not None:
            constant = down(constant - up((layer.loss.T @ np.abs(a))[0] + model.tiny))
        if layer.bias is not None:
            constant = down(constant + (layer.bias.T @ a)[0])
        if node.op == "relu":
            part, offset = _through_relu(model, frame, model.relus.index(j), a, multipliers)
            constant, parts = down(constant + offset), [part]
        else:
            parts = [m.backwards(weight, a) for m, weight in zip(node.maps, layer.weights, strict=True)]
        for i, part in zip(node.inputs, parts, strict=True):
            forms[i] = forms[i] + part if i in forms else part
    return forms.get(0, nothing.repeat(model.layers[0].node.size, axis=0)), constant


def against(x: Array, a: Array) -> Array:
    """The products (B S,) of column b of x (n, B) with each of the columns a[:, b] of a (n, B, S)."""
    return (x.T[:, None] @ a.swapaxes(0, 1)).reshape(-1)


def _through_relu(model: Model, frame: Frame, relu: int, a: Array, multipliers: Multipliers) -> tuple[Array, Array]:
    """Coefficients (n, R) on the argument, and a constant, from coefficients (n, R) on the output."""
    arithmetic, known = model.arithmetic, model.known[model.relus[relu]]
    grouped = a.reshape(len(a), frame.lower.shape[1], -1)
    lower = frame.lower[known][:, :, None]
    upper = np.maximum(frame.upper[known][:, :, None], lower)  # a crossed neuron is the point lower
    active, inactive = lower >= 0, (upper <= 0) & ~(lower >= 0)
    unstable = ~(active | inactive)
    chord = np.where(unstable, np.clip(upper / (upper - lower), 0.0, 1.0), 0.0)
    area = np.where(upper >= -lower, 1.0, 0.0)
    low, high = (
        np.where(active, 1.0, np.where(inactive, 0.0, _named(base, given.get(relu), grouped)))
        for base, given in ((chord if multipliers.parallel else area, multipliers.lower), (chord, multipliers.upper))
    )
    # t = max(u (1 - s), -l s), upwards, enlarged by what a sum of a t may lose; 0 where the ReLU is linear
    s, u, minus_l = (arithmetic.lift(np.where(unstable, x, 0.0)) for x in (high, upper, -lower))
    t = np.maximum(arithmetic.up(u * arithmetic.up(1 - s)), arithmetic.up(minus_l * s))
    t = np.where(unstable, arithmetic.up(t + arithmetic.gamma(2 * len(a) + 16) * t), 0)

    out, below = np.maximum(grouped, 0), np.minimum(grouped, 0)
    offset = against(t[:, :, 0], below) if t.shape[2] == 1 else (below * t).sum(axis=0).reshape(-1)
    out *= arithmetic.lift(low)
    below *= arithmetic.lift(high)
    out += below  # one of the two is 0: a single rounding
    flat = out.reshape(a.shape)
    if relu in multipliers.beta:
        # - beta y goes with beta l where beta > 0, and with beta u elsewhere: - beta (y - l), - beta (y - u) are not above 0
        row, at, value = multipliers.beta[relu]
        frames, beta = row * grouped.shape[1] // a.shape[1], arithmetic.lift(value)
        end = arithmetic.lift(np.where(value > 0, frame.lower[known][at, frames], frame.upper[known][at, frames]))
        flat[at, row] = flat[at, row] - beta
        magnitude = arithmetic.lift(model.layers[model.argument(relu)].magnitude[at, 0])
        total, size = (arithmetic.lift(np.zeros(a.shape[1])) for _ in range(2))
        np.add.at(total, row, beta * end)
        np.add.at(size, row, np.abs(beta) * magnitude)
        lost = arithmetic.gamma(2 * model.met + 4 * len(row) + 64) * size + model.tiny
        offset = arithmetic.down(offset + arithmetic.down(total - arithmetic.up(lost)))
    return flat, offset


def _named(base: Array, given: tuple[Array, Array] | None, a: Array) -> Array:
    """Slopes (n, B, S or 1): ``base``, but for the neurons that are named."""
    if given is None:
        return base
    value = slope(given[1]).T.reshape(len(given[0]), *(a.shape[1:] if len(given[1]) > 1 else (1, 1)))
    slopes = np.broadcast_to(base, (len(a), base.shape[1], value.shape[2])).copy()
    slopes[given[0]] = value
    return slopes
