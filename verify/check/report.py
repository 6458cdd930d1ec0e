"""Check one certificate against one network: bytes in, a report out."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module

import numpy as np

from verify.check.arithmetic import ARITHMETICS
from verify.check.claim import fits_network, in_words, read_claim
from verify.check.container import MAX_BYTES, is_container, read_container
from verify.check.network import Node, build, from_container
from verify.check.reasons import Rejected, Unreadable, fields, require
from verify.check.steps import run_steps


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
    if arithmetic not in ARITHMETICS:
        raise Unreadable(f"arithmetic {arithmetic!r}; there are {', '.join(ARITHMETICS)}")
    numbers = ARITHMETICS[arithmetic]()
    container = read_container(certificate, max_bytes=max_bytes, form="reluproof certificate")
    try:
        nodes, identity = _network(network, max_bytes)
    except Rejected as reason:
        raise Unreadable(f"the network: {reason}") from None
    document = fields(container.document, ("format", "version", "content", "claim", "steps", "made_by"))
    made_by = document["made_by"]
    require(
        type(made_by) is dict and all(type(text) is str for text in made_by.values()),
        "made_by is not an object of texts",
    )
    content = container.content()
    require(document["content"] == content, f"content is {document['content']!r:.80}, and the file's is {content}")
    file = sha256(network).hexdigest()
    about = fits_network(container, identity, file)
    claim = read_claim(container, nodes)
    proof = run_steps(numbers, nodes, claim, container)
    return Report(
        True,
        "every clause is refuted",
        words=in_words(claim, about, proof.words, proof.margins),
        margins=dict(sorted(proof.margins.items())),
        network=identity or file,
        semantics="float32" if claim.float32 else "real",
        arithmetic=numbers.name,
        lemmas=proof.lemmas,
        leaves=proof.leaves,
    )


def _network(data: bytes, max_bytes: int) -> tuple[list[Node], str | None]:
    """The nodes, and their identity when they come from a network file."""
    if is_container(data):
        return from_container(read_container(data, max_bytes=max_bytes, form="reluproof network"))
    try:
        raw = import_module("verify.check.onnx_reader").read(data, limit=max_bytes)
    except (ValueError, ImportError) as error:
        raise Unreadable(f"the network is neither a network file nor ONNX that can be read: {error!s:.300}") from None
    return build(raw), None
