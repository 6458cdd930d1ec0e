"""Whole ONNX models: residual blocks, normalisation, shape arithmetic, the VNN-COMP networks, and what is refused."""

import gzip
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from verify.errors import LoadError, LoadMismatch, UnsupportedOperator
from verify.load.onnx import import_onnx, load_onnx, read_graph
from verify.load.onnx_runtime import onnx_runtime
from verify.load.runtime import check_against_runtime
from verify.operators import Affine, Conv, ReLU
from verify.proof.canonical import identity

RNG = np.random.default_rng(11)
node = helper.make_node


def floats(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def model(nodes, shape, constants=None, *, opset=13, kind=TensorProto.FLOAT, outputs=("y",)):
    stored = [numpy_helper.from_array(v, n) for n, v in (constants or {}).items()]
    x = helper.make_tensor_value_info("x", kind, shape)
    ys = [helper.make_tensor_value_info(o, kind, None) for o in outputs]
    graph = helper.make_graph(nodes, "g", [x], ys, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def operators(network):
    return [type(n.operator) for n in network.nodes[1:]]


# --- models that are read --------------------------------------------------------------------------------------------


def residual():
    constants = {"w1": floats(4, 3, 3, 3), "w2": floats(4, 4, 3, 3), "w3": floats(4, 3, 1, 1), "g": floats(10, 100)}
    for name in ("s", "b", "m"):
        constants[name] = floats(4)
    constants["v"] = np.abs(floats(4)) + np.float32(0.1)
    nodes = [
        node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "s", "b", "m", "v"], ["an"]),
        node("Relu", ["an"], ["ar"]),
        node("Conv", ["ar", "w2"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "s", "b", "m", "v"], ["cn"]),
        node("Conv", ["x", "w3"], ["d"]),
        node("Add", ["cn", "d"], ["e"]),
        node("Relu", ["e"], ["er"]),
        node("Flatten", ["er"], ["f"]),
        node("Gemm", ["f", "g"], ["y"], transB=1),
    ]
    return model(nodes, ("N", 3, 5, 5), constants)


def normalised():
    constants = {"mean": floats(3, 1, 1), "std": np.array([0.2, 0.25, 0.3], np.float32).reshape(3, 1, 1)}
    constants |= {"w": floats(2, 3, 2, 2), "b": floats(2)}
    nodes = [
        node("Sub", ["x", "mean"], ["m"]),
        node("Div", ["m", "std"], ["n"]),
        node("Conv", ["n", "w", "b"], ["y"]),
    ]
    return model(nodes, (1, 3, 4, 4), constants)


def shape_arithmetic():
    """What exporters write for ``x.view(x.shape[0], -1) + zeros(size)``."""
    constants = {"zero": np.array(0), "rest": ints(-1), "w": floats(12, 3), "two": ints(2)}
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n"], ["n1"], axes=[0]),
        node("Concat", ["n1", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["flat"]),
        node("MatMul", ["flat", "w"], ["z"]),
        node("Size", ["z"], ["count"]),
        node("Unsqueeze", ["count"], ["count1"], axes=[0]),
        node("Mul", ["count1", "two"], ["six"]),
        node("Div", ["six", "two"], ["three"]),
        node("ConstantOfShape", ["three"], ["half"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.5])),
        node("Mod", ["six", "two"], ["none"]),
        node("Cast", ["none"], ["nothing"], to=TensorProto.FLOAT),
        node("Add", ["half", "nothing"], ["offset"]),
        node("Add", ["z", "offset"], ["y"]),
    ]
    return model(nodes, (1, 3, 4), constants, opset=11)


def folded_weights():
    """Weights that the file makes out of others."""
    constants = {"w": floats(4, 3), "s": floats(3), "b": floats(3), "one": np.array(1e-5, np.float32)}
    nodes = [
        node("Constant", [], ["k"], value_floats=[0.5, 2.0, 3.0]),
        node("Mul", ["w", "s"], ["ws"]),
        node("MatMul", ["x", "ws"], ["a"]),
        node("Mul", ["b", "b"], ["bb"]),
        node("Add", ["bb", "one"], ["be"]),
        node("Sqrt", ["be"], ["root"]),
        node("Div", ["k", "root"], ["q"]),
        node("Mul", ["a", "q"], ["aq"]),
        node("Sub", ["aq", "q"], ["y"]),
    ]
    return model(nodes, (1, 4), constants)


