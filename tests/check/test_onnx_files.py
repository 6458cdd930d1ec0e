"""Whole ONNX files through the checker's reader: published networks, damaged files, and what the reader imports."""

import gzip
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_models import NODE, assert_same, floats, ints, model, read
from support.onnx_nodes import relu_sizes

import verify
from verify.check.forms import Unreadable
from verify.load.onnx import import_onnx

HERE = Path(__file__).parents[2]


def small():
    nodes = [NODE("Sub", ["x", "m"], ["0"]), NODE("Conv", ["0", "k"], ["1"], pads=[0, 1, 1, 1]), NODE("Relu", ["1"], ["2"]),
             NODE("Transpose", ["2"], ["3"], perm=[0, 2, 3, 1]), NODE("Reshape", ["3", "p"], ["4"]),
             NODE("MatMul", ["4", "w"], ["5"]), NODE("Add", ["5", "c"], ["y"])]  # fmt: skip
    constants = {"m": floats(3, 1, 1), "k": floats(2, 3, 2, 2), "p": ints(-1, 32), "w": floats(32, 3), "c": floats(3)}
    return model(nodes, ["n", 3, 4, 3], constants).SerializeToString()


def _well_formed_or_refused(data):
    try:
        nodes = read(data, limit=1 << 24)
    except Unreadable:
        return False
    assert (
        nodes[0]["op"] == "input"
        and sum(a.nbytes for n in nodes for a in n.values() if isinstance(a, np.ndarray)) < 1 << 25
    )
    relu_sizes(nodes)  # every shape fits
    return True


def test_a_file_that_is_cut_off_is_refused_or_read_in_bounded_time():
    data, start = small(), time.perf_counter()
    assert _well_formed_or_refused(data)
    assert not any(_well_formed_or_refused(data[:n]) for n in range(0, len(data) - 8, 7))
    assert time.perf_counter() - start < 20


def test_flipped_bits_give_a_refusal_or_a_network_in_bounded_time():
    data, start, read_well = small(), time.perf_counter(), 0
    for seed in range(3000):
        rng = np.random.default_rng(seed)
        changed = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 4)):
            changed[position] ^= 1 << int(rng.integers(8))
        read_well += _well_formed_or_refused(bytes(changed))
    assert 1000 < read_well < 3000  # most bits are in weights
    assert time.perf_counter() - start < 60


def _files(folder):
    return sorted([*folder.glob("vnncomp/*/onnx/*.onnx*"), *folder.glob("vnncomp/test/*.onnx")])


def test_every_vnncomp_network_is_read_and_is_what_the_runtime_and_the_importer_see(reference_data):
    files = _files(reference_data)
    assert len(files) > 40
    for path in files:
        _same_as_the_others(path)


@pytest.mark.parametrize("name", ["mlp.onnx", "cnn.onnx"])
def test_the_demo_networks_are_read(name):
    _same_as_the_others(HERE / "verify" / "demo" / name)


def _same_as_the_others(path):
    data = path.read_bytes()
    start = time.perf_counter()
    nodes = read(data)
    assert time.perf_counter() - start < 1, path
    plain = gzip.decompress(data) if path.suffix == ".gz" else data
    network = import_onnx(onnx.load_from_string(plain), source=path.name)
    assert nodes[0]["size"] == int(np.prod(network.input_shape))
    assert relu_sizes(nodes) == [int(np.prod(network.nodes[i].shape)) for i in network.relus]
    value = onnx.load_from_string(plain).graph.input[0].type.tensor_type.shape.dim
    assert_same(plain, nodes, [d.dim_value or 1 for d in value], tolerance=1e-4)


def test_the_reader_needs_numpy_and_nothing_else():
    code = (
        "import sys, types; package = types.ModuleType('verify'); package.__path__ = [sys.argv[1]];"
        "sys.modules['verify'] = package;"
        "import verify.check.onnx_reader;"
        "print([m for m in ('torch', 'onnx', 'scipy') if m in sys.modules],"
        " [m for m in sys.modules if m.startswith('verify.') and not m.startswith('verify.check')])"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", code, str(Path(verify.__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] []"


CHAIN = [NODE("Transpose", ["x", "t0", "t1", "t2"][k : k + 1], [["t0", "t1", "t2", "y"][k]]) for k in range(4)]
HOSTILE = {
    "a value moved again and again": model(CHAIN, [1, 500, 500]).SerializeToString(),
    "endless padding": model(
        [NODE("Conv", ["x", "k"], ["y"], pads=[0, 0, 2**40, 2**40])], [1, 1, 3, 3], {"k": floats(1, 1, 1, 1)}
    ).SerializeToString(),
    "a bomb": gzip.compress(bytes(1 << 28)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_bounded_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            read(HOSTILE[name], limit=1 << 24)
        assert tracemalloc.get_traced_memory()[1] < 1 << 28
    finally:
        tracemalloc.stop()
