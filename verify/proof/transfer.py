"""Old multipliers, new network: a certificate of one network replayed on another of the same shape.

Any slopes in [0, 1] and any multipliers >= 0 prove something, whatever network they were found for. On a network that was
fine-tuned, pruned or quantised they often prove the same claim, for the price of a check.
"""

from __future__ import annotations

import numpy as np

from verify.certificate import Certificate, Refused
from verify.check.container import MAX_BYTES, decompressed, read_container
from verify.check.forms import Unreadable
from verify.errors import LoadError
from verify.network import Network
from verify.proof.certificate import finished


def transfer(old: bytes, network: Network) -> Certificate | Refused:
    """A certificate with the claim and the multipliers of ``old`` about ``network``, if the checker accepts that.

    Trusted: nothing of the old one; every bound is derived anew. Raises LoadError for bytes that are no certificate.
    """
    try:
        body = read_container(decompressed(old, MAX_BYTES), "reluproof certificate")
    except Unreadable as error:
        raise LoadError(f"not a certificate: {error}") from None
    claim, steps = body.get("claim"), body.get("steps")
    parts = claim.get("parts") if isinstance(claim, dict) else None
    good = isinstance(parts, list) and all(isinstance(p, dict) and isinstance(p.get("rows"), np.ndarray) for p in parts)
    if not isinstance(claim, dict) or not good or not isinstance(steps, list):
        raise LoadError("not a certificate: it has no claim, no parts of one or no steps")
    found = finished(network, claim, steps)
    return found if isinstance(found, Certificate) else Refused(found.reason)
