"""Pre-activation bounds of domains, tightened with the clause and the phases as constraints.

For every x that satisfies the clause, ``v >= v + mix . (C f(x) + d)`` for any ``mix >= 0``: a form whose lower bound is
one of the neuron too (INVPROP, Kotha et al. 2023, section 3, with the split constraints of beta-CROWN).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from verify.bounds.climb import Ascent
from verify.bounds.nouns import Interval
from verify.branch.bounding import ROOM, Proposal, climbed, form_bound, stored
from verify.branch.domains import Domains, implied, intervals
from verify.branch.problem import Problem

MEMORY_BYTES = 512 * 2**20
LEAST = 0.01  # of its pace: the weight of the rows that a search starts with, since without any it would not see their lines
GAIN = 0.005  # of an interval's width: what a recorded bound must take off it


@dataclass(frozen=True)
class Memory:
    """The multipliers that rounds of tightening ended with, from which the next round starts. Filled in place.

    By ReLU: a Proposal for N domains whose S rows are the lower sides of the ReLU's columns, then the upper sides.
    """

    forms: dict[int, Proposal] = field(default_factory=dict)

    def select(self, index: Tensor) -> Memory:
        """The memory of the domains ``index``."""
        return Memory({r: _picked(p, index) for r, p in self.forms.items()})

    @property
    def bytes(self) -> int:
        """What the multipliers take."""
        parts = [t for p in self.forms.values() for t in (*p.alpha.values(), *p.beta.values(), p.mix)]
        return sum(t.numel() * t.element_size() for t in parts)


def tightened(
    problem: Problem,
    search: Problem,
    domains: Domains,
    ascent: Ascent,
    *,
    chosen: bool = False,
    memory: Memory | None = None,
) -> Domains:
    """The domains with tighter ``low`` and ``high``, from the last ReLU to the first; never looser.

    From the last, since the clause constrains that one most, and each that gets tighter helps those before it. With
    ``chosen`` only the columns that are among some domain's ``choices``. With ``memory`` the searches go on where they
    ended the last time.

    Recomputed: every bound, in float64 with its rounding, from multipliers that the float32 search proposed. Trusted: the
    domains' intervals so far, as :func:`verify.branch.bounding.bound` does.
    """
    if problem.tree is not None and not ascent.late:
        domains = replace(domains, part=problem.tree.tightened(domains.part))
    for r in reversed(problem.columns.index):
        if not ascent.late:
            wanted = _wanted(problem, domains, r, chosen)
            if len(wanted):
                domains = _layer(_Work(problem, search, ascent, memory), domains, r, wanted)
    return domains


@dataclass(frozen=True)
class _Work:
    problem: Problem
    search: Problem
    ascent: Ascent
    memory: Memory | None


def _wanted(problem: Problem, domains: Domains, r: int, chosen: bool) -> Tensor:
    """Which columns of ReLU r, counted within it, some domain has unstable (and, with ``chosen``, some domain chose)."""
    at = problem.columns.place[r]
    wanted = ((domains.low[:, at] < 0) & (domains.high[:, at] > 0)).any(0)
    if chosen:
        named = torch.zeros(problem.columns.count, dtype=torch.bool)
        named[domains.choices[domains.choices >= 0]] = True
        wanted &= named[at]
    return wanted.nonzero().squeeze(1)


def _layer(work: _Work, domains: Domains, r: int, wanted: Tensor) -> Domains:
    at = work.problem.columns.place[r]
    low, high = domains.low.clone(), domains.high.clone()
    total = sum(math.prod(node.shape) for node in work.problem.network.nodes)
    rows = max(1, MEMORY_BYTES // (16 * 4 * total))
    for some in torch.arange(len(domains)).split(max(1, rows // (2 * len(wanted)))):
        for columns in wanted.split(max(1, rows // (2 * len(some)))):
            if work.ascent.late:
                break
            found, below, negated = _both(work, domains, some, r, columns)
            if work.problem.tree is not None:
                below, negated = _recorded(work.problem, domains.select(some), (r, columns), found, (below, negated))
            place = (some[:, None], at.start + columns[None, :])
            low[place] = torch.maximum(low[place], below)
            high[place] = torch.minimum(high[place], -negated)
    return implied(replace(domains, low=low, high=high))


def _recorded(
    problem: Problem, part: Domains, where: tuple[int, Tensor], found: Proposal, sides: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The bounds that the problem's tree will hold: those that gain something; the others become -inf.

    They are a little lower than what was found: whoever checks them pays for other roundings than we do, and must not
    find a neuron unstable whose phase we use.
    """
    r, columns = where
    tree, at = problem.tree, problem.columns.place[r]
    assert tree is not None
    node = problem.network.nodes[r].inputs[0]
    room = ROOM * problem.bounds.values[node].magnitude()[0].flatten()[problem.columns.index[r][columns]]
    low, high = part.low[:, at][:, columns], part.high[:, at][:, columns]
    least = GAIN * (high - low)
    below, negated = (side - room for side in sides)
    below = torch.where(below > low + least, below, -torch.inf)
    negated = torch.where(-negated < high - least, negated, -torch.inf)
    held = torch.cat([below, negated], 1).isfinite()
    one = torch.cat([at.start + columns, at.start + columns])
    sign = torch.ones(len(columns), dtype=torch.long)
    for k, name in enumerate(part.part.tolist()):
        rows = held[k].nonzero().squeeze(1)
        if len(rows):
            alpha, beta = (_packed(problem, values, k, rows) for values in (found.alpha, found.beta))
            signed = beta.clamp(min=0) * part.phase[k]
            chosen = one[rows], torch.cat([sign, -sign])[rows]
            tree.lemma(name, chosen, (alpha, signed, found.mix[k, rows].clamp(min=0)))
    return below, negated


