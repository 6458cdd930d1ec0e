"""A counterexample is replayed in the runtime of its file, which starts only when there is one."""

from __future__ import annotations

import pytest
import torch

import verify
from verify.demo import demo_network_path


def test_an_onnx_file_is_replayed_in_its_own_runtime_and_in_torch():
    path = demo_network_path("mlp")
    network = verify.load(path)
    runtime, small = verify.replays(path, network)
    points = torch.rand(3, *network.input_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = network(points)
    assert runtime.name in ("onnxruntime", "onnx.reference") and small.name == "torch float32"
    for replay in (runtime, small):
        found = replay(points)
        assert found.shape == expected.shape and found.dtype == torch.float64
        assert torch.allclose(found, expected, atol=1e-4)
        assert not torch.equal(found, expected)  # they compute in float32


def test_no_session_starts_before_a_point_is_replayed(tmp_path):
    network = verify.load(demo_network_path("mlp"))
    runtime, _ = verify.replays(tmp_path / "missing.onnx", network)
    with pytest.raises(verify.LoadError):
        runtime(torch.zeros(1, *network.input_shape, dtype=torch.float64))


def test_other_files_are_replayed_in_torch_only():
    network = verify.load(demo_network_path("mlp"))
    assert [r.name for r in verify.replays("net.pt", network)] == ["torch float32"]
