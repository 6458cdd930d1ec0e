"""The claim of a certificate: its network, regions, clauses and margins, checked for form and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.forms import Numbers, read, require

Array = NDArray[Any]
_CLAIM = {"network": {"identity": str, "file?": str}, "semantics": {"real", "float32"}, "label?": int, "parts": list}
_MEANING = {
    "real": "as the function that its stored numbers define in real arithmetic",
    "float32": "as executed in IEEE float32, in any order of summation, for float32 inputs",
}


@dataclass(frozen=True)
class Part:
    """No x of ``region`` satisfies a clause: ``C[j] f(x) + d[j] <= 0`` in each of its rows j. ``rows``: how many each has."""

    region: Any  # is read when it is the part's turn
    rows: Array
    C: Array
    d: Array
    margins: Array  # as claimed, by clause


@dataclass(frozen=True)
class Claim:
    """Clauses are numbered through all parts. With a label there is one part, against all other labels."""

    about: str
    semantics: str
    label: int | None
    parts: list[Part]

    def name(self, clause: int) -> str:
        """The clause, as reasons and words call it."""
        return f"clause {clause}" + ("" if self.label is None else f" (target {clause + (clause >= self.label)})")

    def words(self, regions: list[str], margins: dict[int, float]) -> str:
        """What was proved, for a reader who has not seen the file: ``regions`` in words, and ``margins`` as derived."""
        lines = [f"The network {self.about},\n{_MEANING[self.semantics]},"]
        lines += ["satisfies no clause:" if self.label is None else f"gives label {self.label} the largest output:"]
        clause = 0
        for number, (part, region) in enumerate(zip(self.parts, regions, strict=True)):
            lines.append(f"region {number}, {region}")
            for clause in range(clause, clause + len(part.rows)):
                derived = margins.get(clause, 0.0)
                found = f"margin at least {derived!r}" if derived > 0 else "refuted, with no number derived"
                lines.append(f"  {self.name(clause)}: {found}")
            clause += 1
        return "\n".join(lines)


def read_claim(entry: Any, outputs: int, kind: str, digest: str) -> Claim:
    """The claim of a certificate, for a network with so many outputs whose ``identity`` or ``file`` has this SHA-256."""
    given = read(_CLAIM, entry, "the claim")
    word, claimed = {"identity": "network"}.get(kind, kind), given["network"].get(kind)
    require(claimed == digest, f"the claim is about the {word} {claimed!r:.80}, this one is {digest}")
    parts, label = (
        [_part(part, f"part {k} of the claim", outputs) for k, part in enumerate(given["parts"])],
        given.get("label"),
    )
    require(parts, "the claim has no parts")
    if label is not None:
        require(
            0 <= label < outputs and len(parts) == 1, f"label {label} of {outputs} outputs, and {len(parts)} regions"
        )
        C = np.delete(np.eye(outputs)[label] - np.eye(outputs), label, axis=0)
        good = np.array_equal(parts[0].C, C) and (parts[0].rows == 1).all() and not parts[0].d.any()
        require(good, f"C and d are not those of label {label} against all others, in increasing order")
    about = f"whose identity is {digest}" if kind == "identity" else f"in the file with the SHA-256 {digest}"
    return Claim(about, given["semantics"], label, parts)


def _part(entry: Any, what: str, outputs: int) -> Part:
    form = {"rows": Numbers("I32", (None,), 1), "C": Numbers("F64", (None, outputs)), "d": Numbers("F64", (None,))}
    part = Part(**read({"region": dict, **form, "margins": Numbers("F32", (None,), 0)}, entry, what))
    rows, count = int(part.rows.sum()), len(part.rows)
    require(count and count == len(part.margins), f"{what} has {count} clauses and {len(part.margins)} margins")
    require(
        len(part.C) == len(part.d) == rows,
        f"{what} has {len(part.C)} and {len(part.d)} rows of C and d, and clauses {rows}",
    )
    require(not part.margins[part.rows > 1].any(), f"{what} claims a margin of a clause of several rows")
    return part
