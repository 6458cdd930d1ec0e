"""Half-spaces ``a . x + c <= 0`` that hold for every x of a region which satisfies a clause, whatever box it lies in.

They come from single neurons. A clause's row, moved back through the network, is ``row(x) >= a . x + c + sum of dropped``:
what the lower lines drop at each ReLU is ``A (relu(y) - s y) >= 0`` with the coefficient ``A >= 0`` that arrives there.
With ``m`` the minimum of ``a . x + c`` over the region, ``row(x) <= 0`` leaves each dropped term at most ``-m``, so
``y <= -m / (A (1 - s))`` and ``y >= m / (A s)``: a closed form of INVPROP (Kotha et al. 2023) for all neurons at once.
With a linear form of the inputs below ``y`` (or ``-y``) every such bound is a half-space; those that cut the region are
kept. A row that sums many ReLUs and must be at its minimum gives one for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from verify.bounds.backward import LinearForm, Rows, backward_form
from verify.bounds.forward import Forward
from verify.bounds.nouns import Interval
from verify.bounds.relaxation import Lines
from verify.floating import UNIT, down, up
from verify.network import Network
from verify.region import box

MOST = 2048  # half-spaces that are kept, those that cut off most
BOTH = 1024.0  # weight of pressure on both halves of a box against pressure on one (Freeman 1995)
CUT = 0.01  # the least share of its range over the region that a half-space must cut off

MARGIN = 4.0 * UNIT  # between the slope of a line and the one that its rounded product with a coefficient stands for
SMALLEST = 2.0**-900  # coefficient on a ReLU for which that is so


@dataclass(frozen=True)
class Occurrences:
    """Where coordinates occur with one sign: ``place`` (n, m) of half-spaces, padded with H; ``size`` (n, m) of ``|a|``."""

    place: Tensor
    size: Tensor


@dataclass(frozen=True)
class Halfspaces:
    """``a . x + c <= 0``: ``a`` (H, n), ``c`` (H,); ``rising`` and ``falling``: where coordinates have a > 0 and a < 0."""

    a: Tensor
    c: Tensor
    rising: Occurrences
    falling: Occurrences

    def __len__(self) -> int:
        return len(self.c)

    @property
    def bytes(self) -> int:
        """What clipping one box takes."""
        return 8 * max(self.rising.place.numel(), self.falling.place.numel())

    def least(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Lower bounds (B, H) of ``a . x + c`` over boxes (B, n), recomputed with their rounding."""
        return down(box(lower, upper).minimise(self.a.unsqueeze(0)) + self.c)

    def pressure(self, lower: Tensor, upper: Tensor) -> Tensor:
        """How much it helps to halve each coordinate of boxes (B, n): (B, n).

        ``-least / |a_i| w_i`` is how many coordinates like i use up what a half-space has left (its slack), if each goes
        to its far end; it weighs ``2^-that`` (Jeroslow and Wang 1990, for clauses of a formula), in the half that is far.
        Both halves should be pressed. A half-space that the box implies has no say. A hint: nothing is claimed.
        """
        least, width = self.least(lower, upper), upper - lower
        live = -(box(lower, upper).minimise(-self.a.unsqueeze(0)) - self.c) > 0
        left = torch.where(live, -least.clamp(max=0), torch.inf)
        left = torch.cat([left, left.new_full((len(left), 1), torch.inf)], 1)
        sides = [
            torch.exp2(-left[:, side.place] / (side.size * width.unsqueeze(2)).clamp(min=1e-300)).sum(2)
            for side in (self.rising, self.falling)
        ]
        return _weighed(*sides)


def pressed(count: Tensor) -> Tensor:
    """What halving coordinates does for a row, on the scale of ``pressure``: ``count`` halvings alike would use up its gap."""
    share = torch.exp2(-count)
    return _weighed(share, share)


def _weighed(one: Tensor, other: Tensor) -> Tensor:
    return one * other * BOTH + one + other


def halfspaces(a: Tensor, c: Tensor) -> Halfspaces:
    """The half-spaces ``a . x + c <= 0``: (H, n) and (H,)."""
    return Halfspaces(a, c, _occurrences(a), _occurrences(-a))


