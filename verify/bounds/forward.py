"""Bounds of every node by one forward pass of affine forms: what parallel lines give, for the price of one sweep.

The invariant, in exact arithmetic: for every x of the box there is one ``e`` in [-1, 1]^K such that at every node, entry
by entry, ``|v(x) - (terms_0 + sum_k e_k terms_k)| <= error``. The first generators are the coordinates of the input
that vary; every unstable ReLU adds one, for where between its two parallel lines it lies (DeepZ, Singh et al. 2018:
the same bounds as the backward pass with the slopes ``dual``). A network with few inputs whose ReLUs are mostly
stable, as on the small boxes of an input search, has far fewer generators than neurons, and all rows come at once.

Rounding. A linear step loses ``slack`` of the magnitude ``size + error`` (:mod:`verify.bounds.rounding`); a ReLU step two
roundings of what it keeps; both go into ``error``, which the next layers carry as an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.execution import errors_of
from verify.bounds.interval import widened
from verify.bounds.nouns import Bounds, Interval, unstable
from verify.bounds.relaxation import Lines, chord, crown_slope
from verify.bounds.rounding import slack
from verify.bounds.scattered import scattered_bounds
from verify.bounds.scope import Scope
from verify.errors import SoundnessError
from verify.floating import TINY, UNIT, gamma, require_gradual_underflow, up
from verify.network import Network, Node
from verify.operators import Add, Concat, Input, Linear, ReLU
from verify.region import Box, centre_and_radius

SHARE = 3  # boxes with more than one neuron in this many unstable in a layer are too wide to be worth refining


@dataclass(frozen=True)
class Form:
    """An affine form of a node: ``terms`` (B, 1 + K, *shape), the centre first, and ``error`` (B, *shape) >= 0.

    ``size`` >= ``sum_k |terms_k|``, centre included. Forms of one pass share their generators by position: every ReLU
    takes positions that no other has, also one on another branch. A form made earlier has fewer, and zeros beyond.
    """

    terms: Tensor
    error: Tensor
    size: Tensor

    def interval(self) -> Interval:
        """The values that the form can take, rounded outwards."""
        centre = self.terms[:, 0]
        # The two sums below miss by less than 8u of `size` and of `error`.
        reach = self.size + (self.size * gamma(8) + (self.error * (1.0 + gamma(8)) + TINY))
        return Interval((centre + centre.abs()) - reach, (centre - centre.abs()) + reach)


@dataclass(frozen=True)
class Forward:
    """What one pass found: ``bounds`` of every node; by ReLU, CROWN's ``lines`` and ``reach`` (B, n, *shape).

    ``reach``: how far half of each varying coordinate's width moves the pre-activation, with a sign; a search's hint.
    """

    bounds: Bounds
    lines: Mapping[int, Lines]
    reach: Mapping[int, Tensor]

    def select(self, index: Tensor) -> Forward:
        """What was found of the boxes ``index`` (k,)."""
        return Forward(
            self.bounds.select(index),
            {r: line.select(index) for r, line in self.lines.items()},
            {r: moved[index] for r, moved in self.reach.items()},
        )


def forward_bounds(
    network: Network, region: Box, varying: Tensor, underflow: Tensor, *, refine: bool = False
) -> Forward:
    """Intervals of every node over the boxes ``region``, from affine forms.

    ``varying`` (n,): the positions, in the flattened input, of the coordinates that are more than a point in any of the
    boxes. ``underflow`` (1,) or (B,): what underflow may lose in a backward pass, as the bounds of a region that holds
    all the boxes have it. ``refine``: tighten the neurons that are left unstable by a backward pass each, with CROWN's
    slopes, before the pass goes on: worth twice the price on boxes that the plain pass does not exclude.

    Recomputed: everything else, with the rounding of float64 in ``error``. Trusted: that ``underflow`` holds.
    """
    require_gradual_underflow()
    lost = underflow.expand(region.count)
    executed = network.semantics == "float32"
    refined: set[int] = set()
    taken = 1 + len(varying)  # positions of terms that some form uses
    forms: list[Form] = []
    values: list[Interval] = []
    losses: list[Tensor | None] = []
    lines: dict[int, Lines] = {}
    reach: dict[int, Tensor] = {}
    for i, node in enumerate(network.nodes):
        inputs = [forms[j] for j in node.inputs]
        loss = None
        if isinstance(node.operator, Input):
            form, value = input_form(region, varying), Interval(region.lower, region.upper)
        elif isinstance(node.operator, Linear):
            form, loss = _linear(node.operator, inputs[0])
            value = form.interval()
        elif isinstance(node.operator, ReLU):
            start = node.inputs[0]
            if refine and lines and start not in refined:
                wanted = unstable(values[start]).flatten(1)
                wanted &= wanted.sum(1, keepdim=True) * SHARE <= wanted.shape[1]
                so_far = Bounds(tuple(values), {}, tuple(losses), lost, "forward")
                scope = Scope(network, region, so_far, start, torch.arange(wanted.shape[1]), wanted)
                values[start] = scattered_bounds(scope, lines)
                refined.add(start)
            at = values[start]
            s, t = chord(at)
            lines[i] = Lines(crown_slope(at).unsqueeze(1), s.unsqueeze(1), t.unsqueeze(1))
            reach[i] = inputs[0].terms[:, 1 : len(varying) + 1]
            form = _relu(_widened(inputs[0], taken), s, t, unstable(at))
            taken = form.terms.shape[1]
            value = Interval(at.lower.clamp(min=0), at.upper.clamp(min=0))
        else:
            form = _JOINS[type(node.operator)](node, _aligned(inputs))
            value = form.interval()
        run = errors_of(node, [values[j] for j in node.inputs]) if executed else None
        if run is not None:
            form = replace(form, error=up(form.error + run))
            value, loss = widened(node, value, run), run if loss is None else up(loss + run)
        forms.append(form)
        values.append(value)
        losses.append(loss)
    if not bool(torch.isfinite(values[-1].upper - values[-1].lower).all()):
        raise SoundnessError("bounds overflow float64: the region or the weights are too large to bound")
    pre = {r: values[network.nodes[r].inputs[0]] for r in network.relus}
    return Forward(Bounds(tuple(values), pre, tuple(losses), lost, "forward"), lines, reach)


def input_form(region: Box, varying: Tensor) -> Form:
    """The input: one generator for each varying coordinate, whose radius reaches both ends in exact arithmetic."""
    lower, upper = region.lower.flatten(1), region.upper.flatten(1)
    middle, radius = centre_and_radius(lower, upper)
    terms = radius.new_zeros(len(lower), 1 + len(varying), lower.shape[1])
    terms[:, 0] = middle
    terms[:, torch.arange(1, 1 + len(varying)), varying] = radius[:, varying]
    error = radius.clone()  # a coordinate that is a point may still have a radius of one rounding
    error[:, varying] = 0.0
    shape = region.lower.shape[1:]
    size = up(middle.abs() + radius)
    return Form(terms.unflatten(2, shape), error.unflatten(1, shape), size.unflatten(1, shape))


def _size(terms: Tensor) -> Tensor:
    """``sum_k |terms_k|``, rounded up."""
    return terms.abs().sum(1) * (1.0 + gamma(terms.shape[1] + 2))


def _linear(op: Linear, form: Form) -> tuple[Form, Tensor | None]:
    """``W terms``, b added to the centre, ``|W| error``, and what rounding loses; that loss serves backward passes too."""
    count, width = form.terms.shape[:2]
    terms = op.linear(form.terms.flatten(0, 1)).unflatten(0, (count, width))
    if op.bias is not None:
        terms[:, 0] += op.full_bias()
    loss = slack(op, (form.size + form.error) * (1.0 + gamma(4)))
    if loss is None:
        return Form(terms, op.absolute(form.error), op.absolute(form.size)), None
    error = op.absolute(form.error) * (1.0 + gamma(op.terms + 4)) + loss * (1.0 + gamma(4))
    return Form(terms, error + (width + 2) * (op.terms + 1) * (2.0 * TINY), _size(terms)), loss


def _relu(form: Form, s: Tensor, t: Tensor, free: Tensor) -> Form:
    """``relu(y)`` lies in ``s y + [0, t]``: everything times s, ``t/2`` to the centre and ``t/2`` a new generator."""
    half = t / 2
    old, slot, most = form.terms.shape[1], free.flatten(1).cumsum(1), 0
    owner, neuron = free.flatten(1).nonzero().unbind(1)
    most = int(slot[:, -1].max()) if len(owner) else 0
    terms = form.terms.new_empty(len(s), old + most, *s.shape[1:])
    torch.mul(form.terms, s.unsqueeze(1), out=terms[:, :old])
    terms[:, 0] += half
    if most:
        terms[:, old:].zero_()
        terms.flatten(2)[owner, old - 1 + slot[owner, neuron], neuron] = half.flatten(1)[owner, neuron]
    size = (s * form.size + t) * (1.0 + gamma(4)) + TINY
    # s terms_k is off by a rounding, and the centre by another one: 2u of the new size.
    return Form(terms, s * form.error * (1.0 + gamma(4)) + (size * (4.0 * UNIT) + (old + 8) * TINY), size)


def _add(_: Node, forms: list[Form]) -> Form:
    a, b = forms
    terms = a.terms + b.terms
    size = _size(terms)
    return Form(terms, up(up(a.error + b.error) + size * UNIT), size)


def _concat(node: Node, forms: list[Form]) -> Form:
    op = node.operator
    assert isinstance(op, Concat)
    axis = op.axis + 1
    return Form(
        torch.cat([f.terms for f in forms], axis + 1),
        torch.cat([f.error for f in forms], axis),
        torch.cat([f.size for f in forms], axis),
    )


_JOINS: dict[type, Callable[[Node, list[Form]], Form]] = {Add: _add, Concat: _concat}


def _aligned(forms: list[Form]) -> list[Form]:
    """The forms with zeros for the generators that only later ones have."""
    most = max(f.terms.shape[1] for f in forms)
    return [_widened(f, most) for f in forms]


def _widened(form: Form, width: int) -> Form:
    return form if form.terms.shape[1] == width else replace(form, terms=_padded(form.terms, width))


def _padded(terms: Tensor, most: int) -> Tensor:
    missing = most - terms.shape[1]
    if not missing:
        return terms
    return torch.cat([terms, terms.new_zeros(len(terms), missing, *terms.shape[2:])], 1)
