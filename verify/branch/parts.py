"""Input branch and bound that leaves a certificate: every part of the box by the rules that a checker repeats.

The steps of :mod:`verify.branch.inputs` in their plainest form: CROWN layer by layer, one linear form below one row with a
few steps of slope ascent, clipping by that form alone, one halving. What is stored of a part is the row, the form's slopes and
where it was halved (check/FORMAT.md, step ``boxes``). Slower than the search without a certificate, which may use more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verify.bounds.backward import LinearForm, Rows, backward_form
from verify.bounds.climb import Ascent
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds, spec_bounds
from verify.bounds.forward import forward_bounds
from verify.bounds.nouns import Bounds
from verify.bounds.optimise import Search, optimise, rigorous_lines, small_bounds
from verify.branch.bounding import ROOM
from verify.branch.clip import clip
from verify.branch.outcome import Limits, Outcome
from verify.branch.scatter import SCATTER, hopeless
from verify.branch.sensitivity import scores
from verify.floating import TINY, down
from verify.network import Network
from verify.proof.document import Step
from verify.proof.multipliers import rounded, whole
from verify.property import Clause
from verify.region import Box, box
from verify.verdict import Verdict

BATCH = 512
STEPS = 5  # of ascent on the slopes of the last form
NO_ROW = -1  # of a part that is halved as it is


@dataclass(frozen=True)
class _Parts:
    """What is known of a batch: numbers (B,), boxes (B, n)."""

    number: Tensor
    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class _Question:
    """What all parts share; ``small`` is the network in float32."""

    network: Network
    small: Network
    clause: Clause
    root: Bounds


@dataclass
class _Record:
    """By part: the halved coordinate (-1: done), the row (or NO_ROW), the slopes of all ReLUs, and its children's numbers."""

    cut: list[int]
    row: list[int]
    slopes: list[np.ndarray]
    first: list[int]


def by_recorded_parts(network: Network, clause: Clause, limits: Limits, root: Bounds) -> tuple[Outcome, list[Step]]:
    """Is the clause satisfied nowhere? The outcome, and the steps that prove it where it is VERIFIED.

    ``root``: bounds over the clause's region, which are on record already. Recomputed: every bound that excludes a part, in
    float64 with its rounding. Trusted: ``root``. Counterexamples are not looked for: this is
    for questions that an attack left open or another search has answered.
    """
    region = clause.region
    lower, upper = region.lower.flatten(1), region.upper.flatten(1)
    record = _Record([-1], [0], [np.zeros(0, dtype=np.uint8)], [-1])
    stack = [_Parts(torch.zeros(1, dtype=torch.long), lower, upper)]
    question = _Question(network, network.to(dtype=torch.float32), clause, root)
    while stack:
        count = len(record.cut)
        if limits.left() <= 0:
            return Outcome(Verdict.UNKNOWN, reason="timeout", domains=count), []
        if sum(s.nbytes for s in record.slopes[-1:]) * count > limits.memory_bytes:
            return Outcome(Verdict.UNKNOWN, reason="memory", domains=count), []
        parts = _taken(stack)
        done, clipped, coordinate = _bounded(question, parts, record)
        left = (~done).nonzero().squeeze(1)
        if not len(left):
            continue
        first = left[:1]
        middle = (parts.lower[first] / 2 + parts.upper[first] / 2).reshape(clause.region.lower.shape)
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
        for field, value in ((record.cut, -1), (record.row, 0), (record.first, -1)):
            field.extend([value] * (2 * len(left)))
        record.slopes.extend([record.slopes[0]] * (2 * len(left)))
        ends = torch.stack([low, above], 1).flatten(0, 1), torch.stack([below, high], 1).flatten(0, 1)
        stack.append(_Parts(children, *ends))
    return Outcome(Verdict.VERIFIED, domains=len(record.cut)), [_step(network, clause, record)]


def _taken(stack: list[_Parts]) -> _Parts:
    """The next batch, the deepest first."""
    parts = stack.pop()
    while stack and len(parts.number) < BATCH:
        more = stack.pop()
        parts = _Parts(*(torch.cat([getattr(more, k), getattr(parts, k)]) for k in ("number", "lower", "upper")))
    if len(parts.number) > BATCH:
        stack.append(_Parts(parts.number[:-BATCH], parts.lower[:-BATCH], parts.upper[:-BATCH]))
        parts = _Parts(parts.number[-BATCH:], parts.lower[-BATCH:], parts.upper[-BATCH:])
    return parts


