"""The checker's own ONNX reader: the network that it reads is the network that the file holds, or it says what it cannot read."""

import gzip

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import NODE, assert_same, floats, ints, model, read
from support.onnx_nodes import relu_sizes

from verify.check.forms import Rejected, Unreadable
from verify.check.report import read_network
from verify.load.onnx import import_onnx

W, V, B, C = floats(6, 4), floats(5, 6), floats(6), floats(4)
K, KB = floats(4, 3, 3, 2), floats(4)
FLAT = NODE("Flatten", ["z"], ["y"])
BN = {"s": floats(3), "b": floats(3), "m": floats(3), "v": np.abs(floats(3))}

# what: (nodes, shape of x, constants, operator sets)
MODELS = {
    "gemm, weights as they are": ([NODE("Gemm", ["x", "w", "b"], ["y"], transB=1)], [1, 4], {"w": W, "b": B}, (7, 13, 22)),
    "gemm, transposed, symbolic batch": ([NODE("Gemm", ["x", "w"], ["y"])], ["n", 6], {"w": W}, (11,)),
    "gemm, bias as a row": ([NODE("Gemm", ["x", "w", "b"], ["y"])], [1, 6], {"w": W, "b": C[None]}, (9,)),
    "gemm, bias as a number": ([NODE("Gemm", ["x", "w", "b"], ["y"])], [1, 6], {"w": W, "b": C[0]}, (9,)),
    "matmul and add": (
        [NODE("MatMul", ["x", "w"], ["z"]), NODE("Add", ["z", "b"], ["y"])], [1, 6], {"w": W, "b": C}, (8, 14)),
    "matmul read twice": (
        [NODE("MatMul", ["x", "w"], ["z"]), NODE("Add", ["z", "b"], ["u"]), NODE("Relu", ["z"], ["t"]),
         NODE("Add", ["u", "t"], ["y"])], [1, 6], {"w": W, "b": C}, (13,)),
    "matmul read twice under another name": (
        [NODE("MatMul", ["x", "w"], ["z"]), NODE("Identity", ["z"], ["i"]), NODE("Add", ["b", "i"], ["u"]),
         NODE("Add", ["u", "z"], ["y"])], [1, 6], {"w": W, "b": C}, (13,)),
    "matmul of a vector": ([NODE("MatMul", ["x", "w"], ["y"])], [6], {"w": W}, (13,)),
    "matmul from the left, vector": ([NODE("MatMul", ["w", "x"], ["y"])], [4], {"w": W}, (13,)),
    "matmul from the left, columns": ([NODE("MatMul", ["w", "x"], ["z"]), FLAT], [1, 4, 3], {"w": W}, (13,)),
    "matmul from the left, one column": (
        [NODE("Reshape", ["x", "r"], ["u"]), NODE("MatMul", ["w", "u"], ["z"]), NODE("Reshape", ["z", "q"], ["y"])],
        [1, 4], {"w": W, "r": ints(4, 1), "q": ints(-1)}, (13,)),
    "matmul of rows": ([NODE("MatMul", ["x", "w"], ["z"]), FLAT], [1, 3, 6], {"w": W}, (13,)),
    "matmul of rows, a bias of another shape": (
        [NODE("MatMul", ["x", "w"], ["u"]), NODE("Add", ["u", "b"], ["z"]), FLAT], [1, 3, 6], {"w": W, "b": floats(3, 4)}, (13,)),
    "conv": ([NODE("Conv", ["x", "k", "b"], ["z"]), FLAT], [1, 3, 6, 5], {"k": K, "b": KB}, (7, 11, 22)),
    "conv, all attributes": (
        [NODE("Conv", ["x", "k"], ["z"], strides=[2, 1], pads=[1, 2, 1, 2], dilations=[2, 3], group=1, kernel_shape=[3, 2]), FLAT],
        [1, 3, 9, 8], {"k": K}, (11,)),
    "conv, groups": ([NODE("Conv", ["x", "k", "b"], ["z"], group=2), FLAT], [1, 6, 5, 5], {"k": K, "b": KB}, (13,)),
    "conv, pads of its own on each side": (
        [NODE("Conv", ["x", "k"], ["z"], pads=[0, 1, 2, 0], strides=[2, 2]), FLAT], ["n", 3, 6, 6], {"k": K}, (13,)),
    "conv, valid": ([NODE("Conv", ["x", "k"], ["z"], auto_pad="VALID"), FLAT], [1, 3, 6, 6], {"k": K}, (13,)),
    "add, sub, mul and div by numbers": (
        [NODE("Sub", ["x", "a"], ["1"]), NODE("Mul", ["1", "b"], ["2"]), NODE("Div", ["2", "p"], ["3"]),
         NODE("Sub", ["a", "3"], ["4"]), NODE("Add", ["b", "4"], ["y"])],
        [1, 3], {"a": floats(3), "b": floats(1, 3), "p": np.float32([4, -0.5, 2**20])}, (7, 14)),
    "a value is repeated": ([NODE("Add", ["x", "a"], ["z"]), FLAT], [1, 1, 3], {"a": floats(2, 1)}, (13,)),
    "a sum of values, one repeated": (
        [NODE("Relu", ["x"], ["r"]), NODE("Gemm", ["x", "w"], ["u"]), NODE("Add", ["r", "u"], ["y"])],
        [1, 4], {"w": floats(4, 1)}, (13,)),
    "batch norm of a vector": ([NODE("BatchNormalization", ["x", *"sbmv"], ["y"])], ["n", 3], BN, (7, 9, 14, 15)),
    "batch norm of an image": (
        [NODE("BatchNormalization", ["x", *"sbmv"], ["z"], epsilon=1e-3, momentum=0.3), FLAT], [1, 3, 2, 4], BN, (7, 9, 15)),
    "relu, identity, dropout": (
        [NODE("Relu", ["x"], ["a"]), NODE("Dropout", ["a"], ["b"]), NODE("Identity", ["b"], ["y"])], [1, 5], {}, (7, 13, 22)),
    "reshapes": (
        [NODE("Reshape", ["x", "p"], ["a"]), NODE("Relu", ["a"], ["b"]), NODE("Reshape", ["b", "q"], ["c"]),
         NODE("Reshape", ["c", "r"], ["y"])],
        ["n", 2, 6], {"p": ints(0, 3, -1), "q": ints(0, 0, 2, 2), "r": ints(1, -1)}, (7, 14, 22)),
    "reshape that keeps no batch axis": ([NODE("Reshape", ["x", "p"], ["y"])], [1, 2, 3], {"p": ints(6)}, (13,)),
    "transpose of an image": ([NODE("Transpose", ["x"], ["z"], perm=[0, 2, 3, 1]), FLAT], [1, 2, 3, 4], {}, (7, 22)),
    "transpose, reversed": ([NODE("Transpose", ["x"], ["z"]), NODE("Flatten", ["z"], ["y"], axis=0)], [1, 2, 3], {}, (13,)),
    "flatten from behind": ([NODE("Flatten", ["x"], ["y"], axis=-2)], [1, 2, 3], {}, (11,)),
    "squeeze and unsqueeze by attributes": (
        [NODE("Unsqueeze", ["x"], ["a"], axes=[1, 3]), NODE("Squeeze", ["a"], ["y"], axes=[1, 3])], [1, 5], {}, (7, 11)),
    "squeeze and unsqueeze by inputs": (
        [NODE("Unsqueeze", ["x", "i"], ["a"]), NODE("Squeeze", ["a"], ["y"])], [1, 5], {"i": ints(-1)}, (13, 21)),
    "constants are moved too": (
        [NODE("Constant", [], ["w"], value=numpy_helper.from_array(W)), NODE("Transpose", ["w"], ["v"]),
         NODE("Constant", [], ["b"], value_float=0.5), NODE("MatMul", ["x", "v"], ["z"]), NODE("Sub", ["z", "b"], ["y"])],
        [1, 4], {}, (13,)),
    "constant integers": (
        [NODE("Constant", [], ["p"], value_ints=[1, -1]), NODE("Reshape", ["x", "p"], ["y"])], [1, 2, 2], {}, (13,)),
    "the output is not the last node": (
        [NODE("Relu", ["x"], ["y"]), NODE("Gemm", ["y", "w"], ["z"]), NODE("Relu", ["z"], ["t"])], [1, 6], {"w": W}, (13,)),
}  # fmt: skip


