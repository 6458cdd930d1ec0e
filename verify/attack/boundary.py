"""What searches for the nearest example share: linearised rivals, distances, and shortening along a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from verify.attack.hyperplane import nearest
from verify.attack.task import Best, Task

_RIVALS = 10
"""Classes whose boundaries are looked at in each step, the closest first."""

_BISECTIONS = 12

LENGTHS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linf": lambda d: d.abs().amax(1),
    "l2": lambda d: d.norm(dim=1),
    "l1": lambda d: d.abs().sum(1),
}
"""The norm of each row of (N, n)."""


def distance(task: Task, x: Tensor) -> Tensor:
    """How far points (N, *shape) are from their inputs, (N,)."""
    return LENGTHS[task.norm]((x - task.centre).flatten(1))


def to_boundary(task: Task, x: Tensor, origin: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Shortest moves (N, *shape) from ``x`` and from ``origin`` to the boundary nearest to ``x``, as linearised at ``x``.

    With them, the margins at x (N,) and whether x is broken (N,).
    """
    leaf = x.detach().requires_grad_()
    scores = task.network(leaf)
    task.meter.queries[task.owner] += 1
    label = task.goal.label_score(scores)
    rivals = scores.detach().masked_fill(~task.goal.allowed, -torch.inf)
    if task.goal.aim is not None:
        rivals = torch.full_like(rivals, -torch.inf).scatter(
            1, task.goal.aim.unsqueeze(1), task.goal.rival_score(rivals)[:, None]
        )
    most = min(_RIVALS, int(rivals.isfinite().sum(1).max()))
    flat = x.flatten(1)
    lower, upper = task.valid.lower.flatten(1), task.valid.upper.flatten(1)
    best = Best.none_yet(flat)
    chosen, gaps = torch.zeros_like(flat), torch.zeros_like(label.detach())
    everyone = torch.arange(len(x), device=x.device)
    for k, t in enumerate(rivals.topk(most, dim=1).indices.T):
        margin = label - scores.gather(1, t.unsqueeze(1)).squeeze(1)
        (gradient,) = torch.autograd.grad(margin.sum(), leaf, retain_graph=k < most - 1)
        slope, gap = gradient.flatten(1), margin.detach()
        move = nearest(task.norm, slope, gap, flat, lower, upper)
        # A boundary that the box hides has no distance; one that nothing points to has neither.
        short = ((slope * move).sum(1) + gap).abs() > 1e-3 * gap.abs() + 1e-12
        length = LENGTHS[task.norm](move).masked_fill(short, torch.finfo(flat.dtype).max)
        closer = (length < best.value).unsqueeze(1)
        chosen, gaps = torch.where(closer, slope, chosen), torch.where(closer.squeeze(1), gap, gaps)
        best.take(everyone, move, length)
    # The same half-space from the input itself: its gap there follows from the linearisation.
    from_origin = gaps + (chosen * (origin.flatten(1) - flat)).sum(1)
    back = nearest(task.norm, chosen, from_origin, origin.flatten(1), lower, upper)
    margin, broken = task.judged([scores.detach()])
    return best.points.reshape(x.shape), back.reshape(x.shape), margin, broken


def shortened(task: Task, points: Tensor, found: Tensor) -> Tensor:
    """Points that succeed (``found``, (N,) bool) drawn towards their inputs as far as they succeed, by bisection."""
    low, high = torch.zeros_like(found, dtype=points.dtype), torch.ones_like(found, dtype=points.dtype)
    for _ in range(_BISECTIONS):
        if task.late:
            break
        middle = (low + high) / 2
        _, broken = task.look(task.centre + task.wide(middle) * (points - task.centre))
        low, high = torch.where(broken, low, middle), torch.where(broken, middle, high)
    share = torch.where(found, high, 1.0)
    return torch.where(task.wide(share < 1), task.centre + task.wide(share) * (points - task.centre), points)
