"""Train the demo networks: ``python -m verify.demo.train --data ../shared/data/mnist``.

Plain PyTorch, one thread, everything drawn from one seed. ``mlp.onnx`` is trained on PGD examples: attacks rarely
break it, yet interval bounds say nothing about it, so stronger bounds have something to show. ``cnn.onnx`` is trained
on its own interval bounds, which therefore verify most digits. The hundred digits of ``digits.npz`` are left out.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from verify.load.data import Dataset, load_data
from verify.train.export import export_onnx

SEED = 20240229
EPSILON = 0.1
BATCH = 100
FOLDER = Path(__file__).parent
log = logging.getLogger("verify.demo.train")

Loss = Callable[[nn.Sequential, Tensor, Tensor, float, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one demo network is built and trained; ``loss`` is told the progress in [0, 1], which drives its ramps."""

    name: str
    build: Callable[[], nn.Sequential]
    loss: Loss
    epochs: int
    learning_rate: float


def build_mlp() -> nn.Sequential:
    """784-64-32-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def build_cnn() -> nn.Sequential:
    """Two strided convolutions (8 and 16 channels), then 784-64-10."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(784, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def pgd(
    model: nn.Sequential,
    x: Tensor,
    label: Tensor,
    *,
    epsilon: float,
    steps: int,
    step: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Inputs (B, 1, 28, 28) within ``epsilon`` of ``x`` and inside [0, 1] that gradient ascent on the loss finds.

    Without a generator it starts at ``x`` itself; FGSM is then one step of size ``epsilon``.
    """
    low, high = (x - epsilon).clamp(min=0), (x + epsilon).clamp(max=1)
    point = x if generator is None else low + (high - low) * torch.rand(x.shape, generator=generator)
    for _ in range(steps):
        point = point.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(cross_entropy(model(point), label, reduction="sum"), point)
        point = torch.clamp(point + step * gradient.sign(), low, high)
    return point.detach()


def worst_logits(model: nn.Sequential, x: Tensor, label: Tensor, epsilon: float) -> Tensor:
    """Interval bounds (B, 10): lower for the label's logit, upper for the others, in plain float32 (not rigorous)."""
    low, high = (x - epsilon).clamp(min=0), (x + epsilon).clamp(max=1)
    for layer in model:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            centre, radius = layer((low + high) / 2), (high - low) / 2
            if isinstance(layer, nn.Linear):
                radius = radius @ layer.weight.abs().T
            else:
                radius = nn.functional.conv2d(radius, layer.weight.abs(), stride=layer.stride, padding=layer.padding)
            low, high = centre - radius, centre + radius
        else:  # monotone: ReLU and Flatten
            low, high = layer(low), layer(high)
    return torch.where(nn.functional.one_hot(label, 10).bool(), low, high)


def adversarial_loss(
    model: nn.Sequential, x: Tensor, label: Tensor, progress: float, generator: torch.Generator
) -> Tensor:
    """Cross entropy at PGD points, plus a little L1 norm of the weights, which keeps bounds from exploding."""
    epsilon = EPSILON * min(1.0, 4 * progress)
    point = pgd(model, x, label, epsilon=epsilon, steps=6, step=epsilon / 4, generator=generator)
    size = sum((layer.weight.abs().sum() for layer in model if isinstance(layer, nn.Linear)), torch.zeros(()))
    return cross_entropy(model(point), label) + 2e-5 * size


def interval_loss(
    model: nn.Sequential, x: Tensor, label: Tensor, progress: float, generator: torch.Generator
) -> Tensor:
    """Cross entropy mixed with that of the interval bounds; radius and weight (to one half) ramp up to mid-training."""
    ramp = min(1.0, max(0.0, progress - 0.05) / 0.5)
    clean = cross_entropy(model(x), label)
    return (1 - ramp / 2) * clean + ramp / 2 * cross_entropy(worst_logits(model, x, label, 1.2 * EPSILON * ramp), label)


RECIPES = (
    Recipe(name="mlp", build=build_mlp, loss=adversarial_loss, epochs=40, learning_rate=2e-3),
    Recipe(name="cnn", build=build_cnn, loss=interval_loss, epochs=40, learning_rate=2e-3),
)


def without(data: Dataset, excluded: Dataset) -> Dataset:
    """``data`` less every image that also occurs in ``excluded``, each of which must occur."""
    images = {image.numpy().tobytes() for image in excluded.inputs}
    kept = [row for row, image in enumerate(data.inputs) if image.numpy().tobytes() not in images]
    if len(kept) != len(data) - len(images):
        raise SystemExit(f"{len(data) - len(kept)} of {len(images)} demo digits found among the training images")
    return data.select(kept)


def train(recipe: Recipe, data: Dataset) -> nn.Sequential:
    """The trained network of ``recipe``; the same seed, data and PyTorch build give the same weights."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = recipe.build()
    batches = len(data) // BATCH
    total = recipe.epochs * batches
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=total, pct_start=0.1)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(data), generator=generator)
        for batch in range(batches):
            rows = order[batch * BATCH : (batch + 1) * BATCH]
            progress = (epoch * batches + batch) / total
            loss = recipe.loss(model, data.inputs[rows], data.labels[rows], progress, generator)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        log.info("%s epoch %d loss %.4f", recipe.name, epoch + 1, loss.item())
    return model


def error_rates(model: nn.Sequential, data: Dataset, epsilon: float) -> dict[str, float]:
    """Percent of ``data`` that is misclassified clean, under FGSM, under PGD-40, and not verified by intervals."""
    generator = torch.Generator().manual_seed(SEED)
    wrong = dict.fromkeys(("clean", "FGSM", "PGD-40", "interval"), 0)
    for start in range(0, len(data), 500):
        x, label = data.inputs[start : start + 500], data.labels[start : start + 500]
        fgsm = pgd(model, x, label, epsilon=epsilon, steps=1, step=epsilon, generator=None)
        strong = pgd(model, x, label, epsilon=epsilon, steps=40, step=epsilon / 10, generator=generator)
        with torch.no_grad():
            answers = {
                "clean": model(x),
                "FGSM": model(fgsm),
                "PGD-40": model(strong),
                "interval": worst_logits(model, x, label, epsilon),
            }
        for kind, logits in answers.items():
            wrong[kind] += int((logits.argmax(1) != label).sum())
    return {kind: 100 * count / len(data) for kind, count in wrong.items()}


def main() -> None:
    """Read the command line, train, evaluate and export."""
    parser = argparse.ArgumentParser(description="Train the demo networks on MNIST.")
    parser.add_argument("--data", type=Path, required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--only", choices=[recipe.name for recipe in RECIPES])
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    digits, test = load_data(FOLDER / "digits.npz"), load_data(arguments.data)
    training = without(load_data(arguments.data, split="train"), digits)
    log.info("torch %s, seed %d, %d training images", torch.__version__, SEED, len(training))
    for recipe in RECIPES:
        if arguments.only in (None, recipe.name):
            model = train(recipe, training)
            for epsilon in (0.05, EPSILON):
                log.info("%s test, epsilon %g: %s", recipe.name, epsilon, error_rates(model, test, epsilon))
                log.info("%s digits, epsilon %g: %s", recipe.name, epsilon, error_rates(model, digits, epsilon))
            export_onnx(model, arguments.out / f"{recipe.name}.onnx", (1, 28, 28), names=("image", "logits"))


if __name__ == "__main__":
    main()