@pytest.mark.parametrize(("name", "opset"), [(name, opset) for name, spec in MODELS.items() for opset in spec[3]])
def test_an_op_computes_what_the_runtime_computes(name, opset):
    nodes, shape, constants, _ = MODELS[name]
    data = model(nodes, shape, constants, opset=opset).SerializeToString()
    assert_same(data, read(data), [1 if d == "n" else d for d in shape])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_weights_keep_their_bits_and_their_dtype(kind):
    w, b = (a.astype(kind) * kind(1 / 3) for a in (W, C))
    onnx_kind = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    made = model(
        [NODE("MatMul", ["x", "w"], ["z"]), NODE("Add", ["z", "b"], ["y"])], [1, 6], {"w": w, "b": b}, kind=onnx_kind
    )
    node = read(made.SerializeToString())[-1]
    assert node["op"] == "linear"
    assert node["weight"].dtype == node["bias"].dtype == kind
    assert node["weight"].tobytes() == w.T.tobytes() and node["bias"].tobytes() == b.tobytes()


def stored(array, store):
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = helper.make_tensor("w", kind, array.shape, array.ravel().tolist())
    assert getattr(tensor, store)
    return tensor


@pytest.mark.parametrize(("kind", "store"), [(np.float32, "float_data"), (np.float64, "double_data")])
def test_numbers_may_be_stored_one_by_one(kind, store):
    w = W.astype(kind) * kind(0.1)
    made = model(
        [NODE("MatMul", ["x", "w"], ["y"])], [1, 6], {"w": w}, kind=helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    )
    made.graph.initializer[0].CopyFrom(stored(w, store))
    assert read(made.SerializeToString())[-1]["weight"].tobytes() == w.T.tobytes()


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_integers_may_be_stored_one_by_one(kind):
    made = model([NODE("Reshape", ["x", "w"], ["y"])], [1, 2, 3], {"w": ints(-1, 6)})
    made.graph.initializer[0].CopyFrom(stored(np.array([-1, 6], kind), f"{np.dtype(kind)}_data"))
    assert read(made.SerializeToString()) == [{"op": "input", "size": 6}]


