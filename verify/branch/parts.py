"""Input branch and bound that leaves a certificate: every part of the box by the rules that a checker repeats.

The steps of :mod:`verify.branch.inputs` in their plainest form: CROWN layer by layer, one linear form below one row with a
few steps of slope ascent, clipping by that form alone, one halving. Where the clause forces neurons, half-spaces say which
parts are excluded and where to halve, as they do in that search. They are no rule of the checker's: such a part gets the form
that the duals of its linear program give (:mod:`verify.branch.program`). What is stored of a part is the weights of the rows,
the form's slopes and where it was halved (check/FORMAT.md, step ``tree``). Slower than the search without a certificate,
which may use more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from verify.bounds.backward import LinearForm, Rows, backward_form
from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds, spec_bounds
from verify.bounds.forward import forward_bounds
from verify.bounds.nouns import Bounds
from verify.bounds.optimise import Search, optimise, rigorous_lines, small_bounds
from verify.branch.bounding import mixed_rows, row_room
from verify.branch.boxes import Stack
from verify.branch.clip import clip, clip_both
from verify.branch.halfspaces import Halfspaces, pressed
from verify.branch.inputs import at_once, forced
from verify.branch.outcome import Limits, Outcome
from verify.branch.problem import Problem
from verify.branch.scatter import SCATTER, hopeless
from verify.branch.sensitivity import scores
from verify.floating import TINY, down
from verify.network import Network
from verify.operators import Affine, Conv, Input, Reshape, Scale
from verify.proof.document import Step
from verify.proof.multipliers import COARSE, FINE, begins, rounded, table, whole
from verify.property import Clause
from verify.region import Box, box
from verify.verdict import Verdict

BATCH = 512
STEPS = 5  # of ascent on the slopes of the last form
SECONDS = 10.0  # for one program


@dataclass(frozen=True)
class _Parts:
    """What is known of a batch: numbers (B,), boxes (B, n)."""

    number: Tensor
    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class _Question:
    """What all parts share: a clause, number ``place`` of the problem. ``small``: the network in float32; ``root``: bounds over
    the region; ``shared``: half-spaces over all coordinates that every x has which satisfies the clause; ``most``: slopes
    are stored as fractions of it."""

    problem: Problem
    place: int
    clause: Clause
    limits: Limits
    small: Network
    root: Bounds
    shared: Halfspaces
    most: int


@dataclass
class _Record:
    """By part: the halved coordinate (-1: done), the rows' weights, the slopes of all ReLUs, and its children's numbers."""

    cut: list[int] = field(default_factory=list)
    mix: list[np.ndarray] = field(default_factory=list)
    slopes: list[np.ndarray] = field(default_factory=list)
    first: list[int] = field(default_factory=list)

    def add(self, parts: int) -> None:
        """Room for as many new parts."""
        self.cut += [-1] * parts
        self.mix += [np.zeros(0)] * parts
        self.slopes += [np.zeros(0)] * parts
        self.first += [-1] * parts


@dataclass(frozen=True)
class _Form:
    """Weights (B, J), slopes by ReLU (B, 1, *shape) as they are stored, and the form below the weighed rows.

    ``least`` (B,): its minimum; ``room`` (B,): what that must have to spare.
    """

    mix: Tensor
    slopes: dict[int, Tensor]
    below: LinearForm
    least: Tensor
    room: Tensor


def by_recorded_parts(
    problem: Problem, place: int, clause: Clause, limits: Limits, root: Bounds
) -> tuple[Outcome, list[Step]]:
    """Is ``clause``, number ``place`` of the problem, satisfied nowhere? The outcome, and the steps that prove it if it is not.

    ``root``: bounds over the clause's region, which are on record already. Recomputed: every bound that excludes a part, in
    float64 with its rounding. Trusted: ``root``. Counterexamples are not looked for: this is
    for questions that an attack left open or another search has answered.
    """
    network, region = problem.network, clause.region
    shared = forced(network, clause)
    question = _Question(
        problem,
        place,
        clause,
        limits,
        network.to(dtype=torch.float32),
        root,
        shared,
        FINE if len(shared) else COARSE,
    )
    record, stack = _Record(), Stack()
    record.add(1)
    stack.push(torch.zeros(1, dtype=torch.long), region.lower.flatten(1), region.upper.flatten(1))
    while stack.count:
        count = len(record.cut)
        if record.slopes[0].nbytes * count > limits.memory_bytes:
            return Outcome(Verdict.UNKNOWN, reason="memory", domains=count), []
        parts = _Parts(*stack.pop(at_once(shared, BATCH)))
        done, clipped, coordinate = _bounded(question, parts, record)
        if limits.left() <= 0:  # some bounds may be looser than those that a checker finds
            return Outcome(Verdict.UNKNOWN, reason="timeout", domains=count), []
        left = (~done).nonzero().squeeze(1)
        if not len(left):
            continue
        first = left[:1]
        middle = (parts.lower[first] / 2 + parts.upper[first] / 2).reshape(region.lower.shape)
        if hopeless(network, clause, middle, within=root):
            return Outcome(Verdict.UNKNOWN, reason=SCATTER, domains=count), []
        number, where = parts.number[left], coordinate[left]
        low, high = clipped[0][left], clipped[1][left]
        pick = torch.arange(len(left))
        middle = low[pick, where] / 2 + high[pick, where] / 2
        if bool(((middle <= low[pick, where]) | (middle >= high[pick, where])).any()):
            return Outcome(Verdict.UNKNOWN, reason="incomplete method", domains=count), []
        below, above = high.clone(), low.clone()
        below[pick, where] = middle
        above[pick, where] = middle
        children = torch.arange(count, count + 2 * len(left))
        for part, at, child in zip(number.tolist(), where.tolist(), children[::2].tolist(), strict=True):
            record.cut[part], record.first[part] = at, child
        record.add(2 * len(left))
        ends = torch.stack([low, above], 1).flatten(0, 1), torch.stack([below, high], 1).flatten(0, 1)
        stack.push(children, *ends)
    return Outcome(Verdict.VERIFIED, domains=len(record.cut)), [_step(network, record)]


def _bounded(question: _Question, parts: _Parts, record: _Record) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Which parts are excluded, all of them clipped, and where to halve them. The record gets their weights and slopes."""
    network, deadline = question.problem.network, question.limits.deadline
    shape = question.clause.region.lower.shape[1:]
    region = box(parts.lower.reshape(-1, *shape), parts.upper.reshape(-1, *shape))
    crown = by_slopes("crown", deadline=deadline)
    bounds = node_bounds(network, region, crown, source="crown", within=question.root)  # as the checker does
    form = _ascended(question, region, bounds)
    done = form.least > form.room
    low, high, _ = clip(parts.lower, parts.upper, form.below.coefficient.flatten(2), form.below.constant)
    # Below 0 by a rounding, a bound clips its part to a corner; above, not at all. Whoever checks may find the other, and
    # halve elsewhere: such a part goes without a bound, and is halved as it is.
    by_rounding = (~done & (form.least > -form.room)).unsqueeze(1)
    low, high = torch.where(by_rounding, parts.lower, low), torch.where(by_rounding, parts.upper, high)
    _keep(question, record, parts.number, torch.where(by_rounding, 0.0, form.mix), bounds, form.slopes)
    left = (~done).nonzero().squeeze(1)
    score = torch.zeros_like(low)
    if len(left):
        score[left] = _scores(network, region.select(left), bounds.select(left), form.below, left)
    score = score * ((high - low) / (parts.upper - parts.lower).clamp(min=TINY))
    if len(question.shared):
        excluded, score = _guided(question, parts, bounds, form.least, score)
        for k in (excluded & ~done).nonzero():
            done[k] = _refuted(question, parts.number[k], region.select(k), bounds.select(k), record)
    return done, (low, high), score.argmax(1)


