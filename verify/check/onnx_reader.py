"""A plain ONNX file as the nodes of FORMAT.md, section 2, from its bytes alone.

The nodes compute what the file computes for one input: a batch axis has size 1. The first axis of the input is the batch axis when
there is more than one axis and its size is 1 or no number. What only arranges numbers makes no node until they are used. An
initializer that is an input too has the value that is in the file. Nodes that the output does not depend on are read, and left out.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from verify.check.forms import Unreadable
from verify.check.protobuf import Message, need

Array = NDArray[Any]
MAX_RANK = 8
OPSETS = range(7, 26)  # since 7 the ops below have only turned attributes into inputs, and got types
_DTYPES = {1: "f4", 6: "i4", 7: "i8", 11: "f8"}
_WINDOWS = {"strides": [1, 1], "dilations": [1, 1], "pads": [0, 0, 0, 0]}
_EPSILON = float(np.float32(1e-5))  # attributes are float32 numbers
# Least and most inputs, and the attributes with what they are when absent ([]: not given). Those in _FIXED must be as they are
# here; momentum, ratio and seed say nothing about a network that is only executed. Others are refused.
_OPS: dict[str, tuple[int, int, dict[str, Any]]] = {
    **{op: (2, 2, {}) for op in ("Add", "Div", "MatMul", "Mul", "Sub")},
    **{op: (1, 1, {}) for op in ("Identity", "Relu")},
    **{op: (1, 2, {"axes": []}) for op in ("Squeeze", "Unsqueeze")},
    "BatchNormalization": (5, 5, {"epsilon": _EPSILON, "momentum": 0.9, "spatial": 1, "training_mode": 0}),
    "Constant": (0, 0, {"value": np.zeros(0), "value_float": 0.0, "value_int": 0, "value_ints": []}),
    "Conv": (2, 3, {**_WINDOWS, "auto_pad": "NOTSET", "group": 1, "kernel_shape": []}),
    "Dropout": (1, 2, {"ratio": 0.5, "seed": 0}),
    "Flatten": (1, 1, {"axis": 1}),
    "Gemm": (2, 3, {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}),
    "Reshape": (2, 2, {"allowzero": 0}),
    "Transpose": (1, 1, {"perm": []}),
}
_FIXED = ("alpha", "beta", "transA", "spatial", "training_mode", "allowzero")


@dataclass(frozen=True)
class Value:
    """Entries ``at``, in an ONNX shape, of the value of one of our nodes; -1 is a zero."""

    node: int
    at: Array


def read(data: bytes, *, limit: int = 1 << 30) -> list[dict[str, Any]]:
    """The nodes of an ONNX file; weights have its bits and dtype, ReLUs its order. Raises Unreadable, and nothing else.

    ``limit``: bytes of all values and arrays of the network at 8 a number.
    """
    model, reader = Message(data, "model"), _Reader(limit)
    opsets = [(o.one(o.texts(1), ""), o.one(o.ints(2), 1)) for o in model.messages(8, "operator set")]
    versions = [version for domain, version in opsets if domain in ("", "ai.onnx")]
    known = versions and all(version in OPSETS for version in versions)
    need(known, "model", f"operator sets {opsets}; ai.onnx from {OPSETS[0]} to {OPSETS[-1]} is supported")
    graph = model.one(model.messages(7, "graph"), Message(b"", "graph"))
    model.end(1, 2, 3, 4, 5, 6, 14)  # versions, names, texts
    return reader.graph(graph)


def _tensor(t: Message) -> tuple[str, Array]:
    name, kind, dims = t.one(t.texts(8), ""), t.one(t.ints(2), 0), t.ints(1)
    t.where = f"{t.where}, tensor {name!r} of type {kind} and sizes {dims[:MAX_RANK]}"
    known = kind in _DTYPES and len(dims) <= MAX_RANK and all(0 <= d < 1 << 31 for d in dims)
    need(known, t.where, f"FLOAT, DOUBLE, INT32 and INT64 with at most {MAX_RANK} axes are supported")
    need(not t.blobs(13) and not any(t.ints(14)), t.where, "its numbers are in another file")
    raw, dtype = t.one(t.blobs(9), b""), "<" + _DTYPES[kind]
    if not raw and "f" in dtype:
        raw = b"".join(t.blobs(4) or t.blobs(4, 5) if kind == 1 else t.blobs(10) or t.blobs(10, 1))
    elif not raw:
        numbers = t.ints(5 if kind == 6 else 7)
        need(kind == 7 or all(-1 << 31 <= n < 1 << 31 for n in numbers), t.where, "a number has more than 32 bits")
        raw = np.array(numbers, dtype).tobytes()
    t.end(12, 16)  # texts; numbers that are in the wrong place, or in two, are left
    size, count = len(raw), math.prod(dims)
    need(size == count * int(dtype[2]), t.where, f"{size} bytes for {count} numbers")
    return name, np.frombuffer(raw, dtype).astype(dtype[1:]).reshape(dims)


def _attribute(a: Message) -> tuple[str, Any]:
    name, kind = a.one(a.texts(1), ""), a.one(a.ints(20), 0)
    readers: dict[int, Callable[[], Any]] = {
        1: lambda: struct.unpack("<f", a.one(a.blobs(2, 5), bytes(4)))[0],
        2: lambda: a.one(a.ints(3), 0),
        3: lambda: a.one(a.texts(4), ""),
        4: lambda: _tensor(a.one(a.messages(5, "value"), Message(b"", a.where)))[1],
        7: lambda: a.ints(8),
    }
    need(kind in readers, a.where, f"attribute {name!r} has type {kind}; {list(readers)} are supported")
    value = readers[kind]()
    a.end(13)  # a text; values of another type are left
    return name, value


class _Reader:
    """The nodes so far, what names stand for, the bytes left, and the node of the file that is being read."""

    def __init__(self, limit: int) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.names: dict[str, Any] = {}
        self.args: list[Any] = []  # a Value, an array, or None for an input that is left out
        self.given: dict[str, Any] = {}
        self.left, self.where, self.op, self.dtype = limit, "graph", "", np.dtype("f4")

    def need(self, condition: object, what: str) -> None:
        need(condition, self.where, what)

    def room(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, when there is memory for an array of it."""
        self.left -= 8 * math.prod(shape)
        fits = self.left >= 0 and len(shape) <= MAX_RANK and min(shape, default=1) > 0
        self.need(fits, f"shape {list(shape)}: empty, more than {MAX_RANK} axes, or too large for the memory allowed")
        return shape

    def define(self, name: str, meaning: Value | Array) -> None:
        self.need(name and name not in self.names, f"the name {name!r} is empty, or stands for something else already")
        self.names[name] = meaning

    def graph(self, graph: Message) -> list[dict[str, Any]]:
        for t in graph.messages(5, "initializer"):
            self.define(*_tensor(t))
        inputs = dict(self.info(i) for i in graph.messages(11, "input"))
        outputs = [self.info(o)[0] for o in graph.messages(12, "output")]
        nodes = graph.messages(1, "node")
        graph.end(2, 10, 13, 16)  # names, texts, and types of values between
        free = [name for name in inputs if name not in self.names]
        self.need(len(free) == len(outputs) == 1, f"inputs {free}, outputs {outputs}; one of each is supported")
        kind, shape = inputs[free[0]]
        shape[:1] = [1] if len(shape) > 1 and shape[0] is None else shape[:1]
        known = kind in (1, 11) and shape and None not in shape
        self.need(known, f"the input has type {kind} and sizes {shape}; FLOAT and DOUBLE with sizes are supported")
        self.dtype = np.dtype(_DTYPES[kind])
        self.define(free[0], self.emit(tuple(shape), op="input", size=math.prod(shape)))
        for n in nodes:
            self.node(n)
        self.where, result = "output", self.names.get(outputs[0])
        vector = isinstance(result, Value) and result.at.size == max(result.at.shape)
        self.need(vector, f"{outputs[0]!r} is not a vector that depends on the input")
        last = self.flat(cast(Value, result))
        live = {last}
        for k in range(last, 0, -1):
            live.update(self.nodes[k]["inputs"] if k in live else ())
        place = {k: n for n, k in enumerate(sorted(live))}
        moved = [{**self.nodes[k], "inputs": [place[i] for i in self.nodes[k]["inputs"]]} for k in place if k]
        return [self.nodes[0], *moved]

    def info(self, entry: Message) -> tuple[str, tuple[int, list[Any]]]:
        """The name, type and sizes (None: a name, or nothing) of an input or output of the graph."""
        empty = Message(b"", entry.where)
        typed = entry.one(entry.one(entry.messages(2, "type"), empty).messages(1, "tensor"), empty)
        axes = typed.one(typed.messages(2, "shape"), empty).messages(1, "axis")
        shape = [d.one([*d.ints(1), *(None for _ in d.blobs(2))], None) for d in axes]
        return entry.one(entry.texts(1), ""), (typed.one(typed.ints(1), 0), shape)

    def node(self, n: Message) -> None:
        inputs, outputs, self.op, domain = n.texts(1), n.texts(2), n.one(n.texts(4), ""), n.one(n.texts(7), "")
        self.where = f"{n.where} {n.one(n.texts(3), '')!r}, op {self.op!r}"
        supported = self.op in _OPS and domain in ("", "ai.onnx")
        self.need(supported, f"not supported; {', '.join(sorted(_OPS))} are")
        (least, most, known), given = _OPS[self.op], dict[str, Any]()
        for a in n.messages(5, "attribute"):
            name, value = _attribute(a)
            good: object = name not in given and type(value) is type(known.get(name))
            good = good and (not isinstance(value, list) or value) and (name not in _FIXED or value == known[name])
            self.need(good, f"attribute {name!r} = {value!r}; supported: {known}, of these {_FIXED} only as here")
            given[name] = value
        n.end(6, 9)  # texts
        while inputs and not inputs[-1]:
            inputs.pop()
        unknown = [name for name in inputs if name and name not in self.names]
        self.need(not unknown, f"its inputs {unknown} are made by no node before it")
        counts = least <= len(inputs) <= most and outputs and (not any(outputs[1:]) or self.op == "Dropout")
        self.need(counts, f"inputs {inputs}, outputs {outputs}; {least} to {most} inputs and one output are supported")
        self.args, self.given = [self.names.get(name) for name in inputs], {**known, **given}
        if self.op == "Constant":
            self.need(len(given) == 1, "one value is supported")
            [value] = given.values()
            return self.define(outputs[0], np.array(value, {float: "f4", int: "i8", list: "i8"}.get(type(value))))
        try:
            self.define(outputs[0], self.result())
        except (ValueError, OverflowError) as error:  # numpy's words on shapes and axes that do not fit
            raise Unreadable(f"{self.where}: {error}") from error

    def result(self) -> Value | Array:
        """What the node computes: a value of our nodes, or a constant."""
        match self.op:
            case "Relu":
                return self.emit(self.value(0).at.shape, op="relu", inputs=[self.flat(self.value(0))])
            case "Add" | "Sub" | "Mul" | "Div":
                return self.arithmetic()
            case "Gemm":
                value, weight, transposed = self.value(0), self.constant(1, 2), self.given["transB"]
                self.need(value.at.ndim == 2 and transposed in (0, 1), "two axes, and transB 0 or 1, are supported")
                product = self.affine(value, weight if transposed else weight.T, -1)
                result = self.shifted(product, self.constant(2)) if len(self.args) == 3 else product
                self.need(result.at.shape == product.at.shape, f"C is larger than the product, {product.at.shape}")
                return result
            case "MatMul" if isinstance(self.args[1], np.ndarray):
                return self.affine(self.value(0), self.constant(1, 2).T, -1)
            case "MatMul":
                return self.affine(self.value(1), self.constant(0, 2), -min(self.value(1).at.ndim, 2))
            case "BatchNormalization":
                return self.normalised()
            case "Conv":
                return self.conv()
        if isinstance(self.args[0], np.ndarray):
            return self.moved(self.args[0])
        at = self.moved(self.value(0).at)
        return Value(self.value(0).node, at.reshape(self.room(at.shape)))

    def emit(self, shape: tuple[int, ...], /, *, op: str = "linear", **keys: Any) -> Value:
        """A new node, and its value in this shape."""
        self.nodes.append({"op": op, **keys})
        self.sizes.append(math.prod(self.room(shape)))
        return Value(len(self.nodes) - 1, np.arange(self.sizes[-1]).reshape(shape))

    def linear(self, shape: tuple[int, ...], taps: Array, bases: Array, /, *read: Value, **keys: Any) -> Value:
        """A linear node that reads these values, one after another, as they are arranged."""
        begins = np.cumsum([0, *(self.sizes[value.node] for value in read)])
        gather = np.concatenate([np.where(v.at < 0, -1, v.at + n).ravel() for v, n in zip(read, begins, strict=False)])
        i4, nodes = np.int32, [value.node for value in read]
        places: dict[str, Any] = {"gather": gather.astype(i4), "taps": taps.astype(i4), "bases": bases.astype(i4)}
        return self.emit(shape, inputs=nodes, **places, **keys)

    def moved_once(self, value: Value, **keys: Any) -> Value:
        """A node whose value is ``value``. What it reads twice it reads by a tap for each entry."""
        each, flat = np.arange(value.at.size), value.at[value.at >= 0]
        taps, bases = (each[:, None], each[:1]) if len(np.unique(flat)) < len(flat) else (each[None, :1], each)
        return self.linear(value.at.shape, taps, bases, value, **keys)

    def plain(self, value: Value) -> bool:
        """Whether it is all of its node's value, in order."""
        return np.array_equal(value.at.ravel(), np.arange(self.sizes[value.node]))

    def flat(self, value: Value) -> int:
        """A node whose value is ``value``."""
        return (value if self.plain(value) else self.moved_once(value)).node

    def value(self, k: int) -> Value:
        arg: Value = self.args[k]
        self.need(isinstance(arg, Value), f"input {k} must be a value that depends on the network's input")
        return arg

    def constant(self, k: int, rank: int | None = None) -> Array:
        arg: Array = self.args[k]
        fits = isinstance(arg, np.ndarray) and arg.dtype == self.dtype
        self.need(fits, f"input {k} must be a constant of {self.dtype}")
        self.need(rank in (None, arg.ndim), f"input {k} has {arg.ndim} axes, {rank} are supported")
        self.need(np.isfinite(arg).all(), f"input {k} has numbers that are infinite or NaN")
        return arg

    def integers(self, name: str) -> tuple[int, ...]:
        """What an attribute of older operator sets, or the second input of newer ones, says; () when neither is there."""
        if len(self.args) < 2:
            return tuple(self.given[name])
        arg = self.args[1]
        good = isinstance(arg, np.ndarray) and arg.dtype.kind == "i" and arg.ndim == 1 and arg.size > 0
        self.need(good and not self.given.get(name), f"{name} must be a constant list of integers, given once")
        return tuple(arg.tolist())

    def spread(self, value: Value, shape: tuple[int, ...]) -> Value:
        return Value(value.node, np.broadcast_to(value.at, self.room(np.broadcast_shapes(value.at.shape, shape))))

    def moved(self, a: Array) -> Array:
        """A constant, or the places of a value, as an op that changes no number arranges them."""
        match self.op:
            case "Transpose":
                return a.transpose(self.given["perm"] or None)
            case "Flatten":
                axis = self.given["axis"]
                self.need(-a.ndim <= axis <= a.ndim, f"axis {axis} of {a.ndim}")
                return a.reshape(math.prod(a.shape[: axis if axis >= 0 else axis + a.ndim]), -1)
            case "Squeeze":
                return a.squeeze(self.integers("axes") or None)
            case "Unsqueeze":
                self.need(self.integers("axes"), "no axes are given")
                return np.expand_dims(a, self.integers("axes"))
            case "Reshape":
                shape = [a.shape[k] if n == 0 and k < a.ndim else n for k, n in enumerate(self.integers("shape"))]
                good = len(shape) <= MAX_RANK and shape.count(-1) < 2 and all(0 < n < 1 << 31 or n == -1 for n in shape)
                self.need(good, f"the shape {shape[:MAX_RANK]} is not supported")
                return a.reshape(shape)
        return a

    def affine(self, value: Value, weight: Array, axis: int) -> Value:
        """The weight applied along an axis: to the rows of a matrix, once that is the first axis."""
        fits = value.at.ndim and value.at.shape[axis] == self.room(weight.shape)[1]
        self.need(fits, f"a value of shape {value.at.shape} meets weights for {weight.shape[1]} numbers")
        first = np.moveaxis(value.at, axis, 0)
        columns = np.arange(first[0].size)
        shape, taps = (len(weight), *first.shape[1:]), len(columns) * np.arange(len(first))[None]
        product = self.linear(shape, taps, columns, Value(value.node, first), weight=weight[None].copy())
        return Value(product.node, np.moveaxis(product.at, 0, axis))

    def scaled(self, value: Value, weight: Array, **keys: Any) -> Value:
        self.need(np.isfinite(weight).all(), "a factor is not a finite number")
        value = self.spread(value, weight.shape)
        weight, each = np.broadcast_to(weight, value.at.shape).reshape(-1, 1, 1).copy(), np.arange(value.at.size)
        return self.linear(value.at.shape, each[:, None], each[:1], value, weight=weight, **keys)

    def shifted(self, value: Value, bias: Array) -> Value:
        """value + bias: by the node that makes the value, once more, if that has no bias yet; else by a node of its own."""
        wide, made = self.spread(value, bias.shape), self.nodes[value.node]
        given: dict[str, Any] = {"bias": np.broadcast_to(bias, wide.at.shape).reshape(-1).copy()}
        if self.plain(wide) and "weight" in made and "bias" not in made:
            return self.emit(wide.at.shape, **made, **given)
        return self.moved_once(wide, **given)

    def arithmetic(self) -> Value:
        a, b = self.args
        if self.op == "Add" and isinstance(a, Value) and isinstance(b, Value):
            a, b = self.spread(a, b.at.shape), self.spread(b, a.at.shape)
            each, ones = np.arange(a.at.size), np.ones((1, 1, 2), self.dtype)
            return self.linear(a.at.shape, np.array([[0, len(each)]]), each, a, b, weight=ones)
        k = int(isinstance(a, np.ndarray))
        value, constant, one = self.value(k), self.constant(1 - k), np.ones((), self.dtype)
        if self.op == "Div":
            powers = not k and (np.abs(np.frexp(constant)[0]) == 0.5).all()
            self.need(powers, "only a division by powers of two is supported: another is no multiplication by a number")
            with np.errstate(over="ignore"):
                constant = one / constant
        if self.op in ("Mul", "Div"):
            return self.scaled(value, constant)
        if self.op == "Sub":
            value, constant = (self.scaled(value, -one), constant) if k else (value, -constant)
        return self.shifted(value, constant)

    def normalised(self) -> Value:
        """(v - mean) * w + b with w = scale / sqrt(variance + epsilon).

        The subtraction and b are exact. w is computed with 60 decimal digits, to within 1e-58 of itself, and rounded to float64:
        to within 2^-53 of itself, if it is not subnormal. So two units of 2^-53 hold both errors.
        """
        value, (scale, bias, mean, variance) = self.value(0), [self.constant(k, 1) for k in range(1, 5)]
        fits = value.at.ndim > 1 and all(a.shape == value.at.shape[1:2] for a in (scale, bias, mean, variance))
        self.need(fits, f"a value of shape {value.at.shape} needs one number of each kind for each entry of its axis 1")
        digits, epsilon, weights = Context(prec=60), self.given["epsilon"], []
        self.need(abs(epsilon) < math.inf, f"epsilon is {epsilon}")
        for s, v in zip(scale.tolist(), variance.tolist(), strict=True):
            total = digits.add(Decimal(v), Decimal(epsilon))
            self.need(total > 0, f"variance {v} + epsilon {epsilon} is not positive")
            w = digits.divide(Decimal(s), digits.sqrt(total))
            weights.append(float(w))
            self.need(s == 0 or abs(weights[-1]) >= 2.0**-1022, f"the factor {w} is too small for float64")
        shape = (len(mean), *(1,) * (value.at.ndim - 2))
        centred = self.shifted(value, -mean.reshape(shape))
        return self.shifted(self.scaled(centred, np.array(weights).reshape(shape), weight_ulps=2), bias.reshape(shape))

    def conv(self) -> Value:
        value, weight = self.value(0), self.constant(1, 4)
        names = ("strides", "dilations", "pads", "group", "kernel_shape", "auto_pad")
        stride, dilation, pads, groups, kernel, auto = (self.given[name] for name in names)
        plane = value.at.ndim == 4 and value.at.shape[0] == 1 and [len(stride), len(dilation), len(pads)] == [2, 2, 4]
        self.need(plane, f"its value has the shape {value.at.shape}; two-dimensional ones, (1, c, h, w), are supported")
        (outputs, each, *window), channels = weight.shape, value.at.shape[1]
        good = groups > 0 and each * groups == channels and outputs % groups == 0 and min(stride + dilation) > 0
        good = good and kernel in ([], window) and min(pads) >= 0
        self.need(good, f"{self.given} with weights of shape {weight.shape} and a value of shape {value.at.shape}")
        explicit = auto == "NOTSET" or (auto == "VALID" and not any(pads))
        self.need(explicit, f"'auto_pad' = {auto!r}; only NOTSET, or VALID without pads, are supported")
        high, wide = (n + pads[k] + pads[k + 2] for k, n in enumerate(value.at.shape[2:]))
        self.room((channels, high, wide))
        margins = [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])]
        padded = Value(value.node, np.pad(value.at, margins, constant_values=-1))
        # Every window is the first one, moved: its entries are those of the first, plus the place of its corner.
        at = np.arange(channels * high * wide).reshape(channels, high, wide)
        reach = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
        taps = at[:, : reach[0] + 1 : dilation[0], : reach[1] + 1 : dilation[1]].reshape(groups, -1)
        bases = at[0, : max(high - reach[0], 0) : stride[0], : max(wide - reach[1], 0) : stride[1]]
        keys = {"weight": weight.reshape(groups, outputs // groups, -1)}
        if len(self.args) == 3:
            keys["bias"] = self.constant(2, 1)
            self.need(len(keys["bias"]) == outputs, f"the bias has {len(keys['bias'])} numbers for {outputs} channels")
        return self.linear((1, outputs, *bases.shape), taps, bases.reshape(-1), padded, **keys)