def _packed(problem: Problem, values: dict[int, Tensor], domain: int, rows: Tensor) -> Tensor:
    """Multipliers of some rows of one domain over all columns, (len(rows), R), 0 where there are none."""
    whole = torch.zeros(len(rows), problem.columns.count, dtype=torch.float64)
    for r, t in values.items():
        whole[:, problem.columns.place[r]] = t[domain, rows].double()
    return whole


def _both(work: _Work, domains: Domains, some: Tensor, r: int, columns: Tensor) -> tuple[Proposal, Tensor, Tensor]:
    """Lower bounds (len(some), k) of the pre-activations in ``columns`` of ReLU r, and of their negations; the multipliers."""
    problem, search, part = work.problem, work.search, domains.select(some)
    neurons, count = problem.columns.index[r][columns], len(columns)
    node = problem.network.nodes[r].inputs[0]
    shape = problem.network.nodes[node].shape
    one_hot = torch.zeros(1, 2 * count, math.prod(shape), dtype=torch.float64)
    one_hot[0, torch.arange(count), neurons] = 1.0
    one_hot[0, count + torch.arange(count), neurons] = -1.0
    one_hot = one_hot.unflatten(2, shape)
    width = problem.columns.index[r].numel()
    rows = torch.cat([columns, width + columns])
    start = None
    if work.memory is not None and _fits(work.memory, domains, r, width):
        if r not in work.memory.forms:
            work.memory.forms[r] = _fresh(search, domains, 2 * width)
        start = _rows(_picked(work.memory.forms[r], some), rows)
    start = _fresh(search, part, 2 * count) if start is None else start
    pre = intervals(search, part)[r]
    phased = {k for k, where in search.columns.place.items() if bool((part.phase[:, where] != 0).any())}
    pace = _pace(search, part, pre, neurons)
    start = replace(
        start,
        beta={k: b for k, b in start.beta.items() if k in phased},
        mix=torch.maximum(start.mix, LEAST * pace),
        pace=pace,
    )
    found = climbed(search, part, start, work.ascent, also={node: one_hot.float()})
    if problem.tree is not None:
        found = stored(found)
    if work.memory is not None and r in work.memory.forms:
        _kept(work.memory.forms[r], found, some, rows)
    lower = form_bound(problem, part, found, pre=intervals(problem, part), also={node: one_hot})
    below, negated = lower.chunk(2, dim=1)
    return found, below, negated


def _fresh(search: Problem, domains: Domains, rows: int) -> Proposal:
    """Where a first search starts: the slopes of the domain's own form, no other multipliers."""
    place, N = search.columns.place, len(domains)
    return Proposal(
        {k: domains.alpha[:, None, at].float().repeat(1, rows, 1) for k, at in place.items()},
        {k: torch.zeros(N, rows, at.stop - at.start) for k, at in place.items()},
        torch.zeros(N, rows, domains.mix.shape[1]),
    )


def _fits(memory: Memory, domains: Domains, r: int, width: int) -> bool:
    """Whether the multipliers of the forms of ReLU r are remembered, or fit the memory, one layer a quarter of it at most."""
    size = len(domains) * 2 * width * domains.alpha.shape[1] * 8
    return r in memory.forms or (size <= MEMORY_BYTES // 4 and size + memory.bytes <= MEMORY_BYTES)


def _picked(p: Proposal, index: Tensor) -> Proposal:
    """The proposal for the domains ``index``."""
    return Proposal({k: a[index] for k, a in p.alpha.items()}, {k: b[index] for k, b in p.beta.items()}, p.mix[index])


def _rows(p: Proposal, rows: Tensor) -> Proposal:
    """The proposal for the forms ``rows``."""
    alpha, beta = ({k: t[:, rows] for k, t in part.items()} for part in (p.alpha, p.beta))
    return Proposal(alpha, beta, p.mix[:, rows])


def _kept(into: Proposal, found: Proposal, some: Tensor, rows: Tensor) -> None:
    place = (some[:, None], rows[None, :])
    for old, new in ((into.alpha, found.alpha), (into.beta, found.beta)):
        for k, t in new.items():
            old[k][place] = t.to(old[k].dtype)
    into.mix[place] = found.mix


def _pace(search: Problem, domains: Domains, pre: Interval, neurons: Tensor) -> Tensor:
    """The size of a useful weight of the clause's rows, (N, 2k, J): the neuron's range over the row's.

    A row reaches from its bound to what it is in the middle of the region, about.
    """
    middle = search.network((search.region.lower + search.region.upper) / 2)[0]
    row = (search.C[domains.clause] @ middle + search.d[domains.clause]).abs()
    row = row - domains.lower.float().clamp(min=-1e30, max=0).unsqueeze(1)
    width = (pre.upper - pre.lower).flatten(1)[:, neurons]
    return torch.cat([width, width], 1).unsqueeze(2) / row.clamp(min=1e-6).unsqueeze(1)
