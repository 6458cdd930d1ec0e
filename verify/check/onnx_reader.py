"""A plain ONNX file as the nodes of FORMAT.md, section 2, from its bytes alone.

The nodes compute what the file computes for one input: a batch axis has size 1. The first axis of the input is the batch axis when
there is more than one axis and its size is 1 or no number. What only arranges numbers makes no node until they are used. An
initializer that is an input too has the value that is in the file. Nodes that the output does not depend on are read, and left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import numpy as np

from verify.check.forms import Array, Unreadable, need
from verify.check.protobuf import MAX_FIELDS, message

MAX_RANK = 8
OPSETS = range(7, 26)  # since 7 the ops below have only turned attributes into inputs, and got types
_STORES = {1: ("<f4", "floats"), 6: ("<i4", "int32s"), 7: ("<i8", "int64s"), 11: ("<f8", "doubles")}
_VALUES: dict[int, tuple[str, Any]] = {1: ("f", bytes(4)), 2: ("i", 0), 3: ("s", ""), 4: ("t", None), 7: ("ints", None)}
# Attributes that must be as they are here, or, where that is None, that say nothing about a network that is only executed.
_FIXED: dict[str, dict[str, Any]] = {
    "BatchNormalization": {"momentum": None, "spatial": 1, "training_mode": 0},
    "Dropout": {"ratio": None, "seed": None},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transA": 0},
    "Reshape": {"allowzero": 0},
}


@dataclass(frozen=True)
class Value:
    """Entries ``at``, in an ONNX shape, of the value of one of our nodes, -1 for a zero; under node -1, numbers of a constant."""

    at: Array
    node: int = -1


def read(data: bytes, *, limit: int = 1 << 30) -> list[dict[str, Any]]:
    """The nodes of an ONNX file; weights have its bits and dtype, ReLUs its order. Raises Unreadable, and nothing else.

    ``limit``: bytes of all values and arrays of the network at 8 a number.
    """
    reader = _Reader(limit)
    model = message(data, "model", "model", reader.budget)
    versions = {opset["version"] for opset in model["opsets"] if opset["domain"] in (None, "", "ai.onnx")}
    need(len(versions) == 1 and versions <= {*OPSETS}, "model", f"operator sets {versions}; one of {OPSETS} is read")
    try:
        return reader.graph(model["graph"] or message(b"", "graph", "graph", reader.budget))
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        # what Python and numpy say of inputs, attributes and shapes that do not fit
        raise Unreadable(f"{reader.where}: {error}") from error


def _tensor(t: dict[str, Any]) -> Value:
    where = f"{t['where']}, tensor {t['name']!r} of type {t['type']} and sizes {t['dims'][:MAX_RANK]}"
    known = t["type"] in _STORES and len(t["dims"]) <= MAX_RANK and all(0 <= d < 1 << 31 for d in t["dims"])
    need(known, where, f"FLOAT, DOUBLE, INT32 and INT64 with at most {MAX_RANK} axes are supported")
    dtype, store = _STORES[t["type"]]
    stores = [key for key in ("raw", "floats", "int32s", "int64s", "doubles", "elsewhere", "location") if t[key]]
    need(stores in ([], ["raw"], [store]), where, f"its numbers are in {stores}")
    # protocol buffers, too, drop what an integer has beyond 32 bits
    data = t["raw"] or (b"".join(t[store]) if "f" in dtype else np.array(t[store], "<i8").astype(dtype).tobytes())
    need(len(data) == math.prod(t["dims"]) * int(dtype[2]), where, f"{len(data)} bytes do not fit its sizes")
    return Value(np.frombuffer(data, dtype).reshape(t["dims"]))


def _attribute(a: dict[str, Any]) -> Any:
    field, absent = _VALUES.get(a["type"], ("", None))
    given = [name for name, _ in _VALUES.values() if a[name] not in (None, [])]
    good = given == [field] or (not given and absent is not None)
    need(good, a["where"], f"{a['name']!r} has type {a['type']} and {given}; {_VALUES} are supported")
    value = a[field] if given else absent
    return np.frombuffer(value, "<f4").item() if field == "f" else _tensor(value).at if field == "t" else value


class _Reader:
    """The nodes so far, what names stand for, the bytes, fields and integers left, and the node of the file that is being read.

    Ops are methods of their names, whose parameters are the inputs, values all of them, and attributes.
    """

    def __init__(self, limit: int) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.names: dict[str, Value] = {}
        self.left, self.budget, self.where, self.dtype = limit, iter(range(MAX_FIELDS)), "graph", np.dtype("<f4")

    def need(self, condition: object, what: str) -> None:
        need(condition, self.where, what)

    def room(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, when there is memory for an array of it."""
        self.left -= 8 * math.prod(shape)
        fits = self.left >= 0 and len(shape) <= MAX_RANK and min(shape, default=1) > 0
        self.need(fits, f"shape {list(shape)}: empty, more than {MAX_RANK} axes, or too large for the memory allowed")
        return shape

    def define(self, name: str, meaning: Value) -> None:
        self.need(name and name not in self.names, f"the name {name!r} is empty, or stands for something else already")
        self.names[name] = meaning

    def graph(self, graph: dict[str, Any]) -> list[dict[str, Any]]:
        for t in graph["initializers"]:
            self.define(t["name"], _tensor(t))
        free = [entry for entry in graph["inputs"] if entry["name"] not in self.names]
        inputs, outputs = ([entry["name"] for entry in entries] for entries in (free, graph["outputs"]))
        self.need(len(inputs) == len(outputs) == 1, f"inputs {inputs}, outputs {outputs}; one of each is supported")
        tensor = (free[0]["type"] or {}).get("tensor") or {"type": None, "shape": None}
        axes = (tensor["shape"] or {"axes": []})["axes"]
        shape: list[Any] = [axis["size"] if axis["name"] is None else None for axis in axes]
        shape[:1] = [1] if len(shape) > 1 and shape[0] is None else shape[:1]
        known = tensor["type"] in (1, 11) and shape and None not in shape
        self.need(known, f"input of type {tensor['type']} and sizes {shape}; FLOAT and DOUBLE with sizes are supported")
        self.dtype = np.dtype(_STORES[tensor["type"]][0])
        self.define(inputs[0], self.emit(tuple(shape), op="input", size=math.prod(shape)))
        for n in graph["nodes"]:
            self.execute(n)
        self.where, result = "output", self.names.get(outputs[0], Value(np.zeros(0)))
        self.need(result.at.size == max(result.at.shape, default=0), f"{outputs[0]!r} is not a vector")
        live = {last := self.flat(result)}
        for k in range(last, 0, -1):
            live.update(self.nodes[k]["inputs"] if k in live else ())
        place = {k: n for n, k in enumerate(sorted(live))}
        moved = [{**self.nodes[k], "inputs": [place[i] for i in self.nodes[k]["inputs"]]} for k in place if k]
        return [self.nodes[0], *moved]

    def execute(self, n: dict[str, Any]) -> None:
        """Define what a node of the file computes."""
        inputs, outputs, op = n["inputs"], n["outputs"], n["op"]
        self.where = f"{n['where']} {n['name']!r}, op {op!r}"
        self.need(op in _OPS and n["domain"] in (None, "", "ai.onnx"), f"not supported; {', '.join(sorted(_OPS))} are")
        fields = [message(data, "attribute", f"{self.where}, attribute", self.budget) for data in n["attributes"]]
        attributes = {a["name"]: _attribute(a) for a in fields}
        self.need(len(attributes) == len(fields), "an attribute is given twice")
        for name, only in _FIXED.get(op, {}).items():
            value = attributes.pop(name, only)
            self.need(only in (None, value), f"attribute {name!r} = {value!r}; only {only!r} is supported")
        while inputs and not inputs[-1]:
            inputs.pop()
        unknown = [name for name in inputs if name not in self.names]
        self.need(not unknown, f"its inputs {unknown} are made by no node before it")
        self.need(outputs and (not any(outputs[1:]) or op == "Dropout"), f"outputs {outputs}; one is supported")
        self.define(outputs[0], _OPS[op](self, *(self.names[name] for name in inputs), **attributes))

    def size(self, value: Value) -> int:
        """How many entries the node of a value has."""
        self.need(value.node >= 0, "a constant is where a value that depends on the network's input must be")
        return self.sizes[value.node]

    def constant(self, value: Value) -> Array:
        self.need(value.node < 0 and value.at.dtype == self.dtype, f"an input must be a constant of {self.dtype}")
        return value.at

    def ordered(self, a: Value, b: Value) -> tuple[Value, Array]:
        """First the value, then the constant."""
        return (a, self.constant(b)) if b.node < 0 else (b, self.constant(a))

    def integers(self, given: Value | Sequence[int]) -> tuple[int, ...]:
        """What an attribute of older operator sets, or an input of newer ones, says."""
        if not isinstance(given, Value):
            return tuple(given)
        good = given.node < 0 and given.at.dtype.kind == "i" and given.at.ndim == 1 and given.at.size > 0
        self.need(good, "shapes and axes must be constant lists of integers")
        return tuple(given.at.tolist())

    def emit(self, shape: tuple[int, ...], /, **node: Any) -> Value:
        """A new node, and its value in this shape."""
        self.nodes.append(node)
        self.sizes.append(math.prod(self.room(shape)))
        return Value(np.arange(self.sizes[-1]).reshape(shape), len(self.nodes) - 1)

    def linear(self, shape: tuple[int, ...], taps: Array, bases: Array, /, *read: Value, **keys: Any) -> Value:
        """A linear node that reads these values, one after another, as they are arranged."""
        begins = np.cumsum([0, *map(self.size, read)])
        gather = np.concatenate([np.where(v.at < 0, -1, v.at + n).ravel() for v, n in zip(read, begins, strict=False)])
        places = {key: at.astype("i4") for key, at in (("gather", gather), ("taps", taps), ("bases", bases))}
        return self.emit(shape, op="linear", inputs=[value.node for value in read], **places, **keys)

    def each(self, value: Value, **keys: Any) -> Value:
        """A node that reads each entry by a tap of its own: it may be there again and again."""
        each = np.arange(value.at.size)
        return self.linear(value.at.shape, each[:, None], each[:1], value, **keys)

    def plain(self, value: Value) -> bool:
        """Whether it is all of its node's value, in order."""
        return np.array_equal(value.at.ravel(), np.arange(self.size(value)))

    def flat(self, value: Value) -> int:
        """A node whose value is ``value``."""
        return (value if self.plain(value) else self.each(value)).node

    def moved(self, value: Value, at: Array) -> Value:
        return Value(at.reshape(self.room(at.shape)), value.node)

    def spread(self, value: Value, shape: tuple[int, ...]) -> Value:
        return self.moved(value, np.broadcast_to(value.at, np.broadcast_shapes(value.at.shape, shape)))

    def affine(self, value: Value, weight: Array, axis: int) -> Value:
        """The weight applied along an axis: to the rows of a matrix, once that is the first axis."""
        first = np.moveaxis(value.at, axis, 0)
        columns = np.arange(first[0].size)
        shape, taps = (len(weight), *first.shape[1:]), len(columns) * np.arange(len(first))[None]
        product = self.linear(shape, taps, columns, Value(first, value.node), weight=weight[None])
        return Value(np.moveaxis(product.at, 0, axis), product.node)

    def scaled(self, value: Value, weight: Array, **keys: Any) -> Value:
        value = self.spread(value, weight.shape)
        return self.each(value, weight=np.broadcast_to(weight, value.at.shape).reshape(-1, 1, 1), **keys)

    def shifted(self, value: Value, bias: Array) -> Value:
        """value + bias: by the node that makes the value, once more, if that has no bias yet; else by a node of its own."""
        value = self.spread(value, bias.shape)
        made, given = self.nodes[value.node], {"bias": np.broadcast_to(bias, value.at.shape).reshape(-1)}
        if self.plain(value) and "weight" in made and "bias" not in made:
            return self.emit(value.at.shape, **made, **given)
        return self.each(value, **given)

    def Constant(self, **given: Any) -> Value:
        [(name, numbers)] = given.items()
        self.need(name in ("value", "value_float", "value_int", "value_ints"), f"{name} is not supported")
        return Value(np.array(numbers, "<f4" if type(numbers) is float else None))

    def Identity(self, a: Value, /) -> Value:
        return a

    def Dropout(self, a: Value, ratio: Value | None = None, /) -> Value:
        return a

    def Transpose(self, a: Value, /, *, perm: Sequence[int] = ()) -> Value:
        return self.moved(a, a.at.transpose(perm or None))

    def Flatten(self, a: Value, /, *, axis: int = 1) -> Value:
        self.need(-a.at.ndim <= axis <= a.at.ndim, f"axis {axis} of {a.at.ndim}")
        return self.moved(a, a.at.reshape(math.prod(a.at.shape[:axis]), -1))

    def Squeeze(self, a: Value, /, axes: Value | Sequence[int] = ()) -> Value:
        return self.moved(a, a.at.squeeze(self.integers(axes) or None))

    def Unsqueeze(self, a: Value, /, axes: Value | Sequence[int]) -> Value:
        return self.moved(a, np.expand_dims(a.at, self.integers(axes)))

    def Reshape(self, a: Value, shape: Value, /) -> Value:
        sizes = [a.at.shape[k] if n == 0 and k < a.at.ndim else n for k, n in enumerate(self.integers(shape))]
        self.need(min(sizes) >= -1 and abs(math.prod(sizes)) <= a.at.size, f"cannot reshape it to {sizes!s:.80}")
        return self.moved(a, a.at.reshape(sizes))

    def Relu(self, a: Value, /) -> Value:
        return self.emit(a.at.shape, op="relu", inputs=[self.flat(a)])

    def Add(self, a: Value, b: Value, /) -> Value:
        if min(a.node, b.node) < 0:
            return self.shifted(*self.ordered(a, b))
        a, b = self.spread(a, b.at.shape), self.spread(b, a.at.shape)
        each, ones = np.arange(a.at.size), np.ones((1, 1, 2), self.dtype)
        return self.linear(a.at.shape, np.array([[0, len(each)]]), each, a, b, weight=ones)

    def Sub(self, a: Value, b: Value, /) -> Value:
        value, constant = self.ordered(a, b)
        minus = -np.ones((), self.dtype)
        return self.shifted(value, -constant) if b.node < 0 else self.shifted(self.scaled(value, minus), constant)

    def Mul(self, a: Value, b: Value, /) -> Value:
        return self.scaled(*self.ordered(a, b))

    def Div(self, a: Value, b: Value, /) -> Value:
        powers = (np.abs(np.frexp(self.constant(b))[0]) == 0.5).all()
        self.need(powers, "only a division by powers of two is supported: another is no multiplication by a number")
        return self.scaled(a, np.ones((), self.dtype) / b.at)

    def MatMul(self, a: Value, b: Value, /) -> Value:
        value, weight = self.ordered(a, b)
        return self.affine(value, weight.T, -1) if b.node < 0 else self.affine(value, weight, -min(value.at.ndim, 2))

    def Gemm(self, a: Value, b: Value, c: Value | None = None, /, *, transB: int = 0) -> Value:
        product = self.affine(a, self.constant(b) if transB else self.constant(b).T, -1)
        return product if c is None else self.shifted(product, np.broadcast_to(self.constant(c), product.at.shape))

    def BatchNormalization(self, a: Value, /, *given: Value, epsilon: float = float(np.float32(1e-5))) -> Value:
        """(a - mean) * w + bias with w = scale / sqrt(variance + epsilon).

        The subtraction and the bias are exact. w is computed with 60 decimal digits, to within 1e-58 of itself, and rounded to
        float64: to within 2^-53 of itself, if it is not subnormal. So two units of 2^-53 hold both errors.
        """
        scale, bias, mean, variance = map(self.constant, given)
        good = a.at.ndim > 1 and all(numbers.shape == a.at.shape[1:2] for numbers in (scale, bias, mean, variance))
        self.need(good, f"a value of shape {a.at.shape} needs one number of each kind for each entry of its axis 1")
        least, digits = variance.min(), Context(prec=60)
        self.need(0 < least + np.float64(epsilon) < np.inf, f"variance {least} + epsilon {epsilon} is not positive")
        roots = [digits.sqrt(digits.add(Decimal(v), Decimal(epsilon))) for v in variance.tolist()]
        weight = np.array([float(digits.divide(Decimal(s), r)) for s, r in zip(scale.tolist(), roots, strict=True)])
        self.need(((np.abs(weight) >= 2.0**-1022) | (scale == 0)).all(), "a factor is too small for float64")
        shape = (len(mean), *(1,) * (a.at.ndim - 2))
        centred = self.shifted(a, -mean.reshape(shape))
        return self.shifted(self.scaled(centred, weight.reshape(shape), weight_ulps=2), bias.reshape(shape))

    def Conv(self, a: Value, w: Value, b: Value | None = None, /, **given: Any) -> Value:
        weight, (batch, channels, *plane) = self.constant(w), a.at.shape
        outputs, each, *window = weight.shape
        known: dict[str, Any] = {"strides": [1, 1], "dilations": [1, 1], "pads": [0, 0, 0, 0], "group": 1}
        known = {**known, "kernel_shape": window, "auto_pad": "NOTSET", **given}
        stride, dilation, pads, groups, kernel, auto = known.values()
        good = batch == 1 and len(plane) == len(window) == len(stride) == 2 and min([*stride, *dilation]) > 0
        good = good and kernel == window and each * groups == channels and outputs % groups == 0
        good = good and (auto == "NOTSET" or (auto == "VALID" and not any(pads)))
        words = "one image (1, c, h, w), and auto_pad NOTSET, or VALID without pads, are supported"
        self.need(good, f"{given}, a value of shape {a.at.shape} and weights of shape {weight.shape}; {words}")
        margins = [*zip(pads[:2], pads[2:], strict=True)]
        high, wide = (n + before + after for n, (before, after) in zip(plane, margins, strict=True))
        self.room((channels, high, wide))
        padded = Value(np.pad(a.at, [(0, 0), (0, 0), *margins], constant_values=-1), a.node)
        # Every window is the first one, moved: its entries are those of the first, plus the place of its corner.
        at = np.arange(padded.at.size).reshape(channels, high, wide)
        reach = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
        taps = at[:, : reach[0] + 1 : dilation[0], : reach[1] + 1 : dilation[1]].reshape(groups, -1)
        bases = at[0, : max(high - reach[0], 0) : stride[0], : max(wide - reach[1], 0) : stride[1]]
        bias = {} if b is None else {"bias": self.constant(b).reshape(outputs)}
        weight = weight.reshape(groups, outputs // groups, -1)
        return self.linear((1, outputs, *bases.shape), taps, bases.reshape(-1), padded, weight=weight, **bias)


_OPS = {name: method for name, method in vars(_Reader).items() if name[0].isupper()}
