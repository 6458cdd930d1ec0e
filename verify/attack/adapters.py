"""Other people's attacks on our networks: Foolbox and the Adversarial Robustness Toolbox, evaluated by our own code.

``verify.attack(network, x, y, epsilon=0.1, clip=(0, 1), method=adapters.foolbox(fb.attacks.LinfPGD()))``: what the attack
claims of its points is not asked. Both packages are imported when they are needed, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from verify.attack.methods import ALL_NORMS, Method
from verify.attack.task import Task
from verify.errors import MissingDependency, UsageError
from verify.module import as_module


def foolbox(attack: Any, *, norms: Sequence[str] = ALL_NORMS) -> Method:
    """A Foolbox attack as a method. It runs at the question's radius, which is in the units of the input here as there.

    ``attack``: an instance such as ``foolbox.attacks.LinfPGD(steps=40)``, which carries its own steps and norm; ``norms``:
    those of the regions it may be asked about. Foolbox needs ``clip``. Raises MissingDependency without Foolbox.
    """
    package = _package("foolbox", "foolbox")

    def propose(task: Task, start: Tensor) -> Tensor:
        torch.manual_seed(task.generator.initial_seed() % 2**63)  # Foolbox draws from torch's global generator
        model = package.PyTorchModel(_module(task), bounds=_bounds(task, "Foolbox"), device=start.device)
        _, points, _ = attack(model, start, task.goal.labels, epsilons=task.radius)
        return torch.as_tensor(points.detach())

    return Method(f"foolbox {type(attack).__name__}", propose, norms=tuple(norms))


def art(make: Callable[[Any], Any], *, norms: Sequence[str] = ALL_NORMS, name: str = "") -> Method:
    """An attack of the Adversarial Robustness Toolbox as a method.

    ``make``: takes ART's classifier and returns the attack, ``lambda c: ProjectedGradientDescent(c, eps=0.1)``, say: ART's
    attacks carry their own radius. Raises MissingDependency without the toolbox.
    """
    package = _package("art.estimators.classification", "adversarial-robustness-toolbox")

    def propose(task: Task, start: Tensor) -> Tensor:
        seed = task.generator.initial_seed()
        torch.manual_seed(seed % 2**63)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the toolbox draws from numpy's global generator)
        classifier = package.PyTorchClassifier(
            model=_module(task),
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(start.shape[1:]),
            nb_classes=task.network.outputs,
            clip_values=_bounds(task, "the toolbox"),
            device_type="cpu" if start.device.type == "cpu" else "gpu",
        )
        points = make(classifier).generate(start.cpu().numpy(), task.goal.labels.cpu().numpy())
        return torch.from_numpy(np.asarray(points)).to(start)

    return Method(f"art {name}".strip(), propose, norms=tuple(norms))


def _package(module: str, distribution: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependency(f"{distribution} cannot be imported ({error}): pip install {distribution}") from None


def _module(task: Task) -> nn.Module:
    """The network of the search as a torch module, which counts what it is asked."""
    module = as_module(task.network, device=task.options.device)
    return _Counting(module, task).eval()


class _Counting(nn.Module):
    """Counts evaluations into the task's meter, evenly over its inputs."""

    def __init__(self, module: nn.Module, task: Task) -> None:
        super().__init__()
        self.module, self.task = module, task

    def forward(self, x: Tensor) -> Tensor:
        self.task.meter.queries[self.task.owner] += max(1, round(len(x) / self.task.count))
        scores: Tensor = self.module(x)
        return scores


def _bounds(task: Task, who: str) -> tuple[float, float]:
    lower, upper = float(task.valid.lower.min()), float(task.valid.upper.max())
    if not (np.isfinite(lower) and np.isfinite(upper)):
        raise UsageError(f"{who} needs to know the range of valid inputs: give clip, such as (0, 1)")
    return lower, upper