def test_a_batch_norm_says_how_far_its_weight_may_be_off_and_its_bias_is_exact():
    from fractions import Fraction

    data = model([NODE("BatchNormalization", ["x", *"sbmv"], ["y"])], [1, 3], BN).SerializeToString()
    centred, scaled = read(data)[1:]
    assert np.array_equal(centred["bias"], -BN["m"]) and "weight" not in centred
    assert np.array_equal(scaled["bias"], BN["b"]) and "bias_error" not in scaled
    epsilon = Fraction(float(np.float32(1e-5)))
    for w, s, v in zip(scaled["weight"].ravel(), BN["s"], BN["v"], strict=True):
        # |w - s / sqrt(v + e)| <= U 2^-53 |w| says that w (1 - d) and w (1 + d) have the number between them
        d, square = Fraction(scaled["weight_ulps"], 2**53), Fraction(float(s)) ** 2 / (Fraction(float(v)) + epsilon)
        assert (Fraction(w) * (1 - d)) ** 2 <= square <= (Fraction(w) * (1 + d)) ** 2 and np.sign(w) == np.sign(s)


def test_relus_are_numbered_in_the_order_of_the_file():
    w = {"w": floats(6, 3), "v": floats(6, 3)}
    nodes = [NODE("Gemm", ["x", "w"], ["a"]), NODE("Gemm", ["x", "v"], ["b"]), NODE("Relu", ["b"], ["rb"]),
             NODE("Relu", ["a"], ["ra"]), NODE("Add", ["ra", "rb"], ["y"])]  # fmt: skip
    made = read(model(nodes, [1, 6], w).SerializeToString())
    first = next(n for n in made if n["op"] == "relu")
    assert np.array_equal(made[first["inputs"][0]]["weight"][0], w["v"].T)