def _occurrences(a: Tensor) -> Occurrences:
    """Where ``a > 0``, coordinate by coordinate."""
    count = (a > 0).sum(0)
    most = int(count.max()) if a.numel() else 0
    order = (a > 0).T.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
    used = torch.arange(most) < count.unsqueeze(1)
    size = torch.where(used, a.T.gather(1, order), 1.0)
    padding = order.new_full((a.shape[1], 1), len(a))
    return Occurrences(
        torch.cat([torch.where(used, order, len(a)), padding], 1), torch.cat([size, a.new_ones(a.shape[1], 1)], 1)
    )


def implied_by_rows(
    forward: Forward, form: LinearForm, lines: Mapping[int, Lines], least: Tensor
) -> dict[int, Interval]:
    """Bounds (B, *shape) of each ReLU's input for the x of each box that satisfy the clause.

    ``form`` (B, S, ...): below each row, as a backward pass with ``lines`` left it; ``least`` (B, S): a lower bound of the
    form over the box. The slope that a pass used is the computed ``A s`` over A, within ``MARGIN`` of the line's where
    ``A > SMALLEST``. Recomputed: the quotients, rounded outwards. Trusted: the form, its minimum, and ``forward.bounds``.
    Where the bounds cross, no x of the box satisfies the clause.
    """
    found = {}
    left = -least.clamp(max=0)  # what the dropped terms may add up to
    for r, arriving in form.at_relus.items():
        pre = forward.bounds.pre[r]
        # A smaller coefficient says nothing here: its product with the slope may underflow.
        size = torch.where(arriving > SMALLEST, arriving, 0.0)
        room = up(left.reshape(*left.shape, *[1] * (arriving.dim() - 2)) / size)
        slope = lines[r].lower
        over, under = (up(room / (s - MARGIN).clamp(min=0)) for s in (1.0 - slope, slope))
        upper = torch.where(over.isnan(), torch.inf, over).amin(1)
        lower = torch.where(under.isnan(), torch.inf, under).amin(1)
        found[r] = Interval(torch.maximum(pre.lower, -lower), torch.minimum(pre.upper, upper))
    return found


def from_neurons(network: Network, forward: Forward, implied: Mapping[int, Interval]) -> LinearForm:
    """The half-spaces of the neurons of one box whose ``implied`` bounds are tighter, (1, H, *input shape).

    A linear form below ``y`` less y's upper bound, and one below ``-y`` plus its lower bound. Recomputed: the forms, by a
    backward pass over the box. Trusted: ``implied``, for the x of the box that satisfy the clause, and ``forward``.
    """
    forms, constants = [], []
    for r, after in implied.items():
        before, node = forward.bounds.pre[r], network.nodes[r].inputs[0]
        range_ = (before.upper - before.lower).flatten()
        size, shape = len(range_), network.nodes[node].shape
        for sign, end, gain in (
            (1.0, after.upper, before.upper - after.upper),
            (-1.0, -after.lower, after.lower - before.lower),
        ):
            some = (gain.flatten() > CUT * range_).nonzero().squeeze(1)
            for part in some.split(MOST) if len(some) else ():
                rows = torch.zeros(1, len(part), size, dtype=torch.float64)
                rows[0, torch.arange(len(part)), part] = sign
                zero = torch.zeros(1, len(part), dtype=torch.float64)
                lines = {k: line for k, line in forward.lines.items() if k < node}
                form = backward_form(network, forward.bounds, Rows(node, rows.unflatten(2, shape), zero), lines)
                forms.append(form.coefficient[0])
                constants.append(down(form.constant[0] - end.flatten()[part]))
    none = torch.zeros(0, *network.input_shape, dtype=torch.float64)
    return LinearForm(
        torch.cat([none, *forms]).unsqueeze(0), torch.cat([none.flatten()[:0], *constants]).unsqueeze(0), {}
    )


def useful(a: Tensor, c: Tensor, lower: Tensor, upper: Tensor) -> Halfspaces:
    """Those of the half-spaces, (H, n) and (H,), that cut off most of the box (1, n), if not nothing."""
    region = box(lower, upper)
    least, most = (region.minimise(a.unsqueeze(0)) + c)[0], -(region.minimise(-a.unsqueeze(0)) - c)[0]
    share = most / (most - least).clamp(min=math.ulp(0.0))
    share = torch.where((share > CUT) & torch.isfinite(c) & torch.isfinite(a).all(1), share, 0.0)
    order = share.argsort(dim=0, descending=True, stable=True)[:MOST]
    order = order[share[order] > 0].sort().values
    return halfspaces(a[order], c[order])
