"""Input branch and bound: halve the box of inputs until every part is excluded, or a point that satisfies the clause is met.

For few inputs this beats branching on ReLUs: the parts are boxes again, on which most ReLUs are stable, and hundreds of them
are bounded at once. Each round takes boxes off a stack. One forward pass of affine forms bounds the pre-activations
(:mod:`verify.bounds.forward`); one backward pass puts linear forms below the clause's rows, with CROWN's slopes and with the
parallel ones; the forms exclude boxes and clip the others (:mod:`verify.branch.clip`). On what is left a few steps of slope
ascent sharpen the best row, which excludes and clips again, and the rest is halved where that helps most
(:mod:`verify.branch.sensitivity`). Where the clause forces neurons, half-spaces that hold for every part clip each box
first and in turns with its forms, and halving where it presses them most comes first (:mod:`verify.branch.halfspaces`): this
is what carries the search beyond a few inputs. Middles of boxes and the corners that the forms point to are tried as
counterexamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.backward import LinearForm, Rows, backward_form
from verify.bounds.climb import Ascent
from verify.bounds.compute import node_bounds
from verify.bounds.forward import Forward, forward_bounds
from verify.bounds.optimise import Search, optimise, small_bounds
from verify.bounds.relaxation import Lines
from verify.branch.boxes import Stack, halve
from verify.branch.clip import clip_both, clip_chain
from verify.branch.halfspaces import Halfspaces, from_neurons, halfspaces, implied_by_rows, pressed, useful
from verify.branch.outcome import Limits, Outcome
from verify.branch.scatter import SCATTER, hopeless
from verify.branch.sensitivity import scores
from verify.errors import UsageError
from verify.floating import TINY, down
from verify.network import Network
from verify.property import Clause, PropertyCounterexample
from verify.region import Box, box
from verify.representable import representable
from verify.verdict import Verdict
from verify.witness import Replay, confirm_clause

FEW = 20  # inputs that vary: each halving of all of them makes 2^n parts
MANY = 256  # inputs that vary, where every box is clipped by half-spaces
BATCH_BYTES = 32 * 2**20  # what the forms of one batch may take, so that a step stays near the processor's cache
STEPS = 5  # of ascent on the slopes for boxes that fixed slopes do not exclude
FULL = 64  # boxes below this cost as much as one, so that a small batch is halved several times at once


def worth_splitting_inputs(network: Network, clause: Clause) -> bool:
    """Whether :func:`by_input_splits` is the method to try first: a box in which at most ``FEW`` inputs vary.

    With up to ``MANY`` it is, where the clause's half-spaces number at least half the inputs that vary, so that halving
    some fixes others, and the forms of one box fit the batch's memory: small networks, and never whole images.
    """
    varying = int((clause.region.lower < clause.region.upper).sum())
    if not clause.region.is_box or not network.relus or not 0 < varying <= MANY:
        return False
    if varying <= FEW:
        return True
    small = _form_bytes(network, varying, sum(math.prod(network.nodes[r].shape) for r in network.relus)) <= BATCH_BYTES
    return small and 2 * len(halfspaces_of(network, clause)) >= varying


def forced(network: Network, clause: Clause) -> Halfspaces:
    """:func:`halfspaces_of`, over all coordinates of the flattened input."""
    shared = halfspaces_of(network, clause)
    a = torch.zeros(len(shared), clause.region.lower[0].numel(), dtype=torch.float64)
    a[:, (clause.region.lower < clause.region.upper).flatten()] = shared.a
    return halfspaces(a, shared.c)


def at_once(shared: Halfspaces, most: int) -> int:
    """How many boxes, up to ``most``, may be clipped by the half-spaces at once."""
    return max(16, min(most, BATCH_BYTES // (2 * shared.bytes + 1)))


def by_input_splits(
    network: Network, clause: Clause, limits: Limits, *, number: int = 0, replays: Sequence[Replay] = ()
) -> Outcome:
    """Does any x satisfy the clause? By halving the inputs, until every part is excluded or a point is confirmed.

    Recomputed: every bound that excludes a part, in float64 with its rounding; the counterexample, by
    :func:`verify.witness.confirm_clause`. UNKNOWN with the reason ``timeout``, ``memory``, or ``incomplete method`` where
    parts too small to be halved are left. Raises UsageError for an l_2 or l_1 ball: its parts are not boxes.
    """
    if not clause.region.is_box:
        raise UsageError("inputs are split over boxes: an l2 or l1 ball needs another method")
    search = _prepared(network, clause, limits, number, replays)
    if not len(clause.d):
        found = search.confirm(search.inputs(search.root()[0]))
        return Outcome(Verdict.FALSIFIED, found) if found else Outcome(Verdict.UNKNOWN, reason="incomplete method")
    return _run(search)


def halfspaces_of(network: Network, clause: Clause) -> Halfspaces:
    """Half-spaces over the coordinates that vary, which every x of the clause's region has that satisfies the clause.

    Recomputed: all, by :mod:`verify.branch.halfspaces` over forms of one forward and one backward pass. Trusted: nothing.
    """
    return _prepared(network, clause, Limits(), 0, ()).shared


@dataclass(frozen=True)
class _Search:
    """One question, and what is the same for all its boxes; boxes are (B, n) over the coordinates ``varying``."""

    network: Network
    clause: Clause
    limits: Limits
    number: int
    replays: Sequence[Replay]
    varying: Tensor
    underflow: Tensor
    batch: int
    small: Network
    shared: Halfspaces

    def root(self) -> tuple[Tensor, Tensor]:
        """The clause's region as a batch of one box."""
        region = self.clause.region
        return region.lower.flatten(1)[:, self.varying], region.upper.flatten(1)[:, self.varying]

    def region(self, lower: Tensor, upper: Tensor) -> Box:
        """The inputs of boxes (B, n)."""
        return box(self._filled(self.clause.region.lower, lower), self._filled(self.clause.region.upper, upper))

    def inputs(self, points: Tensor) -> Tensor:
        """Points (B, n) as inputs (B, *shape)."""
        return self._filled(self.clause.region.lower, points)

    def _filled(self, rest: Tensor, values: Tensor) -> Tensor:
        full = rest.flatten(1).expand(len(values), -1).clone()
        full[:, self.varying] = values
        return full.reshape(len(values), *rest.shape[1:])

    def confirm(self, points: Tensor) -> PropertyCounterexample | None:
        """The first of the points that satisfies the clause, moved to float32 numbers if that can be."""
        rounded = representable(self.clause.region.select(torch.zeros(len(points), dtype=torch.long)), points)
        return confirm_clause(
            self.network, self.clause, torch.cat([rounded, points]), number=self.number, replays=self.replays
        )