def _formed(question: _Question, region: Box, bounds: Bounds, mix: Tensor, slopes: dict[int, Tensor]) -> _Form:
    """The form of the rows weighed with ``mix`` (B, J), with slopes (B, 1, *shape), which are rounded to what is stored."""
    network, clause = question.problem.network, question.clause
    last = len(network.nodes) - 1
    slopes = {r: rounded(s, question.most) for r, s in slopes.items()}
    weights = torch.nn.functional.pad(mix, (0, question.problem.rows.shape[1] - mix.shape[1])).unsqueeze(1)
    rows = mixed_rows(question.problem, torch.full((len(mix),), question.place), weights, {})
    below = backward_form(network, bounds, rows, rigorous_lines(bounds, slopes, last))
    least = down(below.constant + region.minimise(below.coefficient))[:, 0]
    room = (mix * row_room(clause.C, clause.d, bounds.values[last].magnitude())).sum(1)
    return _Form(mix, slopes, below, least, room)


def _ascended(question: _Question, region: Box, bounds: Bounds) -> _Form:
    """The form below the row with the highest bound, after a few steps of ascent."""
    network, clause = question.problem.network, question.clause
    best = _best_row(network, region, bounds, clause)
    rows = Rows(len(network.nodes) - 1, clause.C[best].unsqueeze(1), clause.d[best].unsqueeze(1))
    copy = Search(question.small, region.to(dtype=torch.float32), small_bounds(bounds))
    found = optimise(copy, rows, Ascent(steps=STEPS, deadline=question.limits.deadline))
    return _formed(question, region, bounds, torch.eye(len(clause.d), dtype=torch.float64)[best], found)


