"""The Gaussian model's formulas say what sampling says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

FILE = Path(__file__).parents[2] / "benchmarks" / "gaussian_model.py"


@pytest.fixture(scope="module")
def model():
    """The module ``benchmarks/gaussian_model.py``."""
    sys.path.insert(0, str(FILE.parent))
    try:
        spec = importlib.util.spec_from_file_location("gaussian_model", FILE)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FILE.parent))


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_the_error_is_how_often_the_worst_sample_is_misclassified(model, epsilon):
    generator = torch.Generator().manual_seed(0)
    w = model.labelled_mean(30, 2, generator)
    x = 1 + model.spread(30) * torch.randn(40_000, 30, generator=generator, dtype=torch.float64)
    worst = x - epsilon * w.sign()
    assert model.error(w, epsilon) == pytest.approx(float((worst @ w < 0).double().mean()), abs=0.01)


def test_the_mean_of_samples_spreads_as_it_is_drawn(model):
    generator = torch.Generator().manual_seed(0)
    w = model.labelled_mean(10_000, 4, generator)
    assert float(w.mean()) == pytest.approx(1, abs=0.1)
    assert float(w.std()) == pytest.approx(model.spread(10_000) / 2, rel=0.05)


def test_the_count_that_is_needed_is_the_first_that_is_enough(model):
    n = model.needed(1_000, model.EPSILON)
    assert model.errors(1_000, n)[1] <= 2 * model.GOOD < model.errors(1_000, n - 3)[1]
