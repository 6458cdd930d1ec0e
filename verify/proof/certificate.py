"""The certificate of a verified query: made of what was recorded, accepted by the checker before anybody sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from verify.certificate import Certificate, Refused
from verify.check import Report, check
from verify.network import Network
from verify.proof.canonical import canonical
from verify.proof.claim import below, claim_of
from verify.proof.container import compressed
from verify.proof.document import Step, document
from verify.proof.recorder import Recorder
from verify.property import Clause


def certified(
    network: Network, clauses: Sequence[Clause], records: Sequence[Recorder], *, label: int | None = None
) -> Certificate | Refused:
    """The certificate that none of ``clauses`` is satisfied, from the record of each region, if the checker accepts it."""
    groups = [[place.clause for place in record.places] for record in records]
    claim = claim_of(network, clauses, groups, label=label)
    found = finished(network, claim, [record.steps for record in records])
    if isinstance(found, Certificate):
        return found
    missing = "; ".join(why for record in records for why in record.missing)
    return Refused(missing or f"the checker did not accept the certificate: {found.reason}")


def finished(network: Network, claim: Mapping[str, Any], steps: Sequence[Sequence[Step]]) -> Certificate | Report:
    """The certificate of ``claim`` about ``network``, or the report of the checker that rejects it.

    Trusted: nothing; the checker derives every bound from the network's canonical file and the multipliers. The margins
    that it derived are then claimed, rounded down to float32.
    """
    file = canonical(network)
    hashes = {"identity": hashlib.sha256(file).hexdigest()} | ({"file": network.sha256} if network.sha256 else {})
    whole = {**claim, "network": hashes}
    report = check(document(_claiming(whole, {}), steps, _made_by()), file)
    if not report.accepted:
        return report
    return Certificate(compressed(document(_claiming(whole, report.margins), steps, _made_by())), report)


def _claiming(claim: Mapping[str, Any], margins: Mapping[int, float]) -> dict[str, Any]:
    """The claim with these margins of its clauses, which are numbered through all parts; 0, which claims none, of others."""
    parts, first = [], 0
    for part in claim["parts"]:
        numbers = range(first, first + part["rows"].size)
        own = np.array([below(margins.get(k, 0.0)) for k in numbers], dtype=np.float32)
        parts.append({**part, "margins": own})
        first = numbers.stop
    return {**claim, "parts": parts}


def _made_by() -> Mapping[str, str]:
    """Who wrote the certificate; nothing rests on it."""
    try:
        version = metadata.version("reluproof")
    except metadata.PackageNotFoundError:  # run from a checkout
        version = "unknown"
    return {"program": "reluproof", "version": version}
