"""From a query to a margin table: certify, evaluate points from above, and put the two together."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from verify.attack.pgd import PGD, lowest_margins
from verify.bounds.nouns import count_relus
from verify.certify.answer import Answer
from verify.certify.methods import Method, method_named
from verify.certify.options import Options
from verify.certify.team import Team
from verify.errors import UsageError
from verify.representable import representable
from verify.specification import Query
from verify.verdict import Counterexample, Layers, MarginTable
from verify.witness import confirm, upper_margins

SCATTERED = 64  # points around the lowest one, whose executions are looked at
REACH = 2.0**-18  # how far around, relative to each entry: some float32 numbers on both sides


def margin_table(query: Query, method: str, options: Options) -> tuple[MarginTable, list[Counterexample | None]]:
    """The margins of every input and row by ``method``, and a checked counterexample for each input that has one.

    Lower bounds as the certifier recomputes or claims them; upper bounds are values at points that were evaluated.
    """
    name, chosen = method_named(method)
    _require_claimable(query, name, chosen)
    parts, found = [], []
    with Team(query.network, options.workers) as team:
        for index in torch.arange(query.region.count).split(chosen.batch):
            part, witnesses = _batch(query.select(index), name, chosen, replace(options, team=team))
            parts.append(part)
            found.extend(witnesses)
    return _joined(parts), found


def proved_bounds(query: Query, method: str, options: Options) -> Tensor:
    """The recomputed lower bounds of every input and row, (B, S), without any point to compare them with."""
    name, chosen = method_named(method)
    _require_claimable(query, name, chosen)
    parts = torch.arange(query.region.count).split(chosen.batch)
    with Team(query.network, options.workers) as team:
        return torch.cat(
            [
                chosen.certify(query.select(index), _started(replace(options, team=team), len(index))).proved
                for index in parts
            ]
        )


def _require_claimable(query: Query, name: str, method: Method) -> None:
    if method.claims and query.network.semantics != "real":
        raise UsageError(
            f"method {name!r} rests on a solver's claim about real arithmetic, and semantics is "
            f"{query.network.semantics!r}: choose another method, such as complete or lp"
        )


def _started(options: Options, inputs: int) -> Options:
    """The options with the deadline that their timeout means for ``inputs`` inputs from now on."""
    if options.timeout is None:
        return options
    return replace(options, deadline=time.perf_counter() + options.timeout * inputs)


def _batch(
    query: Query, name: str, method: Method, options: Options
) -> tuple[MarginTable, list[Counterexample | None]]:
    begun = time.perf_counter()
    options = _started(options, query.region.count)
    answer = method.certify(query, options)
    upper, points = upper_bounds(query, answer, options)
    seconds = time.perf_counter() - begun
    after = (seconds - sum(answer.spent)) / query.region.count  # evaluating points is everybody's
    table = MarginTable(
        method=name,
        targets=query.specification.targets.expand(query.region.count, -1),
        lower=answer.lower,
        proved=answer.proved,
        upper=upper,
        seconds=seconds,
        reason=answer.reason,
        layers=count_relus(query.network, answer.bounds),
        trust_solver=options.trust_solver,
        reasons=answer.reasons,
        spent=tuple(own + after for own in answer.spent),
    )
    return table, confirm(query, points)


def upper_bounds(query: Query, answer: Answer, options: Options) -> tuple[Tensor, Tensor]:
    """Margins at evaluated points, rounded up: (B, S), and for each input the point of its lowest margin.

    A short attack on every row from the middle of the region, a longer one on inputs that are still open, and the
    certifier's own points. The middle of the region itself is always evaluated, so no entry is infinite.
    """
    upper = torch.full_like(answer.lower, torch.inf)
    best = query.region.project((query.region.lower + query.region.upper) / 2)
    lowest = torch.full_like(upper[:, 0], torch.inf)

    def consider(candidates: Tensor, index: Tensor) -> None:
        found = upper_margins(query.select(index), candidates)
        upper[index] = torch.minimum(upper[index], found)
        better = found.amin(1) < lowest[index]
        lowest[index] = torch.where(better, found.amin(1), lowest[index])
        best[index[better]] = candidates[better]

    everyone = torch.arange(query.region.count)
    consider(best.clone(), everyone)
    for points in answer.points:
        consider(representable(query.region, points), everyone)
        spoiled = (lowest > 0).nonzero().squeeze(1)  # a counterexample may be one in float64 alone
        if len(spoiled):
            consider(points[spoiled], spoiled)
    quick = PGD(steps=20, starts=1, seed=options.seed, deadline=options.deadline)
    thorough = PGD(steps=40, starts=4, seed=options.seed, deadline=options.deadline)
    for attack in (quick, thorough):
        open_ = everyone if attack is quick else everyone[(lowest > 0) & (answer.proved.amin(1) <= 0)]
        if len(open_):
            part = query.select(open_)
            points, _ = lowest_margins(part, attack)
            for k in range(points.shape[1]):
                consider(representable(part.region, points[:, k]), open_)
    open_ = everyone[(lowest > 0) & (answer.proved.amin(1) <= 0)]
    if query.network.semantics == "float32" and len(open_):
        # Executions scatter by roundings, so the lowest of many points around the best one is lower still.
        part, generator = query.select(open_), torch.Generator().manual_seed(options.seed)
        for _ in range(SCATTERED):
            step = torch.rand(best[open_].shape, generator=generator, dtype=best.dtype) * 2 - 1
            consider(representable(part.region, best[open_] * (1.0 + REACH * step)), open_)
    return upper, best


def _joined(parts: list[MarginTable]) -> MarginTable:
    if len(parts) == 1:
        return parts[0]
    layers: Layers = {}
    for part in parts:
        for name, counts in part.layers.items():
            a, b = layers.get(name, (0, 0, 0)), counts
            layers[name] = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
    reasons = [part.reason for part in parts]
    return replace(
        parts[0],
        targets=torch.cat([p.targets for p in parts]),
        lower=torch.cat([p.lower for p in parts]),
        proved=torch.cat([p.proved for p in parts]),
        upper=torch.cat([p.upper for p in parts]),
        seconds=sum(p.seconds for p in parts),
        reason="timeout" if "timeout" in reasons else reasons[0],
        layers=layers,
        reasons=tuple(part.reason_of(i) for part in parts for i in range(len(part.lower))),
        spent=tuple(seconds for part in parts for seconds in part.spent),
    )
