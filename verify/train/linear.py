"""The robust linear classifier, trained on its exact worst case: epsilon enters as the dual norm of the weights.

Over ``|x' - x| <= epsilon`` the smallest ``w . x' + b`` is ``w . x + b - epsilon |w|_dual``, so that training against the
worst input of every ball costs one norm a pair of classes and no attack (Xu, Caramanis and Mannor 2009).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from verify.errors import UsageError
from verify.network import Network, Node
from verify.operators import Affine, Input, Reshape

DUAL_ORDER: Mapping[str, float] = {"linf": 1.0, "l2": 2.0, "l1": math.inf}
"""The order p of the norm that is dual to the region's: ``max a . d`` over ``|d| <= epsilon`` is ``epsilon |a|_p``."""


def worst_margins(
    weight: Tensor, bias: Tensor, x: Tensor, labels: Tensor, *, epsilon: float, norm: str = "linf"
) -> Tensor:
    """``min f_label - f_t`` over each ball (not clipped), for every class t: (N, classes), 0 in the label's own column.

    ``weight`` (classes, n), ``bias`` (classes,), ``x`` (N, n), ``labels`` (N,). Exact but for the rounding of its dtype, and
    differentiable in all four.
    """
    scores = x @ weight.T + bias
    lengths: Tensor = torch.linalg.vector_norm(weight.unsqueeze(1) - weight, ord=DUAL_ORDER[norm], dim=2)
    return scores.gather(1, labels.unsqueeze(1)) - scores - epsilon * lengths[labels]


def hinge(margins: Tensor, labels: Tensor) -> Tensor:
    """``max(0, 1 - min_t m_t)`` of each row of ``margins`` (N, classes), (N,): with worst margins exactly the worst hinge loss."""
    others = margins.scatter(1, labels.unsqueeze(1), torch.inf)
    return (1 - others.amin(1)).clamp(min=0)


def logistic(margins: Tensor, labels: Tensor) -> Tensor:
    """``log(1 + sum_t exp(-m_t))`` of each row, (N,): of plain margins the cross-entropy.

    With worst margins it is exactly the worst cross-entropy for two classes, and an upper bound of it for more, since each
    class then has a worst input of its own.
    """
    return (-margins).logsumexp(1)  # the label's own column is 0 and gives the 1


LINEAR_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"hinge": hinge, "logistic": logistic}


@dataclass(frozen=True, kw_only=True)
class LinearTraining:
    """How a linear classifier is trained: ``epsilon`` in the units of the inputs, 0 for plain training.

    Adam with a learning rate that falls linearly to nothing, from zero weights; ``seed`` draws the order of the batches.
    """

    epsilon: float = 0.0
    norm: str = "linf"
    loss: str = "logistic"
    epochs: int = 20
    batch: int = 100
    learning_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (("norm", self.norm, DUAL_ORDER), ("loss", self.loss, LINEAR_LOSSES)):
            if value not in known:
                raise UsageError(f"unknown {name} {value!r}: choose from {', '.join(known)}")
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise UsageError(f"epsilon is {self.epsilon}: give a finite radius that is not negative")
        for name in ("epochs", "batch", "learning_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value}: give a positive number")


def train_linear(inputs: Tensor, labels: Tensor, how: LinearTraining | None = None) -> Network:
    """The linear classifier of ``inputs`` (N, *shape) with ``labels`` (N,) of 0, 1, ... that is best on the worst of each ball.

    The balls are not clipped to the box of valid inputs, so that the loss has its closed form. The same inputs, options and
    PyTorch build give the same network. Raises UsageError for labels that do not fit and for inputs that are not finite.
    """
    how = how or LinearTraining()
    x, classes = _checked(inputs, labels)
    weight = torch.zeros(classes, x.shape[1], dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, requires_grad=True)
    steps = how.epochs * math.ceil(len(x) / how.batch)
    optimiser = torch.optim.Adam((weight, bias), lr=how.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    generator = torch.Generator().manual_seed(how.seed)
    for _ in range(how.epochs):
        for rows in torch.randperm(len(x), generator=generator).split(how.batch):
            margins = worst_margins(weight, bias, x[rows], labels[rows], epsilon=how.epsilon, norm=how.norm)
            optimiser.zero_grad()
            LINEAR_LOSSES[how.loss](margins, labels[rows]).mean().backward()
            optimiser.step()
            schedule.step()
    return _network(weight.detach().double(), bias.detach().double(), tuple(inputs.shape[1:]))


def _checked(inputs: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """The inputs as rows (N, n), and how many classes the labels name."""
    if not len(inputs) or labels.shape != (len(inputs),):
        raise UsageError(f"{len(inputs)} inputs and labels of shape {tuple(labels.shape)}: give as many, one at least")
    if labels.dtype != torch.int64 or int(labels.min()) < 0:
        raise UsageError(f"labels are {labels.dtype}, the smallest {labels.min()}: give int64 classes 0, 1, ...")
    classes = int(labels.max()) + 1
    if classes < 2:
        raise UsageError("all labels are 0: a classifier needs two classes at least")
    if not inputs.is_floating_point() or not bool(inputs.isfinite().all()):
        raise UsageError(f"inputs are {inputs.dtype} or hold NaN or infinity: give finite floating-point numbers")
    return inputs.flatten(1), classes


def _network(weight: Tensor, bias: Tensor, shape: tuple[int, ...]) -> Network:
    flat: list[Any] = (
        [] if len(shape) == 1 else [Node("flatten", Reshape(input_shape=shape, shape=(math.prod(shape),)), (0,))]
    )
    scores = Node("scores", Affine(input_shape=(weight.shape[1],), weight=weight, bias=bias), (len(flat),))
    return Network((Node("input", Input(output_shape=shape)), *flat, scores), "linear classifier")
