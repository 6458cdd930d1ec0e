"""ONNX operators that only move numbers: one function on arrays each, for constants and for positions alike.

Applied to a constant it gives the constant; applied to the positions of a value it gives the index of a Select. A
position of -1 is an entry that the operator fills in (padding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from verify.load.builder import Value
from verify.load.onnx_call import Call, Operand
from verify.load.onnx_constants import Array, Constant, concatenate, require_exact

PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}  # ours -> numpy's


def identity(call: Call) -> Operand:
    """Identity."""
    return call.operand(0)


def dropout(call: Call) -> Operand:
    """Dropout at inference: the identity; the training mode (opset 12) and the mask are refused."""
    if call.given(2) and bool(call.constant(2, "training_mode").array.any()):
        raise call.refuse("training_mode=1", "export the model in evaluation mode")
    return call.operand(0)


def flatten(call: Call) -> Operand:
    """Flatten to a matrix, the axes before ``axis`` becoming rows."""
    x = call.operand(0)
    axis = call.integer("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    rows = math.prod(x.shape[:axis])
    return move(call, x, lambda a: a.reshape(rows, math.prod(x.shape[axis:])))


def reshape(call: Call) -> Operand:
    """Reshape; 0 copies a size of the input unless ``allowzero``, one -1 is worked out."""
    x = call.operand(0)
    asked = [int(n) for n in call.constant(1, "shape").array.reshape(-1)]
    if not call.integer("allowzero", 0):
        asked = [x.shape[i] if n == 0 else n for i, n in enumerate(asked)]
    return move(call, x, lambda a: a.reshape(asked))


def transpose(call: Call) -> Operand:
    """Transpose; without ``perm`` the axes are reversed."""
    order = call.attributes.get("perm")
    return move(call, call.operand(0), lambda a: np.transpose(a, order))


def squeeze(call: Call) -> Operand:
    """Squeeze the given axes, or all axes of size 1."""
    axes = call.integers("axes", 1)
    return move(call, call.operand(0), lambda a: np.squeeze(a, axis=None if axes is None else tuple(axes)))


def unsqueeze(call: Call) -> Operand:
    """Unsqueeze: ``axes`` count in the result."""
    axes = call.integers("axes", 1)
    if axes is None:
        raise call.refuse("axes is missing")
    return move(call, call.operand(0), lambda a: np.expand_dims(a, tuple(axes)))


def slice_(call: Call) -> Operand:
    """Slice with starts, ends, axes and steps, steps of either sign; sizes out of range are clamped."""
    x = call.operand(0)
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        raise call.refuse("starts or ends is missing")
    axes = call.integers("axes", 3) or list(range(len(starts)))
    steps = call.integers("steps", 4) or [1] * len(starts)
    cut = [slice(None)] * len(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cut[axis] = slice(start, end, step)
    return move(call, x, lambda a: a[tuple(cut)])


def split(call: Call) -> Sequence[Operand]:
    """Split into the given sizes, or evenly into as many parts as there are outputs (the last may be smaller)."""
    x = call.operand(0)
    axis = call.integer("axis", 0)
    sizes = call.integers("split", 1)
    if sizes is None:
        parts = call.integer("num_outputs", len(call.outputs))
        each = -(-x.shape[axis] // parts)
        sizes = [each] * (parts - 1) + [x.shape[axis] - each * (parts - 1)]
    if sum(sizes) != x.shape[axis] or len(sizes) != len(call.outputs) or min(sizes) < 0:
        raise call.refuse(f"split={sizes} of an axis of size {x.shape[axis]} into {len(call.outputs)} outputs")
    ends = np.cumsum(sizes)

    def part(end: int, size: int) -> Callable[[Array], Array]:
        return lambda a: np.take(a, np.arange(end - size, end), axis=axis)

    return [move(call, x, part(int(end), size)) for end, size in zip(ends, sizes, strict=True)]


def gather(call: Call) -> Operand:
    """Gather along ``axis`` by constant indices; negative ones count from the end."""
    x = call.operand(0)
    axis = call.integer("axis", 0)
    index = call.constant(1, "indices").array
    size = x.shape[axis]
    if bool(((index < -size) | (index >= size)).any()):
        raise call.refuse(f"indices outside an axis of size {size}")
    return move(call, x, lambda a: np.take(a, index, axis=axis))


def expand(call: Call) -> Operand:
    """Expand: broadcasting in both directions."""
    x = call.operand(0)
    shape = np.broadcast_shapes(x.shape, tuple(int(n) for n in call.constant(1, "shape").array))
    return move(call, x, lambda a: np.broadcast_to(a, shape))


def tile(call: Call) -> Operand:
    """Tile: the whole array repeated along each axis."""
    repeats = [int(n) for n in call.constant(1, "repeats").array]
    return move(call, call.operand(0), lambda a: np.tile(a, repeats))


def pad(call: Call) -> Operand:
    """Pad with a constant, or by reflecting, repeating the edge, or wrapping; negative pads cut off."""
    x = call.operand(0)
    mode = call.attributes.get("mode", "constant")
    pads = call.integers("pads", 1)
    if pads is None or mode not in PAD_MODES:
        raise call.refuse("pads is missing" if pads is None else f"mode={mode}", f"known modes: {list(PAD_MODES)}")
    constant = call.setting("value", 2)
    if constant is not None:
        require_exact(constant)
    fill = 0.0 if constant is None else float(constant.array.reshape(()))
    rank = len(x.shape)
    axes = [axis % rank for axis in call.integers("axes", 3) or range(rank)]
    if len(pads) != 2 * len(axes):
        raise call.refuse(f"pads={pads} for {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[i + len(axes)]
    cut = tuple(slice(max(-b, 0), n - max(-a, 0)) for b, a, n in zip(before, after, x.shape, strict=True))
    grown = [(max(b, 0), max(a, 0)) for b, a in zip(before, after, strict=True)]

    def padded(a: Array, value: float) -> Array:
        if mode == "constant":
            return np.pad(a[cut], grown, constant_values=value)
        return np.pad(a[cut], grown, mode=PAD_MODES[mode])  # type: ignore[call-overload, no-any-return]

    if isinstance(x, Constant):
        return Constant(padded(x.array, fill), x.ulps)
    index = torch.from_numpy(padded(call.builder.positions(x).numpy(), -1))
    y = call.builder.select(x, index)
    filled = (index < 0) & (fill != 0)
    return call.builder.scale(y, 1.0, torch.where(filled, fill, 0.0)) if bool(filled.any()) else y


def concat(call: Call) -> Operand:
    """Concat; constant parts are zeros of the network with the constants as a bias."""
    axis = call.integer("axis", 1)
    parts = [call.operand(i) for i in range(len(call.inputs))]
    constants = [p for p in parts if isinstance(p, Constant)]
    if len(constants) == len(parts):
        return concatenate(constants, axis)
    values = [call.builder.constant(p.tensor(), p.error()) if isinstance(p, Constant) else p for p in parts]
    return values[0] if len(values) == 1 else call.builder.concat(values, axis)


def move(call: Call, x: Operand, function: Callable[[Array], Array]) -> Operand:
    """``function`` done to a constant, or to the positions of a value, which are then selected."""
    if isinstance(x, Constant):
        return Constant(np.asarray(function(x.array)), x.ulps)
    index = np.ascontiguousarray(function(call.builder.positions(x).numpy()))
    if index.size == 0:
        raise call.refuse("an empty result")
    return call.builder.select(x, torch.from_numpy(index))


def shape(call: Call) -> Operand:
    """Shape, from ``start`` to ``end``: known, since every size is."""
    x = call.operand(0)
    end = call.attributes.get("end")
    return Constant(np.asarray(x.shape[call.integer("start", 0) : end], dtype=np.int64))


def size(call: Call) -> Operand:
    """Size: the number of entries."""
    return Constant(np.asarray(math.prod(call.operand(0).shape), dtype=np.int64))


def as_value(call: Call, x: Operand) -> Value:
    """``x`` as a value of the network; a constant becomes one."""
    return call.builder.constant(x.tensor(), x.error()) if isinstance(x, Constant) else x
