"""The certificate of a verified query: made of what was recorded, accepted by the checker before anybody sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from verify.certificate import Certificate, Refused
from verify.check import Report, check
from verify.network import Network
from verify.proof.canonical import canonical
from verify.proof.claim import below, claim_of
from verify.proof.document import document
from verify.proof.recorder import Recorder
from verify.property import Clause


def certified(
    network: Network, clauses: Sequence[Clause], records: Sequence[Recorder], *, label: int | None = None
) -> Certificate | Refused:
    """The certificate that none of ``clauses`` is satisfied, from the record of each region, if the checker accepts it.

    Trusted: nothing; the checker derives every bound from the network's canonical file and the multipliers. The margins
    that it derived are then claimed, rounded down to float32.
    """
    claim = claim_of(network, clauses, [record.clauses for record in records], label=label)
    steps = [step for g, record in enumerate(records) for step in ({"op": "region", "number": g}, *record.steps)]
    file = canonical(network)
    report = check(document(claim, steps, made_by()), file)
    if not report.accepted:
        missing = "; ".join(why for record in records for why in record.missing)
        return Refused(missing or f"the checker did not accept the certificate: {report.reason}")
    return Certificate(document(claim | {"margins": margins(report, len(clauses))}, steps, made_by()), report)


def margins(report: Report, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What may be claimed of each clause: the derived margin rounded down, or 0, which claims no number."""
    return np.array([below(report.margins.get(k, 0.0)) for k in range(count)], dtype=np.float32)


def made_by() -> Mapping[str, str]:
    """Who wrote the certificate; nothing rests on it."""
    try:
        version = metadata.version("reluproof")
    except metadata.PackageNotFoundError:  # run from a checkout
        version = "unknown"
    return {"program": "reluproof", "version": version}