def without_batch():
    return model([node("MatMul", ["w", "x"], ["y"])], (4,), {"w": floats(3, 4)})


def half_weights():
    constants = {"w": floats(4, 3).astype(np.float16)}
    return model([node("Cast", ["w"], ["wf"], to=1), node("MatMul", ["x", "wf"], ["y"])], (1, 4), constants)


@pytest.mark.parametrize("build", [residual, normalised, shape_arithmetic, folded_weights, without_batch, half_weights])
def test_a_model_agrees_with_the_runtime(build):
    network = import_onnx(build(), source=build.__name__)
    assert network.source == build.__name__


def test_the_batch_axis_is_one_whatever_the_file_calls_it():
    for batch in ("N", None, 0, -1, 1):
        made = model([node("Relu", ["x"], ["y"])], (batch, 3))
        assert import_onnx(made, source="m").input_shape == (3,)


def test_matmul_and_add_are_one_operator():
    constants = {"w": floats(4, 3), "b": floats(3), "k": floats(2, 1, 2, 2), "kb": floats(2, 1, 1)}
    fully = model([node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])], (1, 4), constants)
    assert operators(import_onnx(fully, source="m")) == [Affine]
    image = model([node("Conv", ["x", "k"], ["a"]), node("Add", ["a", "kb"], ["y"])], (1, 1, 4, 4), constants)
    assert operators(import_onnx(image, source="m"))[0] is Conv
    assert len(import_onnx(image, source="m").nodes) == 3  # and the view as a vector


def test_a_bias_that_others_do_not_see_is_not_added_for_them():
    constants = {"w": floats(3, 3), "b": floats(3)}
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["ab"]),
        node("Relu", ["ab"], ["r"]),
        node("Sub", ["r", "a"], ["y"]),
    ]
    import_onnx(model(nodes, (1, 3), constants), source="m")


def test_file_and_compressed_file_give_the_same_network(tmp_path):
    data = residual().SerializeToString()
    plain, packed = tmp_path / "m.onnx", tmp_path / "m.onnx.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    assert identity(load_onnx(plain)) == identity(load_onnx(str(packed)))


