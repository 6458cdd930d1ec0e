"""Rule `backward`: lower bounds of linear functionals over frames, from slopes and multipliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.frame import Frame
from verify.check.linear import MOVED, WEIGHTED, backwards
from verify.check.model import Model
from verify.check.multipliers import NO_MULTIPLIERS, Beta, Multipliers, Slopes

Array = NDArray[Any]


def backward(
    model: Model, frame: Frame, start: dict[int, Array], constant: Array, multipliers: Multipliers = NO_MULTIPLIERS
) -> tuple[Array, Array]:
    """``(a, c)``, (R, n_in) and (R,): in frame b, functional R/B b + s is at least ``a . x + c``.

    ``start`` maps nodes to coefficients (R, the value's shape). The multipliers are those of the R rows.
    Invariant: the functional is at least the form in ``forms`` plus ``constant``, for every x that the frame speaks of.
    """
    forms, arithmetic, rows = dict(start), model.arithmetic, len(constant)
    for j in range(len(model.layers) - 1, -1, -1):
        layer = model.layers[j]
        node, a = layer.node, forms.pop(j, None)
        if node.op == "relu":
            relu = model.relus.index(j)
            if a is None and relu not in multipliers.beta:
                continue
            a = np.zeros((rows, *node.shape), dtype=constant.dtype) if a is None else a
        if a is None:
            continue
        flat = a.reshape(rows, -1)
        if layer.loss is not None:
            constant = arithmetic.down(constant - arithmetic.up(np.abs(flat) @ layer.loss + layer.tiny))
        if layer.bias is not None:
            constant = arithmetic.down(constant + flat @ layer.bias.reshape(-1))
        if node.op == "input":
            return flat, constant
        if node.op == "relu":
            a, offset = _through_relu(model, frame, relu, flat, multipliers)
            parts = [a.reshape(rows, *node.shape)]
            constant = arithmetic.down(constant + offset)
        elif node.op in (*WEIGHTED, *MOVED):
            parts = [backwards(node, layer.weight, a)]
        elif node.op == "add":
            parts = [a, a]
        else:
            cuts = np.cumsum([shape[node.axis] for shape in node.before])[:-1]
            parts = np.split(a, cuts, axis=node.axis + 1)
        for i, part in zip(node.inputs, parts, strict=True):
            constant = _deliver(model, forms, constant, i, part)
    return np.zeros((rows, model.layers[0].node.size), dtype=constant.dtype), constant


def _deliver(model: Model, forms: dict[int, Array], constant: Array, j: int, part: Array) -> Array:
    """Add coefficients on the value of node j. A sum is rounded, and may be smaller than its terms: all three are charged."""
    old = forms.get(j)
    forms[j] = part if old is None else old + part
    layer = model.layers[j]
    if old is None or layer.creation is None:
        return constant
    sizes = (np.abs(old) + np.abs(part) + np.abs(forms[j])).reshape(len(part), -1)
    charge = sizes @ layer.creation
    charge = charge + model.arithmetic.gamma(4 * layer.node.size + 64) * charge + 3 * layer.tiny
    return model.arithmetic.down(constant - model.arithmetic.up(charge))


def _through_relu(model: Model, frame: Frame, relu: int, a: Array, multipliers: Multipliers) -> tuple[Array, Array]:
    """Coefficients (R, n) on the argument, and a constant, from coefficients (R, n) on the output."""
    arithmetic, count = model.arithmetic, len(frame.lower)
    shape = (count, len(a) // count, a.shape[1])
    lower = frame.pre_lower[relu][:, None]
    upper = np.maximum(frame.pre_upper[relu][:, None], lower)  # a crossed neuron is the point lower
    active, inactive = lower >= 0, (upper <= 0) & ~(lower >= 0)
    unstable = ~(active | inactive)
    with np.errstate(all="ignore"):
        chord = np.where(unstable, np.clip(upper / (upper - lower), 0.0, 1.0), 0.0)
    default = chord if multipliers.parallel else np.where(upper >= -lower, 1.0, 0.0)
    low, high = (
        np.where(active, 1.0, np.where(inactive, 0.0, _named(base, given.get(relu), shape)))
        for base, given in ((default, multipliers.lower), (chord, multipliers.upper))
    )
    out: Array = np.maximum(a, 0).reshape(shape)
    below: Array = np.minimum(a, 0).reshape(shape)
    t = _offset(model, lower, upper, high, unstable)
    offset = (below @ t.swapaxes(1, 2))[..., 0] if t.shape[1] == 1 else (below * t).sum(axis=-1)
    out *= arithmetic.lift(low)
    below *= arithmetic.lift(high)
    out += below  # one of the two is 0: a single rounding
    flat = out.reshape(a.shape)
    offset = offset.reshape(-1)
    beta = multipliers.beta.get(relu)
    if beta is not None:
        flat[beta.row, beta.at] = flat[beta.row, beta.at] - arithmetic.lift(beta.value)
        offset = arithmetic.down(
            offset + _at_ends(model, beta, (frame.pre_lower[relu], frame.pre_upper[relu]), len(flat))
        )
    return flat, offset


def _offset(model: Model, lower: Array, upper: Array, slope: Array, unstable: Array) -> Array:
    """``t = max(u (1 - s), -l s)``, upwards, enlarged by what a sum of ``a t`` may lose; 0 where the ReLU is linear."""
    arithmetic = model.arithmetic
    s, u, minus_l = (arithmetic.lift(np.where(unstable, x, 0.0)) for x in (slope, upper, -lower))
    t = np.maximum(arithmetic.up(u * arithmetic.up(1 - s)), arithmetic.up(minus_l * s))
    t = arithmetic.up(t + arithmetic.gamma(2 * slope.shape[-1] + 16) * t)
    return np.where(unstable, t, 0)


def _named(base: Array, given: Slopes | None, shape: tuple[int, int, int]) -> Array:
    """Slopes (B, S or 1, n): ``base``, but for the neurons that are named."""
    if given is None:
        return base
    value = given.value[None] if len(given.value) == 1 else given.value.reshape(shape[0], shape[1], -1)
    slopes = np.broadcast_to(base, (shape[0], value.shape[1], shape[2])).copy()
    slopes[..., given.at] = value
    return slopes


def _at_ends(model: Model, beta: Beta, ends: tuple[Array, Array], rows: int) -> Array:
    """Downwards, the sum over each row of ``beta l`` where beta > 0 and ``beta u`` elsewhere.

    It goes with ``- beta y``: neither ``- beta (y - l)`` nor ``- beta (y - u)`` is above 0.
    """
    arithmetic = model.arithmetic
    frames = beta.row * len(ends[0]) // rows
    known = np.where(beta.value > 0, ends[0][frames, beta.at], ends[1][frames, beta.at])
    terms = arithmetic.lift(beta.value) * arithmetic.lift(known)
    total, size = (arithmetic.lift(np.zeros(rows)) for _ in range(2))
    np.add.at(total, beta.row, terms)
    np.add.at(size, beta.row, np.abs(terms))
    lost = arithmetic.gamma(4 * len(terms) + 64) * size + (len(terms) + 4) * arithmetic.tiny
    return arithmetic.down(total - arithmetic.up(lost))
