"""torch modules, state dicts and exported programs become the network that torch runs."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import verify
from verify.errors import LoadError, UnsupportedOperator, UsageError
from verify.load.pytorch import from_torch

torch.manual_seed(0)


class Residual(nn.Module):
    """Normalisation, batch norm, a skip connection, grouped convolution, pooling."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding="same", groups=2, bias=False)
        self.last = nn.Linear(4 * 3 * 3, 3)
        self.norm.running_mean.uniform_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        h = torch.relu(self.norm(self.first((x - 0.13) / 0.3)))
        return self.last(torch.flatten(nn.functional.max_pool2d(h + self.second(h), 2), 1))


class Calls(nn.Module):
    """A function of the input as a module."""

    def __init__(self, function):
        super().__init__()
        self.function, self.last = function, nn.LazyLinear(2)

    def forward(self, x):
        return self.last(torch.flatten(self.function(x), 1))


MODULES = {
    "residual": (Residual(), (1, 6, 6)),
    "flatten, linear, relu6": (nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.ReLU6(), nn.Linear(4, 3)), (2, 4)),
    "conv1d, prelu, average": (
        nn.Sequential(
            nn.Conv1d(2, 3, 3, stride=2, padding=1), nn.PReLU(3), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(6, 2)
        ),
        (2, 8),
    ),
    "adaptive pool, dropout, hardtanh": (
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(8, 2), nn.Hardtanh()),
        (2, 4, 4),
    ),
    "paddings": (
        nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.ReplicationPad2d(1),
            nn.ZeroPad2d((1, 0, 2, 1)),
            nn.ConstantPad2d(1, 0.5),
            nn.Flatten(),
            nn.LazyLinear(2),
        ),
        (1, 3, 3),
    ),
    "max pool with every attribute": (
        nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1, dilation=1, ceil_mode=True), nn.Flatten(), nn.LazyLinear(2)),
        (2, 6, 7),
    ),
    "average pool without padding counted": (
        nn.Sequential(nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), nn.Flatten(), nn.LazyLinear(2)),
        (2, 6, 7),
    ),
    "dilated convolution": (
        nn.Sequential(nn.Conv2d(2, 2, 3, dilation=2, stride=2), nn.Flatten(), nn.LazyLinear(2)),
        (2, 7, 7),
    ),
    "arithmetic": (Calls(lambda x: 2 * x - (1 - x) / 4 + x.abs() - torch.tensor([1.0, 2.0, 3.0])), (3,)),
    "clamps": (Calls(lambda x: torch.clamp(x, -0.5) + torch.clamp(x, max=0.25) + torch.maximum(x, -x)), (3,)),
    "movement": (Calls(lambda x: torch.cat([x.transpose(1, 2).flip(1)[:, 1:], x.permute(0, 2, 1)[:, :1]], 1)), (2, 3)),
    "split, stack, mean, sum": (
        Calls(lambda x: torch.stack([p.sum(-1) for p in x.split(2, dim=1)], 1) + x.mean((1, 2)).reshape(-1, 1, 1)),
        (4, 3),
    ),
    "leaky relu and expand": (Calls(lambda x: nn.functional.leaky_relu(x, 0.2).unsqueeze(1).expand(-1, 2, -1)), (3,)),
    "a constant on the left": (
        Calls(lambda x: torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=x.dtype) @ x.reshape(-1, 2, 2)[0]),
        (4,),
    ),
    "float64": (nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)).double(), (3,)),
    "float16": (nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)).half(), (3,)),
}


@pytest.mark.parametrize("name", list(MODULES))
def test_the_network_is_the_module(name):
    module, shape = MODULES[name]
    module(torch.zeros(1, *shape, dtype=next((p.dtype for p in module.parameters() if not _lazy(p)), torch.float32)))
    network = from_torch(module, input_shape=shape)
    x = torch.randn(1, *shape)
    expected = module.double().eval()(x.double())
    assert torch.allclose(network(x.double()).flatten(), expected.flatten(), atol=1e-6)
    assert network.input_shape == shape


def _lazy(parameter):
    return isinstance(parameter, nn.parameter.UninitializedParameter)


def test_the_users_module_is_left_as_it_was():
    module = Residual().train()
    from_torch(module, input_shape=(1, 6, 6))
    assert module.training and module.norm.training