def test_weights_in_another_file_are_read(tmp_path):
    made = without_batch()
    stored = onnx.ModelProto()
    stored.CopyFrom(made)  # saving moves the weights out of the model
    onnx.save(stored, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert (tmp_path / "m.data").exists()
    assert identity(load_onnx(tmp_path / "m.onnx")) == identity(import_onnx(made, source="m"))


FAMILIES = {
    "acasxu": (25, (1, 1, 5)),
    "mnist_fc": (3, (784, 1)),
    "oval21": (3, (3, 32, 32)),
    "rl_benchmarks": (1, (4,)),
    "sat_relu": (20, None),
    "sri_resnet_a": (1, (3, 32, 32)),
    "test": (4, None),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_competition_networks_load_and_agree_with_onnxruntime(family, reference_data):
    files = sorted((reference_data / "vnncomp" / family).rglob("*.onnx*"))
    least, shape = FAMILIES[family]
    assert len(files) >= least
    for path in files:
        network = load_onnx(path)
        assert shape in (None, network.input_shape)
        assert any(isinstance(n.operator, ReLU) for n in network.nodes)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path):
    data = residual().SerializeToString()
    files = {
        "truncated.onnx": data[: len(data) // 2],
        "text.onnx": b"this is no model, whatever its name says\n" * 20,
        "empty.onnx": b"",
        "truncated.onnx.gz": gzip.compress(data)[:500],
        "plain.onnx.gz": data,
        "damaged.onnx.gz": gzip.compress(data)[:300] + b"\0" * 200 + gzip.compress(data)[500:],
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(LoadError, match=name) as caught:
            load_onnx(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(LoadError, match=r"no file .*missing\.onnx"):
        load_onnx(tmp_path / "missing.onnx")
    with pytest.raises(LoadError, match="no file"):
        load_onnx(tmp_path)


@pytest.mark.parametrize("opset", [6, 23])
def test_an_opset_out_of_range_is_refused(opset):
    with pytest.raises(LoadError, match=f"opset {opset}: opsets 7 to 22 are read"):
        import_onnx(model([node("Relu", ["x"], ["y"])], (1, 3), opset=opset), source="m")


def test_weights_that_are_nan_are_refused_with_the_name_of_their_node():
    weight = floats(3, 2)
    weight[1, 1] = np.nan
    for op, extra in (("MatMul", {}), ("Gemm", {}), ("Add", {}), ("Mul", {})):
        constant = weight if op in ("MatMul", "Gemm") else weight[1:2, 1:2]
        made = model([node(op, ["x", "w"], ["y"], name="the_layer", **extra)], (1, 3), {"w": constant})
        with pytest.raises(LoadError, match="the_layer"):
            import_onnx(made, source="m")


REFUSED_FRAMES = {
    "a second input": (lambda m: m.graph.input.append(helper.make_tensor_value_info("x2", 1, [1])), "2 inputs"),
    "a second output": (lambda m: m.graph.output.append(helper.make_tensor_value_info("x", 1, None)), r"\['y', 'x'\]"),
    "a symbolic size": (lambda m: set_dim(m, 1, "width"), r"\[1, 'width'\]"),
    "no shape": (lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"), "no shape"),
    "an integer input": (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 7), "INT64"),
    "no nodes": (lambda m: m.graph.ClearField("node"), "not an ONNX model"),
    "no opset": (lambda m: m.ClearField("opset_import"), "opset unknown"),
    "a dangling name": (lambda m: m.graph.node[0].input.__setitem__(0, "gone"), "reads 'gone'"),
    "a constant output": (lambda m: setattr(m.graph.output[0], "name", "w"), "does not depend on the input"),
    "short data": (lambda m: setattr(m.graph.initializer[0], "raw_data", b"123"), "tensor 'w'"),
    "string data": (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING), "type STRING"),
    "sparse weights": (lambda m: m.graph.sparse_initializer.add(), "sparse initializers"),
}


def set_dim(made, axis, name):
    made.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name


@pytest.mark.parametrize("what", REFUSED_FRAMES)
def test_a_graph_that_is_not_one_function_of_one_input_is_refused(what):
    change, message = REFUSED_FRAMES[what]
    made = model([node("MatMul", ["x", "w"], ["y"])], (1, 3), {"w": floats(3, 2)})
    change(made)
    with pytest.raises(LoadError, match=message):
        import_onnx(made, source="m")


def bn(**attributes):
    return node("BatchNormalization", ["x", "a", "a", "a", "a"], ["y"], name="n", **attributes)


UNSUPPORTED = {
    "an operator": (node("Sigmoid", ["x"], ["y"], name="n"), "operator Sigmoid .*piecewise-linear"),
    "an unknown operator": (node("Foo", ["x"], ["y"], name="n"), "operator Foo .*Abs, Add, AveragePool"),
    "the last softmax": (node("Softmax", ["x"], ["y"], name="n"), "without its last Softmax"),
    "another domain": (node("Relu", ["x"], ["y"], name="n", domain="com.me"), "operator com.me.Relu"),
    "an attribute": (node("Relu", ["x"], ["y"], name="n", slope=1.0), "attribute slope"),
    "an old attribute": (node("Add", ["x", "a"], ["y"], name="n", broadcast=1), "attribute broadcast"),
    "a product of values": (node("Mul", ["x", "x"], ["y"], name="n"), "both factors"),
    "a matrix product of values": (node("MatMul", ["x", "x"], ["y"], name="n"), "both depend on the input"),
    "division by a value": (node("Div", ["a", "x"], ["y"], name="n"), "divisor depends on the network's input"),
    "division by zero": (node("Div", ["x", "zero"], ["y"], name="n"), "division by zero"),
    "a truncating cast": (node("Cast", ["x"], ["y"], name="n", to=TensorProto.INT64), "to=INT64"),
    "a rounding cast": (node("Cast", ["x"], ["y"], name="n", to=TensorProto.FLOAT16), "to=FLOAT16"),
    "training mode": (bn(training_mode=1), "evaluation mode"),
    "spatial statistics": (bn(spatial=0), "spatial=0"),
    "training dropout": (node("Dropout", ["x", "ratio", "yes"], ["y"], name="n"), "evaluation mode"),
    "pads and auto_pad": (
        node("MaxPool", ["x"], ["y"], name="n", kernel_shape=[2], pads=[1, 0], auto_pad="SAME_UPPER"),
        "together with auto_pad",
    ),
    "storage order": (node("MaxPool", ["x"], ["y"], name="n", kernel_shape=[2], storage_order=1), "storage_order=1"),
    "a kernel too large": (node("MaxPool", ["x"], ["y"], name="n", kernel_shape=[9]), "larger than its input"),
    "a folded operator": (node("Exp", ["ratio"], ["y"], name="n"), "constants are folded through"),
    "an unknown pad mode": (node("Pad", ["x", "pads"], ["y"], name="n", mode="mirror"), "mode=mirror"),
    "a clip at NaN": (node("Clip", ["x", "nan"], ["y"], name="n"), "min=NaN"),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_is_not_read_is_refused_by_name(what):
    tested, message = UNSUPPORTED[what]
    constants = {"a": floats(3), "zero": np.zeros(1, np.float32), "ratio": np.array(0.5, np.float32)}
    constants |= {"yes": np.array(True), "pads": ints(0, 0, 1, 0, 0, 1), "nan": np.array(np.nan, np.float32)}
    with pytest.raises(UnsupportedOperator, match=message) as caught:
        read_graph(model([tested], (1, 3, 4) if "a" not in tested.input else (1, 3), constants, opset=15), "m")
    assert "'n'" in str(caught.value) and caught.value.node == "n"


def test_an_output_that_is_not_computed_is_refused_only_when_it_is_read():
    pool = node("MaxPool", ["x"], ["y", "where"], name="n", kernel_shape=[2])
    read_graph(model([pool], (1, 1, 4)), "m")
    with pytest.raises(UnsupportedOperator, match="output 1, 'where'"):
        read_graph(model([pool, node("Cast", ["where"], ["z"], to=1)], (1, 1, 4), outputs=("y",)), "m")


def test_shapes_that_do_not_fit_are_refused_with_the_name_of_the_node():
    for tested in (
        node("MatMul", ["x", "w"], ["y"], name="n"),
        node("Add", ["x", "w"], ["y"], name="n"),
        node("Reshape", ["x", "s"], ["y"], name="n"),
        node("Transpose", ["x"], ["y"], name="n", perm=[0, 3]),
    ):
        with pytest.raises(LoadError, match="node 'n'"):
            read_graph(model([tested], (1, 4), {"w": floats(3, 2), "s": ints(1, 5)}), "m")


def test_a_network_that_differs_from_its_runtime_is_refused_with_the_difference():
    made = without_batch()
    network, shape = read_graph(made, "m")
    _, run = onnx_runtime(made, shape)

    def off_by(amount):
        return check_against_runtime(
            network, lambda x: run(x) + amount, source="it", generator=torch.Generator().manual_seed(0)
        )

    assert off_by(0.0) < 1e-5
    with pytest.raises(LoadMismatch, match=r"differs from it by 0\.001") as caught:
        off_by(np.float32([0, 1e-3, 0]))
    assert caught.value.difference > caught.value.tolerance
    with pytest.raises(LoadMismatch):
        off_by(np.nan)
    with pytest.raises(LoadError, match="4 scores"):
        check_against_runtime(network, lambda x: np.zeros(4), source="it", generator=torch.Generator().manual_seed(0))


def test_without_onnxruntime_the_reference_is_what_a_model_is_compared_with(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    made = residual()
    made.opset_import[0].version = 9
    assert onnx_runtime(made, (1, 3, 5, 5))[0] == "onnx.reference"
    import_onnx(made, source="m")


def test_a_model_that_no_runtime_runs_is_refused():
    made = model([node("Relu", ["x"], ["y"])], (1, 3))
    made.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(LoadError, match=r"no runtime runs this model.*onnxruntime.*onnx\.reference"):
        onnx_runtime(made, (1, 3))