def _prepared(network: Network, clause: Clause, limits: Limits, number: int, replays: Sequence[Replay]) -> _Search:
    region = clause.region
    varying = (region.lower < region.upper).flatten().nonzero().squeeze(1)
    root = node_bounds(network, region)
    # About a quarter of the ReLUs are unstable; two copies of the forms live at once.
    unstable = sum(math.prod(network.nodes[r].shape) for r in network.relus) // 4
    batch = max(16, min(4096, BATCH_BYTES // (2 * _form_bytes(network, len(varying), unstable))))
    none = halfspaces(torch.zeros(0, len(varying)).double(), torch.zeros(0).double())
    search = _Search(
        network, clause, limits, number, replays, varying, root.underflow, batch, network.to(dtype=torch.float32), none
    )
    if not len(clause.d):
        return search
    shared = _shared(search)
    return replace(search, shared=shared, batch=at_once(shared, batch))


def _form_bytes(network: Network, varying: int, unstable: int) -> int:
    """What the affine forms of the widest node take for one box: the centre, the inputs and the unstable ReLUs."""
    return (1 + varying + unstable) * max(math.prod(node.shape) for node in network.nodes) * 8


def _shared(search: _Search) -> Halfspaces:
    """Half-spaces that every x of the region has which satisfies the clause."""
    lower, upper = search.root()
    forward = forward_bounds(search.network, search.region(lower, upper), search.varying, search.underflow)
    form, lines = _below_rows(search, forward)
    a, c = _over_varying(search, form)
    least = down(c + box(lower, upper).minimise(a))
    form = from_neurons(search.network, forward, implied_by_rows(forward, form, lines, least))
    a, c = _over_varying(search, form)
    return useful(a[0], c[0], lower, upper)


def _run(search: _Search) -> Outcome:
    limits, stack, domains, stuck = search.limits, Stack(), 0, False
    stack.push(*search.root())
    while stack.count:
        if limits.left() <= 0:
            return Outcome(Verdict.UNKNOWN, reason="timeout", domains=domains)
        if stack.bytes > limits.memory_bytes:
            return Outcome(Verdict.UNKNOWN, reason="memory", domains=domains)
        lower, upper = stack.pop(search.batch)
        domains += len(lower)
        found, left = _bounded(search, lower, upper)
        if found is not None:
            return Outcome(Verdict.FALSIFIED, found, domains=domains)
        if len(left.lower) and hopeless(search.network, search.clause, search.inputs(left.middle()[-1:])):
            return Outcome(Verdict.UNKNOWN, reason=SCATTER, domains=domains)
        if len(left.lower):
            times = 1 + max(0, int(math.log2(FULL / len(left.lower)))) if len(left.lower) < FULL else 1
            if len(search.varying) > FEW:
                times = 1  # a box costs much, and halving one coordinate may settle the next
            below, above, bad = halve(left.lower, left.upper, left.score, min(times, 3))
            stuck |= bool(bad.any())
            stack.push(below, above)
    if stuck:
        return Outcome(Verdict.UNKNOWN, reason="incomplete method", domains=domains)
    return Outcome(Verdict.VERIFIED, domains=domains)


@dataclass(frozen=True)
class _Left:
    """Boxes that are not excluded, clipped, and how much it helps to halve each coordinate; the best hope comes last."""

    lower: Tensor
    upper: Tensor
    score: Tensor

    def middle(self) -> Tensor:
        """The middle of each box, (B, n)."""
        return self.lower / 2 + self.upper / 2


def _bounded(search: _Search, lower: Tensor, upper: Tensor) -> tuple[PropertyCounterexample | None, _Left]:
    """Bound a batch of boxes: a counterexample met on the way, and what is left of them."""
    nothing = _Left(lower[:0], upper[:0], lower[:0])
    value, found = _tried(search, lower / 2 + upper / 2)
    if found is not None:
        return found, nothing
    lower, upper, excluded = clip_chain(lower, upper, search.shared)
    lower, upper, value = lower[~excluded], upper[~excluded], value[~excluded]
    if not len(lower):
        return None, nothing
    region = search.region(lower, upper)
    forward = forward_bounds(search.network, region, search.varying, search.underflow, refine=True)
    a, c = _over_varying(search, _below_rows(search, forward)[0])
    clipped, cut, excluded = clip_both(lower, upper, a, c, search.shared)
    kept = (~excluded).nonzero().squeeze(1)
    if not len(kept):
        return None, nothing
    best = (c + box(lower, upper).minimise(a)).argmax(1)[kept] % len(search.clause.d)
    forward, width, clipped, cut, value = (
        forward.select(kept),
        (upper - lower)[kept],
        clipped[kept],
        cut[kept],
        value[kept],
    )
    form = _sharpened(search, forward, region.select(kept), best)
    own, constant = _over_varying(search, form)
    clipped, cut, excluded = clip_both(
        clipped, cut, torch.cat([own, a[kept]], 1), torch.cat([constant, c[kept]], 1), search.shared
    )
    _, found = _tried(search, torch.where(own[:, 0] > 0, clipped, cut))
    if found is not None:
        return found, nothing
    score = scores(forward, width, own[:, 0], {r: v.squeeze(1) for r, v in form.at_relus.items()})
    score = score * ((cut - clipped) / width.clamp(min=TINY))
    if len(search.shared):
        gap = -(box(clipped, cut).minimise(own) + constant).clamp(max=0)
        score = pressed(gap / score.clamp(min=TINY)) + search.shared.pressure(clipped, cut)
    order = value.argsort(descending=True, stable=True)
    order = order[~excluded[order]]
    return None, _Left(clipped[order], cut[order], score[order])


def _tried(search: _Search, points: Tensor) -> tuple[Tensor, PropertyCounterexample | None]:
    """The largest row at each of the points (B, n), in plain float64, and a counterexample if the lowest ones are one."""
    inputs = search.inputs(points)
    value = (search.network(inputs) @ search.clause.C.T + search.clause.d).amax(1)
    if not bool((value <= 0).any()):
        return value, None
    return value, search.confirm(inputs[value.argsort(stable=True)[:8]])


def _sharpened(search: _Search, forward: Forward, region: Box, best: Tensor) -> LinearForm:
    """A linear form (B, 1, *shape) below row ``best`` (B,) of each box, with slopes found by a few steps of ascent."""
    clause, network = search.clause, search.network
    rows = Rows(len(network.nodes) - 1, clause.C[best].unsqueeze(1), clause.d[best].unsqueeze(1))
    copy = Search(search.small, region.to(dtype=torch.float32), small_bounds(forward.bounds))
    slopes = optimise(copy, rows, Ascent(steps=STEPS))
    lines = {
        r: replace(line, lower=slopes[r].to(line.upper.dtype).clamp(0, 1)) if r in slopes else line
        for r, line in forward.lines.items()
    }
    return backward_form(network, forward.bounds, rows, lines)


def _below_rows(search: _Search, forward: Forward) -> tuple[LinearForm, dict[int, Lines]]:
    """Linear forms below the rows, (B, 2S, *shape), and their lines: CROWN's slopes, then the parallel ones."""
    clause, network = search.clause, search.network
    rows = Rows(len(network.nodes) - 1, clause.C.repeat(2, 1).unsqueeze(0), clause.d.repeat(2).unsqueeze(0))
    count, lines = len(clause.d), {}
    for r, line in forward.lines.items():
        lines[r] = replace(line, lower=torch.cat([line.lower] * count + [line.upper] * count, 1))
    return backward_form(network, forward.bounds, rows, lines), lines


def _over_varying(search: _Search, form: LinearForm) -> tuple[Tensor, Tensor]:
    """The form over the varying coordinates alone: ``a`` (B, 2S, n) and ``c`` (B, 2S), rounded down."""
    a = form.coefficient.flatten(2)
    fixed = torch.ones(a.shape[2], dtype=torch.bool)
    fixed[search.varying] = False
    if not bool(fixed.any()):
        return a, form.constant
    region = search.clause.region
    rest = box(region.lower.flatten(1)[:, fixed], region.upper.flatten(1)[:, fixed])
    lows = rest.select(torch.zeros(len(a), dtype=torch.long)).minimise(a[:, :, fixed])
    return a[:, :, search.varying], down(form.constant + lows)
