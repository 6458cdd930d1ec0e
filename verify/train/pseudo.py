"""Unlabelled data under labels of a model's own: robust self-training (Carmon et al. 2019; UAT-FT of Alayrac et al. 2019).

Robust training needs more data than plain training, but not more labels: a model that was trained plainly names the
unlabelled inputs, and the robust one is then trained on both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from verify.errors import UsageError


def pseudo_labels(model: Callable[[Tensor], Tensor], inputs: Tensor, *, batch: int = 500) -> tuple[Tensor, Tensor]:
    """The class that ``model`` gives each of ``inputs`` (N, *shape), and how sure it is, its softmax share: (N,) each.

    ``model`` takes (n, *shape) to scores (n, classes): a module in evaluation mode, or a :class:`verify.Network` where the
    inputs are float64. Raises UsageError where there are no inputs, and where a score is NaN.
    """
    if not len(inputs) or batch < 1:
        raise UsageError(f"{len(inputs)} inputs in batches of {batch}: give one at least of each")
    with torch.no_grad():
        scores = torch.cat([model(part) for part in inputs.split(batch)])
    if bool(scores.isnan().any()):
        raise UsageError("the model's scores hold NaN: nothing can be named with it")
    shares, labels = scores.softmax(1).max(1)
    return labels, shares


def with_unlabelled(
    inputs: Tensor,
    labels: Tensor,
    unlabelled: Tensor,
    model: Callable[[Tensor], Tensor],
    *,
    least_share: float = 0.0,
    batch: int = 500,
) -> tuple[Tensor, Tensor]:
    """``inputs`` (N, *shape) and ``labels`` (N,), followed by what ``model`` names of ``unlabelled`` (M, *shape).

    Only inputs of which ``model`` is sure by ``least_share`` are taken. Raises as :func:`pseudo_labels`, and UsageError for
    shapes that differ.
    """
    if unlabelled.shape[1:] != inputs.shape[1:]:
        raise UsageError(
            f"unlabelled inputs of shape {tuple(unlabelled.shape[1:])} do not fit those of shape {tuple(inputs.shape[1:])}"
        )
    named, shares = pseudo_labels(model, unlabelled, batch=batch)
    sure = shares >= least_share
    return torch.cat([inputs, unlabelled[sure]]), torch.cat([labels, named[sure]])