def _guided(question: _Question, parts: _Parts, bounds: Bounds, least: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Which parts (B,) the rows and the half-spaces exclude together, and scores (B, n) of the coordinates of the others."""
    network, clause = question.problem.network, question.clause
    rows = Rows(len(network.nodes) - 1, clause.C.unsqueeze(0), clause.d.unsqueeze(0))
    forms = backward_form(network, bounds, rows, fixed_lines(bounds, "crown"))
    low, high, excluded = clip_both(
        parts.lower, parts.upper, forms.coefficient.flatten(2), forms.constant, question.shared
    )
    gap = -least.clamp(max=0).unsqueeze(1)
    score = pressed(gap / score.clamp(min=TINY)) + question.shared.pressure(low, high)
    score = torch.where(low < high, score, 0.0)
    return excluded, torch.where((score > 0).any(1, keepdim=True), score, parts.upper - parts.lower)


def _refuted(question: _Question, number: Tensor, region: Box, bounds: Bounds, record: _Record) -> bool:
    """Whether the duals of the program of one part refute it. The record gets them where they do."""
    seconds = min(SECONDS, question.limits.left())
    if seconds <= 0:
        return False
    from verify.branch.program import refuting  # brings the solvers, which few searches need

    found = refuting(question.problem.network, region, bounds, question.clause, seconds)
    if found is None:
        return False
    mix, slopes = found[0].float().double().unsqueeze(0), {r: s[None, None] for r, s in found[1].items()}
    form = _formed(question, region, bounds, mix, slopes)
    if not bool(form.least > form.room):
        return False
    _keep(question, record, number, mix, bounds, form.slopes)
    return True


def _keep(
    question: _Question, record: _Record, number: Tensor, mix: Tensor, bounds: Bounds, slopes: dict[int, Tensor]
) -> None:
    """Note the weights and the slopes of the parts ``number``."""
    kept = _all_slopes(question, bounds, slopes)
    for k, part in enumerate(number.tolist()):
        record.mix[part], record.slopes[part] = mix[k].numpy().astype(np.float32), kept[k]


def _scores(network: Network, region: Box, bounds: Bounds, form: LinearForm, left: Tensor) -> Tensor:
    """How much it helps to halve each coordinate of the boxes ``left`` of a batch, (k, n)."""
    lower, upper = region.lower.flatten(1), region.upper.flatten(1)
    varying = (lower < upper).any(0).nonzero().squeeze(1)
    at_relus = {r: a.expand(len(form.coefficient), *a.shape[1:])[left, 0] for r, a in form.at_relus.items()}
    forward = forward_bounds(network, region, varying, bounds.underflow)
    found = torch.zeros_like(lower)
    own = form.coefficient.flatten(2)[left, 0]
    found[:, varying] = scores(forward, (upper - lower)[:, varying], own[:, varying], at_relus)
    return found


def _best_row(network: Network, region: Box, bounds: Bounds, clause: Clause) -> Tensor:
    """The row (B,) with the highest bound."""
    if len(clause.d) == 1:
        return torch.zeros(region.count, dtype=torch.long)
    rows = Rows(len(network.nodes) - 1, clause.C.unsqueeze(0), clause.d.unsqueeze(0))
    return spec_bounds(network, region, bounds, rows, fixed_lines(bounds, "crown")).argmax(1)


def _all_slopes(question: _Question, bounds: Bounds, slopes: dict[int, Tensor]) -> np.ndarray:
    """The slopes of every ReLU as whole numbers, (B, all neurons); 0 where nobody asked for any."""
    kind = np.uint8 if question.most == COARSE else np.uint16
    parts = [np.zeros((len(bounds.values[0].lower), 0), dtype=kind)]  # of a network without ReLUs
    for r in question.problem.network.relus:
        pre = bounds.pre[r]
        if r in slopes:
            parts.append(whole(slopes[r][:, 0].flatten(1), question.most))
        else:
            parts.append(np.zeros((len(pre.lower), pre.lower[0].numel()), dtype=kind))
    return np.concatenate(parts, 1)


def _step(network: Network, record: _Record) -> Step:
    """The parts level by level, as the format wants them."""
    order, level = [], [0]
    while level:
        order += level  # of halves, the upper one comes first
        level = [
            child for part in level if record.cut[part] >= 0 for child in (record.first[part] + 1, record.first[part])
        ]
    first, end = begins(network)[0], begins(network)[-1]
    slopes = np.stack([record.slopes[part] for part in order])
    mix = np.stack([record.mix[part] for part in order])
    return {
        "op": "tree",
        "cut": np.array([record.cut[part] for part in order], dtype=np.int32),
        "row": np.arange(len(order), dtype=np.int32),
        "derive": [k for k, r in enumerate(network.relus) if not _exact_interval(network, r)],
        "multipliers": table("lower", [(np.arange(first, end), slopes)]) | {"mix": mix},
    }


def _exact_interval(network: Network, relu: int) -> bool:
    """Whether the argument of a ReLU is one matrix of the input's entries: an interval says all about it then."""
    node = network.nodes[network.nodes[relu].inputs[0]]
    while isinstance(node.operator, (Reshape, Scale)):
        node = network.nodes[node.inputs[0]]
    if isinstance(node.operator, (Affine, Conv)):
        node = network.nodes[node.inputs[0]]
    while isinstance(node.operator, (Reshape, Scale)):
        node = network.nodes[node.inputs[0]]
    return isinstance(node.operator, Input)
