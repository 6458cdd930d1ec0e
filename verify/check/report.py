"""Check one certificate against one network: bytes in, a report out, with the claim in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from typing import Any

import numpy as np

from verify.check.arithmetic import arithmetic_called
from verify.check.container import MAGIC, MAX_BYTES, decompressed, read_container
from verify.check.forms import Numbers, Rejected, Unreadable, read, require
from verify.check.network import Node, build
from verify.check.steps import begun

_CLAIM = {"network": {"identity": str, "file?": str}, "semantics": {"real", "float32"}, "label?": int, "parts": list}
_DOCUMENT = {"claim": _CLAIM, "steps": list, "made_by": {"program": str, "version?": str}}
_MEANING = {
    "real": "as the function that its stored numbers define in real arithmetic",
    "float32": "as executed in IEEE float32, in any order of summation, for float32 inputs",
}


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
    except (Rejected, Unreadable) as reason:
        return Report(False, str(reason), readable=isinstance(reason, Rejected))
    except MemoryError:
        return Report(False, "there is not enough memory for what the files hold", readable=False)


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


def _checked(certificate: bytes, network: bytes, arithmetic: str, max_bytes: int) -> Report:
    numbers = arithmetic_called(arithmetic)
    document = read_container(decompressed(certificate, max_bytes), "reluproof certificate")
    try:
        nodes, kind, digest = read_network(network, max_bytes)
    except Rejected as reason:
        raise Unreadable(f"the network: {reason}") from None
    document = read(_DOCUMENT, document, "the document")
    claim, steps, semantics = document["claim"], document["steps"], document["claim"]["semantics"]
    word, claimed, label = {"identity": "network"}.get(kind, kind), claim["network"].get(kind), claim.get("label")
    require(claimed == digest, f"the claim is about the {word} {claimed!r:.80}, this one is {digest}")
    parts = [_part(part, f"part {k} of the claim", nodes[-1].size, label) for k, part in enumerate(claim["parts"])]
    require(parts and (label is None or len(parts) == 1), f"the claim has {len(parts)} parts, not one, or none")
    require(len(steps) == len(parts), f"there are steps of {len(steps)} parts, and the claim has {len(parts)}")
    lines, margins, lemmas, leaves, clause = list[str](), dict[int, float](), 0, 0, 0
    for part, own in zip(parts, steps, strict=True):
        require(type(own) is list, "the steps of a part are not a list")
        proof = begun(numbers, nodes, part, semantics == "float32")
        proof.run(own)
        lines.append(f"for {proof.region.words}:")
        lemmas, leaves = lemmas + proof.lemmas, leaves + proof.leaves
        for k, claimed in enumerate(part["margins"].tolist()):
            name = f"clause {clause}" + ("" if label is None else f" (target {clause + (clause >= label)})")
            lower = proof.frames[0][0, proof.rows[k], 0, 0]
            require(k in proof.refuted or (lower > 0).any(), f"{name} is not refuted by any step")
            require(claimed == 0 or lower[0] >= claimed, f"{name}: derived margin {lower[0]}, claimed {claimed!r}")
            if len(lower) == 1 and lower[0] > 0:
                margins[clause] = float(lower[0])
            said = f"margin at least {margins[clause]!r}" if clause in margins else "refuted, with no number derived"
            lines.append(f"  {name}: {said}")
            clause += 1
    about = f"The network whose {'identity' if kind == 'identity' else 'SHA-256'} is {digest},\n{_MEANING[semantics]},"
    said = "satisfies no clause" if label is None else f"gives label {label} a larger output than any other label"
    words = "\n".join([about, said, *lines])
    return Report(True, "every clause is refuted", True, words, margins, digest, semantics, arithmetic, lemmas, leaves)


def _part(entry: Any, what: str, outputs: int, label: int | None) -> dict[str, Any]:
    """A part of a claim: no x of a region satisfies a clause, ``C[j] f(x) + d[j] <= 0`` in each of its rows j."""
    form = {"rows": Numbers("I32", (None,), 1), "C": Numbers("F64", (None, outputs)), "d": Numbers("F64", (None,))}
    part: dict[str, Any] = read({"region": dict, **form, "margins": Numbers("F32", (None,), 0)}, entry, what)
    rows, C, d, margins = (part[key] for key in ("rows", "C", "d", "margins"))
    require(len(rows) and len(rows) == len(margins), f"{what} has {len(rows)} clauses and {len(margins)} margins")
    require(len(C) == len(d) == rows.sum(), f"{what} has {len(C)} and {len(d)} rows of C and d, not {rows.sum()}")
    require(not margins[rows > 1].any(), f"{what} claims a margin of a clause of several rows")
    if label is not None:
        good = 0 <= label < outputs == len(C) + 1 and (rows == 1).all() and not d.any()
        good = good and (np.delete(np.eye(outputs)[label] - np.eye(outputs), label, axis=0) == C).all()
        require(good, f"C and d are not those of label {label} against all others, in increasing order")
    return part
