"""Old multipliers, new network: a certificate of one network replayed on another of the same shape.

Any slopes in [0, 1] and any multipliers >= 0 prove something, whatever network they were found for. On a network that was
fine-tuned, pruned or quantised they often prove the same claim, for the price of a check.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from verify.certificate import Certificate, Refused
from verify.check.container import MAX_BYTES, read_container
from verify.check.reasons import Rejected, Unreadable
from verify.errors import LoadError
from verify.network import Network
from verify.proof.certificate import finished
from verify.proof.container import DTYPES, Array


def transfer(old: bytes, network: Network) -> Certificate | Refused:
    """A certificate with the claim and the multipliers of ``old`` about ``network``, if the checker accepts that.

    Trusted: nothing of the old one; every bound is derived anew. Raises LoadError for bytes that are no certificate.
    """
    try:
        stored = read_container(old, max_bytes=MAX_BYTES, form="reluproof certificate")
        arrays = {name: stored.array(name, " ".join(DTYPES.values()), None, name) for name in stored.arrays}
    except (Rejected, Unreadable) as error:
        raise LoadError(f"not a certificate: {error}") from None
    body = json.loads(json.dumps(stored.document))  # the reader's own stays as it is
    claim, steps = (_filled(body.get(key), arrays) for key in ("claim", "steps"))
    claimed = claim.get("margins") if isinstance(claim, dict) else None
    if not isinstance(claim, dict) or not isinstance(claimed, np.ndarray) or not isinstance(steps, list):
        raise LoadError("not a certificate: it has no claim, no margins or no steps")
    found = finished(network, claim, steps, claimed.size)
    return found if isinstance(found, Certificate) else Refused(found.reason)


def _filled(value: Any, arrays: Mapping[str, Array]) -> Any:
    """The document's part with arrays in place of their names. A name of no array stays, and is for the checker to refuse."""
    if isinstance(value, dict):
        return {
            k: arrays.get(v, v) if k in _KEYS and isinstance(v, str) else _filled(v, arrays) for k, v in value.items()
        }
    return [_filled(v, arrays) for v in value] if isinstance(value, list) else value


# Keys whose text is an array's name; all other texts are words.
_KEYS = {
    *("lower", "upper", "centre", "region_of", "rows", "C", "d", "margins", "neurons", "sides", "clauses"),
    *("at", "value", "row", "mix", "shape", "relu", "neuron", "cut"),
}
