"""The claim about each input that a certificate would make, and whether evidence that somebody kept proves or refutes it.

Kept evidence is never believed. A certificate counts when it makes this very claim about this very network and the independent
checker accepts it; a point counts when it is inside the region and the network is evaluated to misclassify it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch

from verify.certify.api import batch_of, classification_query, predictions
from verify.check import Report, check
from verify.check.container import MAX_BYTES, decompressed, read_container
from verify.check.forms import Unreadable
from verify.errors import UsageError
from verify.executed import meant
from verify.network import Network, Semantics
from verify.proof.canonical import canonical
from verify.proof.claim import claim_of
from verify.proof.container import container
from verify.property import rows_as_clauses
from verify.specification import Query
from verify.verdict import Counterexample
from verify.witness import confirm


@dataclass(frozen=True, eq=False)
class Claim:
    """Every point of the region of ``query`` (one input) is classified as ``label``; the input itself is as ``predicted``.

    ``digest``: SHA-256 of all of it but the network; ``identity``: of the network's canonical ``file``.
    """

    query: Query
    label: int
    predicted: int
    digest: str
    identity: str
    file: bytes


def claims(
    network: Network,
    x: Any,
    labels: Sequence[int],
    *,
    epsilon: Fraction | float | str,
    clip: tuple[float | str, float | str] | None = None,
    norm: str = "linf",
    semantics: Semantics = "real",
) -> list[Claim]:
    """The claims about the inputs (N, *shape); arguments and errors are those of :func:`verify.certify_batch`."""
    network = meant(network, semantics)
    inputs, classes = batch_of(network, x), torch.as_tensor(labels)
    query = classification_query(network, inputs, classes, epsilon=epsilon, clip=clip, norm=norm)
    predicted = torch.cat([predictions(network, part) for part in inputs.split(256)])
    file = canonical(network)
    identity = hashlib.sha256(file).hexdigest()
    found = []
    for i, (label, got) in enumerate(zip(classes.tolist(), predicted.tolist(), strict=True)):
        one = query.select(torch.tensor([i]))
        found.append(Claim(one, label, got, _digest(_asked(one, label)), identity, file))
    return found


def recheck(claim: Claim, certificate: bytes) -> Report:
    """The checker's report on ``certificate``, which is not accepted either where it claims anything but ``claim``.

    Its margins are those that the certificate claims and the checker derived at least: the same on every machine.
    Recomputed: everything, by the independent checker, from the network and the certificate's multipliers. Trusted: nothing.
    """
    try:
        made = read_container(decompressed(certificate, MAX_BYTES), "reluproof certificate").get("claim")
    except Unreadable as error:
        return Report(False, str(error), readable=False)
    if not isinstance(made, dict) or _digest(_question(made)) != claim.digest:
        return Report(False, "it makes another claim: of another region, label or semantics")
    report = check(certificate, claim.file)
    if not report.accepted:
        return report
    claimed = enumerate(made["parts"][0]["margins"].tolist())
    return replace(report, margins={clause: margin for clause, margin in claimed if margin > 0})


def refuted(claim: Claim, point: Any) -> Counterexample | None:
    """The counterexample that ``point`` is, by evaluating it; None where it is outside the region or classified as claimed."""
    try:
        x = batch_of(claim.query.network, point, single=True)
    except (UsageError, TypeError, ValueError):
        return None
    return confirm(claim.query, x)[0] if bool(torch.isfinite(x).all()) else None


def _question(made: dict[str, Any]) -> dict[str, Any]:
    """What is asked, without what a certificate says beyond it: which network, and how large the margins are."""
    parts = made.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return {}
    asked = [{key: value for key, value in part.items() if key != "margins"} for part in parts]
    return {**{key: value for key, value in made.items() if key != "network"}, "parts": asked}


def _asked(query: Query, label: int) -> dict[str, Any]:
    clauses = rows_as_clauses(query).clauses
    return claim_of(query.network, clauses, [range(len(clauses))], label=label)


def _digest(asked: dict[str, Any]) -> str:
    """SHA-256 of the claim as a file would hold it: equal claims have equal ones."""
    return hashlib.sha256(container({"claim": asked})).hexdigest()