def _bounded(question: _Question, parts: _Parts, record: _Record) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Which parts are excluded, all of them clipped, and where to halve them. The record gets their rows and slopes."""
    network, clause = question.network, question.clause
    shape = clause.region.lower.shape[1:]
    region = box(parts.lower.reshape(-1, *shape), parts.upper.reshape(-1, *shape))
    bounds = node_bounds(
        network, region, by_slopes("crown"), source="crown", within=question.root
    )  # as the checker does
    best = _best_row(network, region, bounds, clause)
    last = len(network.nodes) - 1
    rows = Rows(last, clause.C[best].unsqueeze(1), clause.d[best].unsqueeze(1))
    copy = Search(question.small, region.to(dtype=torch.float32), small_bounds(bounds))
    slopes = {r: rounded(s) for r, s in optimise(copy, rows, Ascent(steps=STEPS)).items()}
    form = backward_form(network, bounds, rows, rigorous_lines(bounds, slopes, last))
    a = form.coefficient.flatten(2)
    flat = box(parts.lower, parts.upper)
    size = clause.C.abs() @ bounds.values[last].magnitude().T + clause.d.abs().unsqueeze(1)  # (J, B)
    room = ROOM * size.gather(0, best.unsqueeze(0))[0]
    least = down(form.constant + flat.minimise(a))[:, 0]
    done = least > room
    low, high, _ = clip(parts.lower, parts.upper, a, form.constant)
    # Below 0 by a rounding, a bound clips its part to a corner; above, not at all. Whoever checks may find the other, and
    # halve elsewhere: such a part goes without a bound, and is halved as it is.
    by_rounding = ~done & (least > -room)
    low, high = (
        torch.where(by_rounding.unsqueeze(1), whole_, cut) for whole_, cut in ((parts.lower, low), (parts.upper, high))
    )
    kept, row = _all_slopes(network, bounds, slopes), torch.where(by_rounding, NO_ROW, best)
    for k, part in enumerate(parts.number.tolist()):
        record.row[part], record.slopes[part] = int(row[k]), kept[k]
    left = (~done).nonzero().squeeze(1)
    score = torch.zeros_like(low)
    if len(left):
        score[left] = _scores(network, region.select(left), bounds.select(left), form, left)
    score = score * ((high - low) / (parts.upper - parts.lower).clamp(min=TINY))
    return done, (low, high), score.argmax(1)


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


def _all_slopes(network: Network, bounds: Bounds, slopes: dict[int, Tensor]) -> np.ndarray:
    """The slopes of every ReLU in 8 bits, (B, all neurons); 0 where nobody asked for any."""
    parts = [np.zeros((len(bounds.values[0].lower), 0), dtype=np.uint8)]  # of a network without ReLUs
    for r in network.relus:
        pre = bounds.pre[r]
        if r in slopes:
            parts.append(whole(slopes[r][:, 0].flatten(1)))
        else:
            parts.append(np.zeros((len(pre.lower), pre.lower[0].numel()), dtype=np.uint8))
    return np.concatenate(parts, 1)


def _step(network: Network, clause: Clause, record: _Record) -> Step:
    """The parts level by level, as the format wants them."""
    order, level = [], [0]
    while level:
        order += level
        level = [
            child for part in level if record.cut[part] >= 0 for child in (record.first[part], record.first[part] + 1)
        ]
    slopes = np.stack([record.slopes[part] for part in order])
    lower, begin = {}, 0
    for k, r in enumerate(network.relus):
        count = int(np.prod(network.nodes[r].shape))
        lower[str(k)] = {"at": np.arange(count, dtype=np.int32), "value": slopes[:, begin : begin + count]}
        begin += count
    # NO_ROW takes the last row, of zeros
    mix = np.eye(len(clause.d) + 1, len(clause.d), dtype=np.float32)[[record.row[part] for part in order]]
    cut = np.array([record.cut[part] for part in order], dtype=np.int16)
    return {"op": "boxes", "cut": cut, "multipliers": {"lower": lower, "mix": mix}}
