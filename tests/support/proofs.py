"""Certificates that the library wrote, taken apart, changed and put together again with their hash made anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verify
from support.certificates import File
from verify.check import Report, check
from verify.check.container import MAX_BYTES, decompressed, read_container
from verify.network import Network
from verify.proof.canonical import canonical

ARITHMETICS = ("float64", "exact")


def opened(data: bytes) -> File:
    """The document and the arrays of a certificate, which may be changed."""
    file = File(read_container(decompressed(data, MAX_BYTES), "reluproof certificate"))
    file.document["format"] = "reluproof certificate"
    return file


def steps(data: bytes, op: str) -> list[dict[str, Any]]:
    """The steps of this kind: their op, ``boxes`` for trees that derive intervals."""
    return [step for part in opened(data).document["steps"] for step in part if _kind(step) == op]


def ops(data: bytes) -> list[str]:
    """The kind of every step; of those inside an assumed clause with ``in `` before it."""
    found = []
    for part in opened(data).document["steps"]:
        open_ = 0
        for step in part:
            open_ += {"assume": 1, "split": 1, "tree": -1}.get(step["op"], 0)
            found.append(f"in {_kind(step)}" if open_ or step["op"] == "tree" else _kind(step))
    return found


def _kind(step: dict[str, Any]) -> str:
    return "boxes" if "derive" in step else step["op"]


def reports(certificate: Any, network: Network) -> Iterator[Report]:
    """What the checker says in each arithmetic, given the canonical file."""
    assert isinstance(certificate, verify.Certificate), certificate
    for arithmetic in ARITHMETICS:
        yield check(certificate.data, canonical(network), arithmetic=arithmetic)


def accepted(certificate: Any, network: Network) -> Report:
    """The exact report; both must accept, and the float64 margins be no higher."""
    rounded, exact = reports(certificate, network)
    assert rounded.accepted and exact.accepted, rounded.reason + exact.reason
    assert rounded.margins.keys() == exact.margins.keys()
    return exact
