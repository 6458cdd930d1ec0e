"""The losses: scalars over a batch, each usable alone in any training loop.

All but the first and the last take ``model, x, labels, region``: a module (or :class:`~verify.train.live.Live`, or a network),
inputs (B, *shape), labels (B,), and the region of each input or the radius of an l_inf ball inside [0, 1]. ``kappa`` is the weight
of the clean loss. Bounds are :mod:`verify.bounds`'s own. Raises UsageError for labels outside the scores and for a radius that
does not fit, UnsupportedOperator for a layer that bounds do not know.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from verify.bounds.backward import Rows
from verify.bounds.compute import fixed_lines, node_bounds, spec_bounds
from verify.bounds.nouns import Bounds
from verify.errors import UsageError
from verify.region import Box
from verify.specification import Specification
from verify.train.batch import Batch, Model, Region, batch_of, bound_to, region_of
from verify.train.margins import dual_margins, from_intervals, from_lines, interval_margins
from verify.train.points import one_step, random_points, several_steps

_POINT = 1e-6  # intervals of margins that are narrower count as points


def standard_loss(model: Model, x: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at the inputs."""
    return batch_of(model, x, labels, Box(x, x, x, x)).clean()


def noise_loss(
    model: Model,
    x: Tensor,
    labels: Tensor,
    region: Region,
    *,
    generator: torch.Generator,
    alpha: float = 0.5,
) -> Tensor:
    """``alpha J(x) + (1 - alpha) J(x + noise)``: the baseline, a random point of the region."""
    batch = batch_of(model, x, labels, region)
    return _blend(alpha, batch, batch.at(random_points(batch.region, generator)))


def fgsm_loss(model: Model, x: Tensor, labels: Tensor, region: Region, *, alpha: float = 0.5) -> Tensor:
    """``alpha J(x) + (1 - alpha) J(x_FGSM)`` (Goodfellow, Shlens and Szegedy 2015, section 6)."""
    batch = batch_of(model, x, labels, region)
    return _blend(alpha, batch, batch.at(one_step(batch.network, x, labels, batch.region)))


