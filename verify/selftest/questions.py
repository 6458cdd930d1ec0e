"""Questions whose answer is known: random ones, ones with a planted counterexample, ones that are hardly true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from verify.exact_evaluation import exact_rows, exact_scores
from verify.executed import executed, meant
from verify.floating import float_below
from verify.network import Network, Semantics
from verify.region import ball
from verify.representable import representable
from verify.selftest.networks import CLASSES, KINDS, as_stored, cancelling
from verify.selftest.oracle import exact_minima
from verify.specification import Query, Specification, classification

SAMPLES = 16  # points besides the lowest one
HARDLY = (
    1e-6  # the margin of a question that is hardly true: far above the oracle's tolerance, far below any other number
)


@dataclass(frozen=True)
class Question:
    """One input's question. ``attained`` (S,): exact values of the rows at points of the region, the lowest of each.

    ``lowest`` (S,): their minima over the region by enumeration, up to 1e-9: of real arithmetic, and where a linear program
    can tell.
    """

    name: str
    query: Query
    attained: list[Fraction]
    lowest: list[float] | None

    @property
    def semantics(self) -> Semantics:
        """Which functions it is about."""
        return self.query.network.semantics


FLAVOURS = {"random": "0.3", "small": "0.02", "planted": "0.3", "planted at a point": "0", "hardly true": "0.2"}
"""The radius of the ball of each kind of question."""


NETWORKS = {**KINDS, "cancelling": cancelling}
"""What is asked about. Minima are enumerated of all but the last, where linear programs lose their digits."""


def question(generator: torch.Generator, semantics: Semantics, kind: str, flavour: str) -> Question:
    """A question of a flavour (a key of ``FLAVOURS``) about a network of a kind (a key of ``NETWORKS``)."""
    network = as_stored(NETWORKS[kind](generator))
    centre = torch.rand(1, *network.input_shape, generator=generator).double()  # of float32 numbers
    labels = network(centre).argmax(1)
    region = ball(centre, Fraction(FLAVOURS[flavour]), clip=(0, 1))
    query = Query(meant(network, semantics), region, classification(labels, CLASSES))
    minima, where = exact_minima(query)
    points = _points(query, torch.from_numpy(where), generator)
    values = [min(column) for column in zip(*(_rows(query, x) for x in points), strict=True)]
    if flavour not in ("random", "small"):
        row = min(range(len(values)), key=lambda s: values[s])
        shift = HARDLY - float(minima[row]) if flavour == "hardly true" else float_below(-values[row])
        spec = query.specification
        one = Specification(
            spec.C[:, row : row + 1], torch.full((1, 1), shift, dtype=torch.float64), spec.targets[:, row : row + 1]
        )
        query = replace(query, specification=one)
        values, minima = [values[row] + Fraction(shift)], minima[row : row + 1] + shift
    lowest = minima.tolist() if semantics == "real" and kind in KINDS else None
    return Question(f"{flavour}, {kind}, {semantics}", query, values, lowest)


def _points(query: Query, where: Tensor, generator: torch.Generator) -> Tensor:
    """Float32 points of the region: near the minima ``where`` (S, n), and random ones; (k, *shape)."""
    region = query.region
    random = torch.rand(SAMPLES, *region.lower.shape[1:], generator=generator).double()
    random = region.lower + random * (region.upper - region.lower)
    found = torch.cat([where.reshape(-1, *region.lower.shape[1:]), random])
    everywhere = region.select(torch.zeros(len(found), dtype=torch.long))
    found = representable(everywhere, found)
    inside = everywhere.contains(found) & (found == found.float().double()).flatten(1).all(1)
    return found[inside]


def _rows(query: Query, x: Tensor) -> list[Fraction]:
    """The exact values of the rows at a point: in real arithmetic, or of one execution."""
    spec = query.specification
    return exact_rows(spec.C[0], spec.d[0], scores_at(query.network, x))


def scores_at(network: Network, x: Tensor) -> list[Fraction]:
    """The scores at one point (*shape): in real arithmetic, or of torch's execution."""
    if network.semantics == "float32":
        return [Fraction(v) for v in executed(network, x.unsqueeze(0))[0].tolist()]
    found = exact_scores(network, x)
    assert found is not None, "these networks are small, and their numbers are what was stored"
    return found
