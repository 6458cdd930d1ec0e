"""Torch modules: every operator with several settings against torch itself, whole networks, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from verify.errors import LoadError, LoadMismatch, UnsupportedOperator, UsageError
from verify.load.pytorch import from_exported, from_torch
from verify.network import Network
from verify.operators import Affine, Conv, ReLU, Select
from verify.proof.canonical import identity


class Fn(nn.Module):
    """A function of the input and of constants, as a module."""

    def __init__(self, function, **buffers):
        super().__init__()
        self.function = function
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, x):
        return self.function(self, x)


def seeded(build, dtype=torch.float64):
    """The module that ``build`` makes, its weights and statistics random, in eval mode."""
    torch.manual_seed(5)
    module = build() if not isinstance(build, nn.Module) else build
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None:
            m.running_mean.uniform_(-1, 1)
            m.running_var.uniform_(0.3, 2)
            if m.affine:
                nn.init.uniform_(m.weight, -1.5, 1.5)
                nn.init.uniform_(m.bias, -1, 1)
        if isinstance(m, nn.PReLU):
            nn.init.uniform_(m.weight, -0.5, 1.5)
    for t in module.buffers():
        t.data = t.data.to(dtype) if t.is_floating_point() else t.data
    if not [*module.parameters(), *module.buffers()]:
        module.register_buffer("unused", torch.zeros((), dtype=dtype))  # says the dtype of a module without weights
    return module.eval().to(dtype)


def differs(network: Network, module, shape, dtype):
    x = (torch.rand(6, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 4 - 2).to(dtype)
    with torch.no_grad():
        expected = torch.stack([module(row.unsqueeze(0).clone()).reshape(-1) for row in x]).double()
    return float((network(x.double()) - expected).abs().max() / (1 + expected.abs().max()))


def f(function, **buffers):
    return lambda: Fn(function, **buffers)


VECTOR, IMAGE, SIGNAL = (6,), (2, 7, 8), (3, 11)
ROW = torch.tensor([0.5, -1.0, 2.0, 0.25, 0.0, -3.0])
GRID = torch.linspace(-1, 1, 30).reshape(5, 6)

# name: (module, input shape)
MODULES = {
    "linear": (lambda: nn.Linear(6, 4), VECTOR),
    "linear-no-bias": (lambda: nn.Linear(6, 4, bias=False), VECTOR),
    "linear-on-last-axis": (lambda: nn.Linear(8, 3), IMAGE),
    "bilinear-free-addmm": (f(lambda s, x: torch.addmm(s.b, x, s.w), b=torch.ones(5), w=GRID.T.clone()), VECTOR),
    "mm": (f(lambda s, x: torch.mm(x, s.w), w=GRID.T.clone()), VECTOR),
    "matmul-right": (f(lambda s, x: x @ s.w, w=GRID.T.clone()), VECTOR),
    "matmul-vector": (f(lambda s, x: x @ s.w, w=ROW), VECTOR),
    "matmul-left": (f(lambda s, x: s.w @ x, w=torch.linspace(-1, 1, 28).reshape(4, 7)), IMAGE),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3), SIGNAL),
    "conv1d-stride-pad-dilation": (lambda: nn.Conv1d(3, 6, 3, stride=2, padding=2, dilation=2, groups=3), SIGNAL),
    "conv1d-same": (lambda: nn.Conv1d(3, 4, 4, padding="same"), SIGNAL),
    "conv1d-circular": (lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"), SIGNAL),
    "conv2d": (lambda: nn.Conv2d(2, 3, 3), IMAGE),
    "conv2d-stride-pad": (lambda: nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2)), IMAGE),
    "conv2d-dilation-groups": (lambda: nn.Conv2d(2, 4, 3, dilation=2, groups=2, bias=False), IMAGE),
    "conv2d-same": (lambda: nn.Conv2d(2, 3, (4, 3), padding="same"), IMAGE),
    "conv2d-valid": (lambda: nn.Conv2d(2, 3, 3, padding="valid"), IMAGE),
    "conv2d-reflect": (lambda: nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"), IMAGE),
    "conv2d-replicate": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate"), IMAGE),
    "conv2d-circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), IMAGE),
    "batchnorm1d": (lambda: nn.BatchNorm1d(6), VECTOR),
    "batchnorm1d-signal": (lambda: nn.BatchNorm1d(3, affine=False, eps=1e-2), SIGNAL),
    "batchnorm2d": (lambda: nn.BatchNorm2d(2), IMAGE),
    "conv-batchnorm": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()), IMAGE),
    "relu": (nn.ReLU, VECTOR),
    "relu-inplace": (lambda: nn.ReLU(inplace=True), VECTOR),
    "relu-inplace-read-twice": (lambda: Fn(_inplace_then_read, w=GRID), VECTOR),
    "leaky-relu": (lambda: nn.LeakyReLU(0.2), VECTOR),
    "leaky-relu-inplace": (lambda: nn.LeakyReLU(inplace=True), VECTOR),
    "leaky-relu-steep": (lambda: nn.LeakyReLU(1.7), VECTOR),
    "leaky-relu-negative": (lambda: nn.LeakyReLU(-0.5), VECTOR),
    "prelu-one": (nn.PReLU, IMAGE),
    "prelu-channels": (lambda: nn.PReLU(2), IMAGE),
    "prelu-vector": (lambda: nn.PReLU(6), VECTOR),
    "hardtanh": (lambda: nn.Hardtanh(-0.5, 1.5), VECTOR),
    "hardtanh-inplace": (lambda: nn.Hardtanh(inplace=True), VECTOR),
    "relu6": (nn.ReLU6, VECTOR),
    "relu6-function": (f(lambda s, x: F.relu6(3 * x)), VECTOR),
    "hardsigmoid": (nn.Hardsigmoid, VECTOR),
    "threshold-that-is-a-maximum": (lambda: nn.Threshold(0.5, 0.5), VECTOR),
    "clamp": (f(lambda s, x: x.clamp(-0.3, 0.7)), VECTOR),
    "clamp-min": (f(lambda s, x: torch.clamp(x, min=0.1)), VECTOR),
    "clamp-max": (f(lambda s, x: x.clamp_max(0.1)), VECTOR),
    "clamp-min-method": (f(lambda s, x: x.clamp_min(-0.1)), VECTOR),
    "clamp-tensors": (f(lambda s, x: x.clamp(s.a, s.a + 1), a=ROW), VECTOR),
    "clamp-crossed": (f(lambda s, x: x.clamp(1.0, -1.0)), VECTOR),
    "add-tensor": (f(lambda s, x: x + s.a, a=ROW), VECTOR),
    "add-broadcast": (f(lambda s, x: x + s.a, a=GRID[:, :1].clone()), VECTOR),
    "add-alpha": (f(lambda s, x: torch.add(x, s.a, alpha=3), a=ROW), VECTOR),
    "add-alpha-value": (f(lambda s, x: torch.add(x, x.abs(), alpha=-2)), VECTOR),
    "add-number": (f(lambda s, x: 2 + x + 1.5), VECTOR),
    "sub-tensor": (f(lambda s, x: s.a - x - s.a * 2, a=ROW), VECTOR),
    "sub-alpha": (f(lambda s, x: torch.sub(x, x.relu(), alpha=0.3)), VECTOR),
    "rsub": (f(lambda s, x: 1 - x), VECTOR),
    "rsub-alpha": (f(lambda s, x: torch.rsub(x, s.a, alpha=2), a=ROW), VECTOR),
    "mul": (f(lambda s, x: x * s.a * 0.3, a=ROW), VECTOR),
    "div": (f(lambda s, x: x / s.a / 3, a=ROW + 7), VECTOR),
    "normalise": (f(lambda s, x: (x - s.m) / s.d, m=ROW[:2].reshape(2, 1, 1), d=torch.full((2, 1, 1), 0.3)), IMAGE),
    "neg": (f(lambda s, x: -x), VECTOR),
    "abs": (f(lambda s, x: x.abs()), VECTOR),
    "maximum": (f(lambda s, x: torch.maximum(x, 1 - 2 * x)), VECTOR),
    "maximum-constant": (f(lambda s, x: torch.maximum(s.a, x), a=ROW), VECTOR),
    "minimum": (f(lambda s, x: torch.minimum(x, 1 - 2 * x)), VECTOR),
    "minimum-constant": (f(lambda s, x: torch.min(x, s.a), a=ROW), VECTOR),
    "flatten": (nn.Flatten, IMAGE),
    "flatten-some": (lambda: nn.Flatten(2), IMAGE),
    "unflatten": (lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Linear(3, 2)), VECTOR),
    "view": (f(lambda s, x: x.view(x.size(0), -1)), IMAGE),
    "reshape": (f(lambda s, x: x.reshape(-1, 4) @ s.w, w=GRID[:4]), IMAGE),
    "permute": (f(lambda s, x: x.permute(0, 2, 3, 1) + s.a, a=ROW[:2]), IMAGE),
    "transpose": (f(lambda s, x: x.transpose(1, -1).contiguous().flatten(1)), IMAGE),
    "t": (f(lambda s, x: s.w @ x.t(), w=GRID), VECTOR),
    "squeeze-unsqueeze": (f(lambda s, x: x.unsqueeze(1).unsqueeze(-1).squeeze().unsqueeze(0)), VECTOR),
    "cat": (f(lambda s, x: torch.cat([x, s.a, x.relu()], 1), a=GRID[:1].clone()), VECTOR),
    "stack": (f(lambda s, x: torch.stack([x, -x], 2)), VECTOR),
    "slice": (f(lambda s, x: x[:, :, 1:-1:2, 3:]), IMAGE),
    "select": (f(lambda s, x: x[:, 1]), IMAGE),
    "split": (f(lambda s, x: torch.cat(x.split([1, 2, 3], 1)[::-1], 1)), VECTOR),
    "split-even": (f(lambda s, x: x.split(4, 1)[1]), VECTOR),
    "chunk": (f(lambda s, x: x.chunk(3, 1)[0] - x.chunk(3, 1)[2]), VECTOR),
    "unbind": (f(lambda s, x: torch.stack(x.unbind(1)[::-1], 1)), VECTOR),
    "flip": (f(lambda s, x: x.flip(1, 3)), IMAGE),
    "roll": (f(lambda s, x: x.roll(2, 1)), VECTOR),
    "index-select": (f(lambda s, x: x.index_select(1, s.i), i=torch.tensor([5, 0, 0])), VECTOR),
    "expand": (f(lambda s, x: x.unsqueeze(1).expand(1, 3, 6) * s.w, w=GRID[:3]), VECTOR),
    "repeat": (f(lambda s, x: x.repeat(1, 2)), VECTOR),
    "pixel-shuffle": (lambda: nn.Sequential(nn.Conv2d(2, 4, 1), nn.PixelShuffle(2)), IMAGE),
    "upsample-nearest": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "pad-zero": (lambda: nn.ZeroPad2d((1, 2, 0, 1)), IMAGE),
    "pad-constant": (lambda: nn.ConstantPad1d((1, 2), 3.5), SIGNAL),
    "pad-negative": (lambda: nn.ZeroPad2d((-1, 2, 0, -1)), IMAGE),
    "pad-reflect": (lambda: nn.ReflectionPad2d(2), IMAGE),
    "avg-pool1d": (lambda: nn.AvgPool1d(3, stride=2, padding=1), SIGNAL),
    "avg-pool2d": (lambda: nn.AvgPool2d(2), IMAGE),
    "avg-pool2d-pad": (lambda: nn.AvgPool2d(3, stride=(2, 1), padding=1), IMAGE),
    "avg-pool2d-pad-excluded": (lambda: nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), IMAGE),
    "avg-pool2d-ceil": (lambda: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), IMAGE),
    "avg-pool2d-ceil-excluded": (
        lambda: nn.AvgPool2d((2, 3), 3, padding=1, ceil_mode=True, count_include_pad=False),
        IMAGE,
    ),
    "avg-pool2d-divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), IMAGE),
    "adaptive-avg-pool1d": (lambda: nn.AdaptiveAvgPool1d(4), SIGNAL),
    "adaptive-avg-pool2d": (lambda: nn.AdaptiveAvgPool2d((3, None)), IMAGE),
    "adaptive-avg-pool2d-one": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "max-pool1d": (lambda: nn.MaxPool1d(3, stride=2, padding=1), SIGNAL),
    "max-pool2d": (lambda: nn.MaxPool2d(2), IMAGE),
    "max-pool2d-pad": (lambda: nn.MaxPool2d(3, stride=2, padding=1), IMAGE),
    "max-pool2d-dilation": (lambda: nn.MaxPool2d((2, 3), stride=1, dilation=(3, 2)), IMAGE),
    "max-pool2d-ceil": (lambda: nn.MaxPool2d(3, stride=2, ceil_mode=True), IMAGE),
    "adaptive-max-pool2d": (lambda: nn.AdaptiveMaxPool2d((3, 5)), IMAGE),
    "mean": (f(lambda s, x: x.mean((2, 3))), IMAGE),
    "mean-keepdim": (f(lambda s, x: x - x.mean(1, keepdim=True)), IMAGE),
    "mean-all": (f(lambda s, x: x.mean().reshape(1, 1)), IMAGE),
    "sum": (f(lambda s, x: x.sum(-1)), IMAGE),
    "sum-all": (f(lambda s, x: x.sum().reshape(1, 1)), VECTOR),
    "amax": (f(lambda s, x: x.amax((2, 3))), IMAGE),
    "amin": (f(lambda s, x: x.amin(1, keepdim=True)), VECTOR),
    "max-over-axis": (f(lambda s, x: x.max(1).values), IMAGE),
    "dropout": (lambda: nn.Sequential(nn.Dropout(0.9), nn.Linear(6, 2), nn.AlphaDropout(0.5)), VECTOR),
    "dropout2d": (lambda: nn.Dropout2d(0.5), IMAGE),
    "identity": (lambda: nn.Sequential(nn.Identity(), nn.Linear(6, 2)), VECTOR),
    "clone-detach": (f(lambda s, x: x.clone().detach().contiguous()), VECTOR),
    "cast": (f(lambda s, x: (x.double() + 1).to(torch.float64)), VECTOR),
    "zeros-like": (f(lambda s, x: torch.maximum(x, torch.zeros_like(x)) + torch.ones_like(x)), VECTOR),
    "constant-from-code": (f(lambda s, x: x + torch.tensor([1.0, 2, 3, 4, 5, 6])), VECTOR),
    "no-grad-inside": (f(lambda s, x: _no_grad(x)), VECTOR),
    "masked-weight": (f(lambda s, x: F.linear(x, s.w * s.mask), w=GRID, mask=(GRID > 0).float()), VECTOR),
}


def _inplace_then_read(s, x):
    y = F.linear(x, s.w)
    z = F.relu(y, inplace=True)
    y += 1
    return y - 2 * z


def _no_grad(x):
    with torch.no_grad():
        y = x.relu() + 1
    return y - x


@pytest.mark.parametrize("name", MODULES)
def test_a_module_means_what_torch_means(name):
    build, shape = MODULES[name]
    module = seeded(build)
    network = from_torch(module, input_shape=shape)
    assert network.input_shape == shape
    assert differs(network, module, shape, torch.float64) < 1e-13


@pytest.mark.parametrize("name", ["linear", "conv2d-stride-pad", "conv-batchnorm", "normalise", "max-pool2d-ceil"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_narrow_weights_are_read_exactly(name, dtype):
    build, shape = MODULES[name]
    module = seeded(build, dtype)
    network = from_torch(module, input_shape=shape)
    assert differs(network, module.double(), shape, torch.float64) < 1e-7


class Residual(nn.Module):
    def __init__(self, stride=1):
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, stride=stride, padding=1, bias=False)
        self.na, self.nb = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.short = nn.Conv2d(2, 4, 1, stride=stride)

    def forward(self, x):
        y = F.relu(self.na(self.a(x)))
        y = self.nb(self.b(y))
        y += self.short(x)
        return F.relu(y, inplace=True)


def convnet():
    return nn.Sequential(
        nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 7 * 7, 20), nn.ReLU(), nn.Linear(20, 10))  # fmt: skip


NETWORKS = {
    "residual": (Residual, (2, 6, 6)),
    "residual-strided": (lambda: nn.Sequential(Residual(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
                         (2, 6, 6)),
    "mnist-convnet": (convnet, (1, 28, 28)),
    "batchnorm-mlp": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(112, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 3)), IMAGE),
    "input-scaling": (
        lambda: nn.Sequential(Fn(lambda s, x: (x / 255 - 0.1307) / 0.3081), nn.Flatten(), nn.Linear(112, 3)), IMAGE),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks(name, dtype):
    build, shape = NETWORKS[name]
    module = seeded(build, dtype)
    network = from_torch(module, input_shape=shape)
    assert differs(network, module, shape, dtype) < (1e-13 if dtype == torch.float64 else 1e-5)


def test_a_plain_network_has_no_node_too_many():
    network = from_torch(seeded(convnet), input_shape=(1, 28, 28))
    kinds = [type(n.operator).__name__ for n in network.nodes]
    assert kinds == ["Input", "Conv", "ReLU", "Conv", "ReLU", "Reshape", "Affine", "ReLU", "Affine"]


def test_names_say_where_in_the_module():
    network = from_torch(seeded(Residual), input_shape=(2, 6, 6))
    assert {n.name for n in network.nodes if isinstance(n.operator, Conv)} == {"a", "b", "short"}


def test_numbers_in_the_code_take_the_dtype_of_what_they_meet():
    module = Fn(lambda s, x: F.linear(x, s.w) + 0.1, w=torch.ones(1, 1))
    network = from_torch(module, input_shape=(1,))
    assert network(torch.zeros(1, 1, dtype=torch.float64)).item() == float(torch.tensor(0.1, dtype=torch.float32))


def test_the_module_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.ReLU(inplace=True), nn.Linear(4, 2))
    module[1].eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    from_torch(module, input_shape=(6,))
    assert [m.training for m in module] == [True, False, True, True, True]
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert all(p.requires_grad for p in module.parameters())


def test_weights_are_copied():
    module = nn.Linear(2, 2).double()
    network = from_torch(module, input_shape=(2,))
    digest = identity(network)
    nn.init.zeros_(module.weight)
    assert identity(network) == digest


def test_all_padding_modes_but_zero_become_moves():
    module = seeded(lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"))
    kinds = [type(n.operator) for n in from_torch(module, input_shape=IMAGE).nodes]
    assert Select in kinds and Conv in kinds


def test_relu_nodes_of_a_network():
    network = from_torch(seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))), input_shape=(6,))
    assert [type(n.operator) for n in network.nodes[1:]] == [Affine, ReLU, Affine]


# --- exported programs -----------------------------------------------------------------------------------------------


def test_an_exported_program_is_the_module():
    module = seeded(lambda: nn.Sequential(Residual(), nn.Flatten(), nn.Linear(144, 3)))
    program = torch.export.export(module, (torch.zeros(1, 2, 6, 6, dtype=torch.float64),), strict=False)
    network = from_exported(program, source="program")
    assert identity(network) == identity(from_torch(module, input_shape=(2, 6, 6)))


def test_a_program_with_a_free_batch_axis_is_read():
    module = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(112, 3)))
    batch = torch.export.Dim("batch", min=1, max=64)
    example = torch.zeros(4, *IMAGE, dtype=torch.float64)
    program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},), strict=False)
    assert differs(from_exported(program, source="program"), module, IMAGE, torch.float64) < 1e-13


def test_a_program_for_a_fixed_batch_is_refused():
    program = torch.export.export(nn.Linear(6, 2), (torch.zeros(4, 6),), strict=False)
    with pytest.raises(LoadError, match=r"batch of one"):
        from_exported(program, source="program")


def test_a_program_in_training_mode_is_refused():
    module = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5))
    program = torch.export.export(module.train(), (torch.zeros(1, 6),), strict=False)
    with pytest.raises(UnsupportedOperator, match=r"dropout.*eval\(\)"):
        from_exported(program, source="program")


# --- what is refused -------------------------------------------------------------------------------------------------


def _branch(s, x):
    return x if x.sum() > 0 else -x


def _changed_view(s, x):
    y = F.linear(x, s.w)
    view = y.view(-1)
    y.relu_()
    return view.unsqueeze(0)


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


# name: (module, what the message says)
REFUSED = {
    "sigmoid": (nn.Sigmoid, r"sigmoid.*piecewise-linear"),
    "gelu": (nn.GELU, r"gelu.*piecewise-linear"),
    "softmax": (lambda: nn.Softmax(1), r"softmax.*without its last softmax"),
    "log-softmax": (lambda: nn.LogSoftmax(1), r"log_softmax.*without its last softmax"),
    "unknown-op": (f(lambda s, x: torch.cumsum(x, 1)), r"cumsum.*_unsafe_view, abs, .*view"),
    "product-of-values": (f(lambda s, x: x * x), r"product of two values"),
    "matrix-product-of-values": (f(lambda s, x: x @ x.t()), r"product of two values"),
    "quotient": (f(lambda s, x: 1 / x), r"div|reciprocal"),
    "floor-division": (f(lambda s, x: torch.div(x, 2, rounding_mode="floor")), r"rounding"),
    "layer-norm": (lambda: nn.LayerNorm(6), r"layer_norm"),
    "group-norm": (lambda: nn.GroupNorm(2, 6), r"group_norm"),
    "batch-statistics": (lambda: nn.BatchNorm1d(6, track_running_stats=False), r"Expected more than 1|statistics"),
    "threshold-with-a-jump": (lambda: nn.Threshold(0.5, 0.0), r"jump"),
    "integer-cast": (f(lambda s, x: x.to(torch.int64).float()), r"int64"),
    "half-cast": (f(lambda s, x: x.half().float()), r"float16"),
    "view-of-a-changed-value": (f(_changed_view, w=GRID), r"in place.*view"),
    "assignment": (f(lambda s, x: x.clone().index_fill_(1, torch.tensor([0]), 1.0)), r"index_fill"),
    "random": (f(lambda s, x: x + torch.rand(6)), r"rand"),
    "branch-on-data": (f(_branch), r"control flow"),
    "two-inputs": (TwoInputs, r"does not accept"),
    "two-outputs": (f(lambda s, x: (x, -x)), r"2 outputs"),
    "no-dependence": (f(lambda s, x: s.a * 1, a=ROW), r"does not depend on the input"),
    "complex": (lambda: nn.Linear(6, 2, dtype=torch.complex64), r"complex64"),
    "transposed-convolution": (
        lambda: nn.Sequential(nn.Unflatten(1, (2, 3, 1)), nn.ConvTranspose2d(2, 3, 2)), r"conv_transpose2d"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(name):
    build, message = REFUSED[name]
    with pytest.raises((LoadError, UsageError), match=message) as error:
        from_torch(build().eval(), input_shape=VECTOR)
    assert "\n" not in str(error.value)


def test_an_unsupported_operator_names_its_place():
    with pytest.raises(UnsupportedOperator) as error:
        from_torch(nn.Sequential(nn.Linear(6, 3), nn.Tanh()), input_shape=(6,))
    assert (error.value.node, error.value.op) == ("1", "tanh")


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (nn.Linear(6, 2), (7,), r"does not accept an input of shape \(1, 7\)"),
        (nn.Linear(6, 2), (), "input_shape"),
        (nn.Linear(6, 2), (0,), "input_shape"),
        (nn.Linear(6, 2), (-6,), "input_shape"),
        (lambda x: x, (6,), "nn.Module"),
    ],
)
def test_misuse_is_said_in_one_line(module, shape, message):
    with pytest.raises(UsageError, match=message) as error:
        from_torch(module, input_shape=shape)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(bad):
    module = nn.Linear(6, 2)
    with torch.no_grad():
        module.weight[0, 0] = bad
    with pytest.raises(LoadError, match="NaN or infinite"):
        from_torch(module, input_shape=(6,))


def test_a_module_that_computes_something_else_than_its_graph_is_refused():
    class Counter(nn.Module):
        calls = 0

        def forward(self, x):
            Counter.calls += 1
            return x if Counter.calls < 3 else -x

    with pytest.raises(LoadMismatch, match=r"differs from .*Counter"):
        from_torch(Counter(), input_shape=(6,))
