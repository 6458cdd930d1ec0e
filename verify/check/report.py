"""Check one certificate against one network: bytes in, a report out."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module

import numpy as np

from verify.check.arithmetic import arithmetic_called
from verify.check.claim import read_claim
from verify.check.container import MAGIC, MAX_BYTES, decompressed, read_container
from verify.check.forms import Rejected, Unreadable, read, require
from verify.check.network import Node, build
from verify.check.steps import begun

_DOCUMENT = {"claim": dict, "steps": list, "made_by": {"program": str, "version?": str}}


@dataclass(frozen=True)
class Report:
    """``accepted``, with what was derived; or not, with the ``reason``. ``readable`` is false when there was nothing to check."""

    accepted: bool
    reason: str
    readable: bool = True
    words: str = ""  # the claim, for people
    margins: dict[int, float] = field(default_factory=dict)  # derived, by clause
    network: str = ""  # the SHA-256 that the network was recognised by
    semantics: str = ""
    arithmetic: str = ""
    lemmas: int = 0
    leaves: int = 0


def check(certificate: bytes, network: bytes, *, arithmetic: str = "float64", max_bytes: int = MAX_BYTES) -> Report:
    """Whether ``certificate`` proves its claim about ``network`` (a network file or ONNX), derived anew in this arithmetic.

    ``max_bytes`` limits each file after decompression. Every reason not to accept is in the report; nothing is raised.
    """
    try:
        with np.errstate(all="ignore"):
            return _checked(certificate, network, arithmetic, max_bytes)
    except Rejected as reason:
        return Report(False, str(reason))
    except Unreadable as reason:
        return Report(False, str(reason), readable=False)
    except MemoryError:
        return Report(False, "there is not enough memory for what the files hold", readable=False)


def _checked(certificate: bytes, network: bytes, arithmetic: str, max_bytes: int) -> Report:
    numbers = arithmetic_called(arithmetic)
    document = read_container(decompressed(certificate, max_bytes), "reluproof certificate")
    try:
        nodes, kind, digest = read_network(network, max_bytes)
    except Rejected as reason:
        raise Unreadable(f"the network: {reason}") from None
    document = read(_DOCUMENT, document, "the document")
    claim, steps = read_claim(document["claim"], nodes[-1].size, kind, digest), document["steps"]
    require(
        len(steps) == len(claim.parts), f"there are steps of {len(steps)} parts, and the claim has {len(claim.parts)}"
    )
    regions, margins, lemmas, leaves, clause = list[str](), dict[int, float](), 0, 0, 0
    for part, own in zip(claim.parts, steps, strict=True):
        proof = begun(numbers, nodes, part, claim.semantics == "float32")
        proof.run(own)
        regions, lemmas, leaves = [*regions, proof.region.words], lemmas + proof.lemmas, leaves + proof.leaves
        for k, claimed in enumerate(part.margins.tolist()):
            name, lower = claim.name(clause), proof.lower(k)
            require(k in proof.refuted or (lower > 0).any(), f"{name} is not refuted by any step")
            require(claimed == 0 or lower[0] >= claimed, f"{name}: derived margin {lower[0]}, claimed {claimed!r}")
            margins |= {clause: float(lower[0])} if len(lower) == 1 and lower[0] > 0 else {}
            clause += 1
    return Report(
        True,
        "every clause is refuted",
        words=claim.words(regions, margins),
        margins=margins,
        network=digest,
        semantics=claim.semantics,
        arithmetic=arithmetic,
        lemmas=lemmas,
        leaves=leaves,
    )


def read_network(data: bytes, max_bytes: int = MAX_BYTES) -> tuple[list[Node], str, str]:
    """The nodes of a file, and its hash: the identity of a network file, or that of ``data``, which is another file."""
    raw = decompressed(data, max_bytes)
    if raw[:8] == MAGIC:
        nodes = read({"nodes": list}, read_container(raw, "reluproof network"), "the document")["nodes"]
        return build(nodes), "identity", sha256(raw).hexdigest()
    try:
        nodes = import_module("verify.check.onnx_reader").read(raw, limit=max_bytes)
    except (Unreadable, ImportError) as error:
        raise Unreadable(f"the network is neither a network file nor ONNX that can be read: {error!s:.300}") from None
    return build(nodes), "file", sha256(data).hexdigest()
