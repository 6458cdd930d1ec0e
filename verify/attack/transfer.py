"""Transfer: the examples found on one network, evaluated on another (Goodfellow et al. 2015; Papernot et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from verify.attack.api import check, method_of, read_options
from verify.attack.judge import judge
from verify.attack.methods import Method
from verify.attack.question import Clip, Epsilon, names, question
from verify.attack.run import run
from verify.errors import UsageError
from verify.network import Network


@dataclass(frozen=True)
class TransferMatrix:
    """``error[i][j]``: the share of inputs on which network j fails at the points that were made for network i.

    The diagonal is the white-box attack. ``clean[j]``: the share on which it fails as they are.
    """

    names: tuple[str, ...]
    error: tuple[tuple[float, ...], ...]
    clean: tuple[float, ...]


def transfer_matrix(
    networks: Sequence[Network],
    inputs: Any,
    labels: Any,
    *,
    epsilon: Epsilon,
    norm: str = "linf",
    clip: Clip = None,
    method: str | Method = "apgd",
    **options: Any,
) -> TransferMatrix:
    """Attack each of ``networks`` and evaluate the points on all; arguments as for ``verify.attack``.

    Where an attack finds nothing its lowest point is taken. An input that is misclassified as it is counts as failed.
    """
    if not networks:
        raise UsageError("there are no networks: give at least one")
    chosen, typed = method_of(method), read_options(options)
    first = question(networks[0], inputs, labels, epsilon=epsilon, norm=norm, clip=clip, targets=None)
    asked = [first.of(network) for network in networks]
    for one in asked:
        check(chosen, one, typed)
    clean = [~_broken(one, one.centre, as_given=True) for one in asked]
    error = []
    for source in asked:
        points = torch.stack([answer.point for answer in run(source, chosen, typed)])
        row = [_broken(target, points) | ~correct for target, correct in zip(asked, clean, strict=True)]
        error.append(tuple(float(mask.double().mean()) for mask in row))
    return TransferMatrix(names(networks), tuple(error), tuple(float((~c).double().mean()) for c in clean))


def _broken(asked: Any, points: torch.Tensor, *, as_given: bool = False) -> torch.Tensor:
    return torch.tensor([w is not None for w in judge(asked.query, points, as_given=as_given).witnesses])