def test_a_constant_that_is_also_an_input_has_the_value_in_the_file():
    made = model([NODE("MatMul", ["x", "w"], ["y"])], [1, 6], {"w": W})
    made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [6, 4]))
    assert_same(data := made.SerializeToString(), read(data), [1, 6])


def test_gzip_is_read_as_what_it_holds():
    data = model([NODE("MatMul", ["x", "w"], ["y"])], [1, 6], {"w": W}).SerializeToString()
    assert str(read(gzip.compress(data, mtime=0))) == str(read(data))


GEMM = {"w": W, "b": C}
WITH_B = ["x", "w", "b"]
# what: (nodes, shape of x, constants, words of the message)
REFUSED = {
    "an op": ([NODE("Sigmoid", ["x"], ["y"], name="sig")], [1, 4], {}, "'sig', op 'Sigmoid': not supported; Add, BatchNorm"),
    "alpha": ([NODE("Gemm", WITH_B, ["y"], alpha=0.5)], [1, 6], GEMM, "'alpha' = 0.5"),
    "beta": ([NODE("Gemm", WITH_B, ["y"], beta=2.0)], [1, 6], GEMM, "'beta' = 2.0"),
    "transA": ([NODE("Gemm", WITH_B, ["y"], transA=1)], [1, 6], GEMM, "'transA' = 1"),
    "C of more rows": ([NODE("Gemm", WITH_B, ["y"])], [1, 6], {"w": W, "b": floats(2, 4)}, "broadcast"),
    "two values multiplied": ([NODE("Mul", ["x", "x"], ["y"])], [1, 6], {}, "an input must be a constant of float32"),
    "two values in a product": ([NODE("MatMul", ["x", "x"], ["y"])], [1, 1], {}, "an input must be a constant of float32"),
    "a division by three": ([NODE("Div", ["x", "c"], ["y"])], [1, 4], {"c": np.float32(3)}, "powers of two"),
    "a division by zero": ([NODE("Div", ["x", "c"], ["y"])], [1, 4], {"c": np.float32(0)}, "powers of two"),
    "a division of a constant": ([NODE("Div", ["c", "x"], ["y"])], [1, 4], {"c": np.float32(2)}, "must be a constant"),
    "SAME padding": (
        [NODE("Conv", ["x", "k"], ["z"], auto_pad="SAME_UPPER"), FLAT], [1, 3, 6, 6], {"k": K}, "auto_pad NOTSET, or VALID"),
    "one dimension": ([NODE("Conv", ["x", "k"], ["z"]), FLAT], [1, 3, 6], {"k": floats(4, 3, 2)}, "one image (1, c, h, w)"),
    "a kernel that does not fit": ([NODE("Conv", ["x", "k"], ["z"]), FLAT], [1, 3, 2, 2], {"k": K}, "empty"),
    "negative pads": ([NODE("Conv", ["x", "k"], ["z"], pads=[-1] * 4), FLAT], [1, 3, 6, 6], {"k": K}, "negative"),
    "a batch of two": ([NODE("Conv", ["x", "k"], ["z"]), FLAT], [2, 3, 6, 6], {"k": K}, "(1, c, h, w)"),
    "training": (
        [NODE("BatchNormalization", ["x", *"sbmv"], ["y", "mm", "vv"], training_mode=1)], [1, 3], BN, "'training_mode' = 1"),
    "negative variance": (
        [NODE("BatchNormalization", ["x", *"sbmv"], ["y"])], [1, 3], BN | {"v": np.float32([1, -1, 1])}, "variance -1.0"),
    "a shape that does not fit": ([NODE("Reshape", ["x", "p"], ["y"])], [1, 6], {"p": ints(4, 2)}, "cannot reshape"),
    "axes far out": ([NODE("Unsqueeze", ["x", "p"], ["y"])], [1, 6], {"p": ints(2**60)}, "op 'Unsqueeze'"),
    "axes out far": ([NODE("Squeeze", ["x", "p"], ["y"])], [1, 6], {"p": ints(-(2**60))}, "op 'Squeeze'"),
    "a permutation of others": ([NODE("Transpose", ["x"], ["y"], perm=[2**60, 0])], [1, 6], {}, "op 'Transpose'"),
    "an axis far out": ([NODE("Flatten", ["x"], ["y"], axis=2**60)], [1, 6], {}, "axis 1152921504606846976 of 2"),
    "a shape of zeros": ([NODE("Reshape", ["x", "p"], ["y"], allowzero=1)], [1, 6], {"p": ints(1, 6)}, "'allowzero' = 1"),
    "a huge shape": ([NODE("Reshape", ["x", "p"], ["y"])], [1, 6], {"p": ints(1, 2**60)}, "cannot reshape it to [1, 1152921"),
    "a shape that is computed": (
        [NODE("Shape", ["x"], ["p"]), NODE("Reshape", ["x", "p"], ["y"])], [1, 6], {}, "op 'Shape': not supported"),
    "a matrix as output": ([NODE("Relu", ["x"], ["y"])], [1, 6, 2], {}, "not a vector"),
    "a constant as output": ([NODE("Identity", ["c"], ["y"])], [1, 6], {"c": C}, "a value that depends on the network's input"),
    "sizes without numbers": ([NODE("Relu", ["x"], ["y"])], [1, "n"], {}, "sizes [1, None]"),
    "one axis without size": ([NODE("Relu", ["x"], ["y"])], ["n"], {}, "sizes [None]"),
    "no size at all": ([NODE("Relu", ["x"], ["y"])], [1, 0], {}, "shape [1, 0]"),
    "sixteen bits": ([NODE("Add", ["x", "c"], ["y"])], [1, 4], {"c": np.float16(2)}, "tensor 'c' of type 10"),
    "two widths of floats": ([NODE("Add", ["x", "c"], ["y"])], [1, 4], {"c": np.float64(2)}, "constant of float32"),
    "the mask of a dropout": (
        [NODE("Dropout", ["x"], ["a", "m"]), NODE("Add", ["a", "m"], ["y"])], [1, 4], {}, "made by no node"),
    "an image too large": ([NODE("Add", ["x", "c"], ["y"])], [1, 2**20, 1], {"c": floats(1, 2**10)}, "too large"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_name(name):
    nodes, shape, constants, words = REFUSED[name]
    with pytest.raises(Unreadable) as refused:
        read(model(nodes, shape, constants, opset=14).SerializeToString())
    assert words in str(refused.value)


# what: (op, shape of x, the constant, words of the message)
REJECTED = {
    "weights that do not fit": ("MatMul", [1, 5], W, "node 1 (linear): weight does not fit taps"),
    "a division by too little": ("Div", [1, 4], np.float32(2**-149), "weight of node 1 (linear) has the entry inf"),
    "NaN": ("Add", [1, 4], np.float32("nan"), "bias of node 1 (linear) has the entry nan"),
    "weights of three axes": ("MatMul", [1, 6], floats(2, 6, 4), "weight of node 1 (linear) has the shape"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_numbers_that_do_not_fit_are_refused_as_they_are_in_any_network(name):
    op, shape, constant, words = REJECTED[name]
    with np.errstate(all="ignore"), pytest.raises(Rejected) as refused:
        read_network(model([NODE(op, ["x", "c"], ["y"])], shape, {"c": constant}).SerializeToString())
    assert words in str(refused.value)


def _opset(made, version, domain=""):
    del made.opset_import[:]
    made.opset_import.append(helper.make_opsetid(domain, version))


CHANGES = {
    "an old operator set": (lambda m: _opset(m, 6), "operator set"),
    "an operator set to come": (lambda m: _opset(m, 99), "operator set"),
    "another domain": (lambda m: m.graph.node[0].__setattr__("domain", "com.example"), "not supported"),
    "an unknown attribute": (
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("fuse", 1)),
        "argument 'fuse'",
    ),
    "a graph as attribute": (
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("body", m.graph)),
        "attribute: field 6",
    ),
    "a name twice": (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "something else already"),
    "no such value": (lambda m: m.graph.node[0].input.__setitem__(0, "nowhere"), "'nowhere'"),
    "two outputs": (lambda m: m.graph.output.append(helper.make_tensor_value_info("z", 1, [1])), "one of each"),
    "no graph": (lambda m: m.ClearField("graph"), "one of each"),
    "functions": (lambda m: m.functions.add(), "field 25"),
    "a sparse initializer": (lambda m: m.graph.sparse_initializer.add(), "field 15"),
    "external data": (lambda m: m.graph.initializer[0].external_data.add(), "'elsewhere'"),
    "external by location": (lambda m: m.graph.initializer[0].__setattr__("data_location", 1), "'location'"),
    "numbers in two places": (lambda m: m.graph.initializer[0].float_data.append(1), "['raw', 'floats']"),
    "too few numbers": (lambda m: m.graph.initializer[0].__setattr__("raw_data", b"1234"), "4 bytes do not fit"),
    "huge sizes": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**62), "are supported"),
    "sizes of a huge product": (lambda m: m.graph.initializer[0].dims.extend([2**30] * 5), "do not fit"),
    "negative sizes": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -6), "are supported"),
    "another element type": (
        lambda m: m.graph.input[0].type.tensor_type.__setattr__("elem_type", 10),
        "FLOAT and DOUBLE",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_says_more_than_is_read_is_refused(name):
    made = model([NODE("Gemm", ["x", "w"], ["y"])], [1, 6], {"w": W})
    change, words = CHANGES[name]
    change(made)
    with pytest.raises(Unreadable) as refused:
        read(made.SerializeToString())
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "operator set"),
        (b"\x3a\x05\x01", "5 bytes are announced"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "bytes are announced"),
        (b"\x08" + b"\xff" * 10, "more than 64 bits"),
        (b"\x08\xff", "cut off"),
        (b"\x0b", "wire type 3"),
        (b"\x08\x01" * 600_000, "fields and integers"),
        (b"\x1f\x8b\x08", "cut short"),
        (b"\x1f\x8bxxxxxxxxxxxx", "stream is damaged"),
        (gzip.compress(b"", mtime=0) + b"x", "bytes follow it"),
        (gzip.compress(bytes(1 << 21), mtime=0), "over the limit of 1048576 bytes"),
        (bytes(1 << 21), "over the limit of 1048576 bytes"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_model_are_refused(data, words):
    limit = 1 << 20 if "1048576" in words else 1 << 22
    with pytest.raises(Unreadable) as refused:
        read(data, limit=limit)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", list(MODELS))
def test_relus_and_the_input_are_those_of_the_importer(name):
    nodes, shape, constants, opsets = MODELS[name]
    made = model(nodes, shape, constants, opset=opsets[-1])
    network, mine = import_onnx(made, source=name), read(made.SerializeToString())
    assert mine[0]["size"] == int(np.prod(network.input_shape))
    assert relu_sizes(mine) == [int(np.prod(network.nodes[i].shape)) for i in network.relus]
