"""Clean, attacked and certified error of a data set: the three numbers of every report on training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from verify.errors import SoundnessError, UsageError
from verify.floating import parse_decimal
from verify.network import Network
from verify.region import Box, ball
from verify.specification import Specification, classification
from verify.train.margins import crown_ibp_margins, dual_margins, interval_margins
from verify.train.points import several_steps

_BATCH = 250


@dataclass(frozen=True)
class Errors:
    """Shares of ``count`` inputs: misclassified; misclassified as they are or where PGD led; not proved at ``epsilon``.

    ``attacked`` is an estimate from below by a quick float32 attack, ``certified`` is proved by rigorous float64 bounds.
    """

    clean: float
    attacked: float
    certified: float
    count: int
    epsilon: Fraction


def error_rates(
    network: Network,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: Fraction | float | str,
    norm: str = "linf",
    clip: tuple[float | str, float | str] | None = (0, 1),
    method: str = "interval",
    steps: int = 40,
    seed: int = 0,
) -> Errors:
    """The errors of a float64 ``network`` on ``inputs`` (N, *input_shape) with labels (N,).

    ``method``: ``interval`` (the layers after the last ReLUs merged with the margins), ``crown-ibp`` or ``dual``.
    ``steps`` of PGD from a random point that ``seed`` draws. Raises UsageError for labels outside the scores and for an
    unknown method, SoundnessError where a proved input was broken.
    """
    if method not in MARGINS:
        raise UsageError(f"unknown method {method!r}: choose from {', '.join(MARGINS)}")
    if not len(inputs) or len(inputs) != len(labels):
        raise UsageError(f"{len(inputs)} inputs and {len(labels)} labels: give one label for each, and at least one")
    generator = torch.Generator().manual_seed(seed)
    single = network.to(dtype=torch.float32)
    found: list[Tensor] = []
    for x, y in zip(inputs.double().split(_BATCH), labels.split(_BATCH), strict=True):
        region, spec = ball(x, epsilon, norm=norm, clip=clip), classification(y, network.outputs)
        small = region.to(dtype=torch.float32)
        points = several_steps(single, x.float(), y, small, steps=steps, generator=generator)
        with torch.no_grad():
            missed = network(x).argmax(1) != y
            broken = missed | (network(region.project(points.double())).argmax(1) != y)
            unproved = ~(MARGINS[method](network, region, spec) > 0).all(1)  # NaN proves nothing
        if bool((broken & ~unproved).any()):
            raise SoundnessError("an input that was proved is misclassified; no number of this run can be trusted")
        found.append(torch.stack([missed, broken, unproved], 1))
    clean, attacked, certified = torch.cat(found).double().mean(0).tolist()
    return Errors(clean, attacked, certified, len(inputs), parse_decimal(epsilon))


MARGINS: Mapping[str, Callable[[Network, Box, Specification], Tensor]] = {
    "interval": partial(interval_margins, rounding=True),
    "crown-ibp": partial(crown_ibp_margins, rounding=True),
    "dual": dual_margins,
}