def pgd_loss(
    model: Model,
    x: Tensor,
    labels: Tensor,
    region: Region,
    *,
    alpha: float = 0.0,
    steps: int = 7,
    size: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``alpha J(x) + (1 - alpha) J(x_PGD)``; the gradient at the found point is the outer one's (Danskin; Madry et al. 2018).

    ``steps`` of ``size`` (default 2.5 radii in all) from a random point of ``generator``, or from ``x`` without one.
    """
    batch = batch_of(model, x, labels, region)
    points = several_steps(batch.network, x, labels, batch.region, steps=steps, size=size, generator=generator)
    return _blend(alpha, batch, batch.at(points))


def ibp_loss(model: Model, x: Tensor, labels: Tensor, region: Region, *, kappa: float = 0.5) -> Tensor:
    """``kappa J(x) + (1 - kappa) J(interval bounds)``, the last layer merged with the margins (Gowal et al. 2018)."""
    batch = batch_of(model, x, labels, region)
    margins = interval_margins(batch.network, batch.region, batch.specification)
    return _blend(kappa, batch, robust_cross_entropy(margins))


def crown_ibp_loss(
    model: Model,
    x: Tensor,
    labels: Tensor,
    region: Region,
    *,
    kappa: float = 0.5,
    beta: float = 1.0,
    fused: bool = False,
) -> Tensor:
    """``kappa J(x) + (1 - kappa) J(beta CROWN-IBP + (1 - beta) IBP)`` (Zhang et al. 2020).

    ``fused``: the loss itself is bounded with one row an input instead of one a class (Xu et al. 2020); then ``beta`` is 1.
    """
    if fused and beta != 1:
        raise UsageError(f"beta is {beta}: a fused loss has no interval part, leave beta at 1")
    batch = batch_of(model, x, labels, region)
    bounds = node_bounds(batch.network, batch.region, rounding=False)
    if fused:
        return _blend(kappa, batch, _fused(batch, bounds))
    margins = from_lines(batch.network, batch.region, bounds, batch.specification)
    if beta < 1:
        interval = from_intervals(batch.network, batch.region, bounds, batch.specification)
        margins = beta * margins + (1 - beta) * interval
    return _blend(kappa, batch, robust_cross_entropy(margins))


def dual_loss(model: Model, x: Tensor, labels: Tensor, region: Region, *, kappa: float = 0.0) -> Tensor:
    """``kappa J(x) + (1 - kappa) J(Wong-Kolter dual bounds)`` (Wong and Kolter 2018), all layers, no random projections.

    Computed in float64, where bounds of one neuron cannot exclude each other by rounding.
    """
    batch = batch_of(model, x, labels, region)
    wide = Specification(batch.specification.C.double(), batch.specification.d.double(), batch.specification.targets)
    network, exact = batch.network.to(dtype=torch.float64), batch.region.to(dtype=torch.float64)
    return _blend(kappa, batch, robust_cross_entropy(dual_margins(network, exact, wide)).to(x.dtype))


def sabr_loss(
    model: Model,
    x: Tensor,
    labels: Tensor,
    region: Region,
    *,
    kappa: float = 0.0,
    share: float = 0.4,
    steps: int = 7,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``kappa J(x) + (1 - kappa) J(interval bounds over a small box around an adversarial point)`` (Mueller et al. 2023).

    The box has ``share`` of the region's radius and lies inside the region, which is an l_inf ball; ``share=1`` is IBP.
    """
    if not 0 < share <= 1:
        raise UsageError(f"share is {share}: give the small box's part of the radius, above 0 and at most 1")
    batch = batch_of(model, x, labels, region)
    whole = batch.region
    if not whole.is_box:
        raise UsageError(f"sabr works on boxes and l_inf balls, the region is a {type(whole).__name__}")
    # Where the small box's centre may be, so that the box stays inside.
    low, high = (x - (x - whole.lower) * (1 - share), x + (whole.upper - x) * (1 - share))
    centre = several_steps(batch.network, x, labels, Box(low, high, low, high), steps=steps, generator=generator)
    lower, upper = (centre - share * (x - whole.lower), centre + share * (whole.upper - x))
    small = Box(lower, upper, lower, upper)
    return _blend(kappa, batch, robust_cross_entropy(interval_margins(batch.network, small, batch.specification)))


def mtl_ibp_loss(
    model: Model,
    x: Tensor,
    labels: Tensor,
    region: Region,
    *,
    alpha: float = 0.5,
    steps: int = 7,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``(1 - alpha) J(x_PGD) + alpha J(interval bounds)`` (De Palma et al. 2024): between attack (0) and bound (1)."""
    batch = batch_of(model, x, labels, region)
    points = several_steps(batch.network, x, labels, batch.region, steps=steps, generator=generator)
    margins = interval_margins(batch.network, batch.region, batch.specification)
    return (1 - alpha) * batch.at(points) + alpha * robust_cross_entropy(margins)


def online_target_loss(
    model: Model,
    x: Tensor,
    region: Region,
    *,
    steps: int = 7,
    size: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``KL(p(x) || p(x_PGD))`` of unlabelled inputs, to be added to a loss of labelled ones (UAT-OT, Alayrac et al. 2019).

    The target ``p(x)`` is the model's own softmax of the moment, which the gradient does not move; PGD leads away from its class.
    """
    bound = bound_to(model, x)
    target = bound.scores.detach()
    points = several_steps(
        bound.network, x, target.argmax(1), region_of(x, region), steps=steps, size=size, generator=generator
    )
    found = bound.network(points)
    return F.kl_div(found.log_softmax(1), target.log_softmax(1), reduction="batchmean", log_target=True)


def robust_cross_entropy(margins: Tensor) -> Tensor:
    """Mean cross-entropy when the label leads every other class t by ``margins`` (B, S): ``log(1 + sum exp(-m_t))``."""
    return F.softplus(torch.logsumexp(-margins, dim=1)).mean()


def _blend(weight: float, batch: Batch, robust: Tensor) -> Tensor:
    return robust if weight == 0 else weight * batch.clean() + (1 - weight) * robust


def _fused(batch: Batch, bounds: Bounds) -> Tensor:
    """An upper bound of the mean cross-entropy over the regions, by one backward pass of one row an input.

    ``sum exp(-m_t)`` is at most ``sum exp(-l_t) + k_t (m_t - l_t)`` with ``k_t`` the slopes of the chords of exp(-m) over
    the interval bounds ``[l_t, u_t]`` of each margin, and the linear part is bounded by CROWN.
    """
    network, region, spec = batch.network, batch.region, batch.specification
    lower = from_intervals(network, region, bounds, spec)
    upper = -from_intervals(network, region, bounds, Specification(-spec.C, -spec.d, spec.targets))
    # Everything is scaled by the largest term, which may be beyond floating point.
    scale = -lower.detach().amin(1, keepdim=True)
    high, low = torch.exp(-lower - scale), torch.exp(-upper - scale)
    width = upper - lower
    # Where the interval is a point, exp(-l) itself is the bound, and no slope is needed.
    slope = torch.where(width > _POINT, (high - low) / width.clamp(min=_POINT), 0.0)
    row = Rows(
        len(network.nodes) - 1, torch.einsum("bs,bso->bo", slope, spec.C).unsqueeze(1), (slope * spec.d).sum(1, True)
    )
    linear = spec_bounds(network, region, bounds, row, fixed_lines(bounds, "crown"))
    total = (high + slope * lower).sum(1) - linear.squeeze(1)
    return F.softplus(scale.squeeze(1) + total.clamp(min=torch.finfo(total.dtype).tiny).log()).mean()