REFUSED = {
    "softmax": (nn.Sequential(nn.Linear(3, 3), nn.Softmax(1)), "without its last softmax"),
    "sigmoid": (nn.Sequential(nn.Linear(3, 3), nn.Sigmoid()), "only piecewise-linear"),
    "a product of values": (Calls(lambda x: x * x), "product of two values"),
    "an unknown operator": (Calls(lambda x: torch.cumsum(x, 1)), "supported: .*relu"),
    "weights computed by the module": (
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)),
        "remove_parametrizations",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_not_read_is_refused_by_name(name):
    module, message = REFUSED[name]
    module(torch.zeros(1, 3))
    with pytest.raises(UnsupportedOperator, match=message):
        from_torch(module, input_shape=(3,))


def test_control_flow_that_depends_on_the_data_is_refused():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(LoadError, match="depends on the data"):
        from_torch(Branch(), input_shape=(3,))


def test_a_wrong_input_shape_and_a_non_module_are_named():
    with pytest.raises(UsageError, match="does not accept an input of shape"):
        from_torch(nn.Linear(3, 2), input_shape=(4,))
    with pytest.raises(UsageError, match=r"takes an nn.Module, got function"):
        from_torch(lambda x: x, input_shape=(4,))
    with pytest.raises(UsageError, match="give the sizes of one input"):
        from_torch(nn.Linear(3, 2), input_shape=())


def build():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


@pytest.fixture
def saved(tmp_path):
    """One module in every container."""
    module = build()
    state = module.state_dict()
    torch.save(state, tmp_path / "plain.pt")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "checkpoint.pth")
    torch.save({"state_dict": [state]}, tmp_path / "list.pth")
    save_file(state, tmp_path / "net.safetensors")
    torch.export.save(torch.export.export(module.eval(), (torch.zeros(1, 3),)), tmp_path / "net.pt2")
    import numpy as np

    np.savez(tmp_path / "net.npz", **{k: v.numpy() for k, v in state.items()})
    return module, tmp_path


@pytest.mark.parametrize("file", ["plain.pt", "checkpoint.pth", "list.pth", "net.safetensors", "net.npz", "net.pt2"])
@pytest.mark.parametrize("arch", [build, "mlp"])
def test_every_container_gives_the_same_network(saved, file, arch):
    module, folder = saved
    network = verify.load(folder / file, **({} if file.endswith("pt2") else {"arch": arch}))
    x = torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(network(x), module.double()(x), atol=1e-12)
    module.float()


def test_weights_that_do_not_fit_are_refused(saved):
    _, folder = saved
    with pytest.raises(LoadError, match=r"does not fit the module.*size mismatch"):
        verify.load(folder / "plain.pt", arch=lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)))
    with pytest.raises(LoadError, match="Unexpected key"):
        verify.load(folder / "plain.pt", arch=lambda: nn.Linear(3, 2))


# Clean test errors of 10,000, as published with the data.
CLEAN = {"model_small": 321, "model_dnn_2": 279, "model_dnn_4": 218}


@pytest.mark.parametrize("name", list(CLEAN))
def test_the_reference_networks_have_their_published_clean_error(reference_data, name):
    network = verify.load(reference_data / "tutorial" / f"{name}.pt", arch="mlp")
    digits = verify.load_data(reference_data / "mnist")
    assert int((network(digits.inputs.flatten(1).double()).argmax(1) != digits.labels).sum()) == CLEAN[name]


def test_wong_and_kolters_network_has_its_published_clean_error(reference_data):
    def convolutional():
        return nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
        )  # fmt: skip

    network = verify.load(reference_data / "wong_kolter" / "mnist.pth", arch=convolutional, input_shape=(1, 28, 28))
    digits = verify.load_data(reference_data / "mnist")
    wrong = sum(int((network(x).argmax(1) != y).sum()) for x, y in zip(
        digits.inputs.double().split(1000), digits.labels.split(1000), strict=True))  # fmt: skip
    assert wrong == 180


def test_plain_numbers_are_not_rounded_to_float32():
    from verify.load.builder import Builder

    b = Builder()
    network = b.finish(b.clip(b.input((1, 1)), -0.3, None))
    assert float(network(torch.full((1, 1), -5.0, dtype=torch.float64))) == -0.3


def test_layers_are_ordered_by_number_whatever_the_container_does(tmp_path):
    layers = {f"{2 * k}.weight": torch.randn(3, 3) for k in range(7)}
    save_file(layers, tmp_path / "deep.safetensors")
    x = expected = torch.randn(2, 3, dtype=torch.float64)
    for k in range(7):
        expected = expected @ layers[f"{2 * k}.weight"].double().T
        expected = expected.relu() if k < 6 else expected
    assert torch.allclose(verify.load(tmp_path / "deep.safetensors", arch="mlp")(x), expected)
