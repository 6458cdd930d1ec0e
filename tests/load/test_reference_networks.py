"""Published networks load from their own files and make exactly the published number of errors on MNIST."""

import gzip

import numpy as np
import pytest
import torch
from torch import nn

from verify.load.dispatch import load


@pytest.fixture(scope="module")
def mnist(reference_data):
    def read(name, offset):
        return np.frombuffer(gzip.decompress((reference_data / "mnist" / name).read_bytes()), np.uint8, offset=offset)

    images = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28).astype(np.float64) / 255
    return torch.from_numpy(images), torch.from_numpy(read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64))


def wong_kolter():
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10))  # fmt: skip


def tutorial_cnn(first=1, second=2):
    """The robust network strides its first convolution instead of its second."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, stride=first), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1, stride=second),
        nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(3136, 100), nn.ReLU(), nn.Linear(100, 10))  # fmt: skip


IMAGE = (1, 28, 28)
# file: (architecture, input shape, images, errors among them)
PUBLISHED = {
    "tutorial/model_small.pt": ("mlp", None, 10_000, 321),
    "tutorial/model_dnn_2.pt": ("mlp", None, 10_000, 279),
    "tutorial/model_dnn_4.pt": ("mlp", IMAGE, 10_000, 218),
    "wong_kolter/mnist.pth": (wong_kolter, IMAGE, 10_000, 180),
    "salman/salman_LPD_MLP_B_0.1.npz": ("mlp", IMAGE, 10_000, 409),
    "salman/salman_NOR_MLP_B.npz": ("mlp", None, 10_000, 205),
    "salman/salman_ADV_MLP_B_0.05.npz": ("mlp", None, 10_000, 162),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_clean_errors_are_the_published_ones(name, reference_data, mnist):
    arch, shape, count, errors = PUBLISHED[name]
    network = load(reference_data / name, arch=arch, input_shape=shape)
    images, labels = mnist[0][:count], mnist[1][:count]
    scores = torch.cat([network(part.reshape(-1, *network.input_shape)) for part in images.split(1000)])
    assert int((scores.argmax(1) != labels).sum()) == errors


@pytest.mark.parametrize("name", ["model_cnn.pt", "model_cnn_robust.pt"])
def test_the_tutorials_convolutional_networks_load(name, reference_data, mnist):
    arch = tutorial_cnn if name == "model_cnn.pt" else lambda: tutorial_cnn(2, 1)
    network = load(reference_data / "tutorial" / name, arch=arch, input_shape=IMAGE)
    images, labels = mnist[0][:300], mnist[1][:300]
    assert int((network(images).argmax(1) != labels).sum()) < 30
