"""The claim of a certificate: its network, region, clauses and margins, checked for form and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.forms import Numbers, Whole, read, require

Array = NDArray[Any]
_FORM = {
    "network": {"identity": str, "file?": str},
    "semantics": {"real", "float32"},
    "regions": [dict],  # each is read when a step enters it
    "region_of": Numbers("I32", "clauses", 0, "regions"),
    "rows": Numbers("I32", "clauses", 1),
    "C": Numbers("F64", "rows outputs"),
    "d": Numbers("F64", "rows"),
    "label?": Whole(0, "outputs"),
    "margins": Numbers("F32", "clauses", 0),
}


@dataclass(frozen=True)
class Claim:
    """No x of the region ``regions[region_of[k]]`` satisfies clause k: ``C[j] f(x) + d[j] <= 0`` in every row j of ``rows(k)``."""

    float32: bool
    regions: list[Any]
    region_of: list[int]
    starts: Array  # (K + 1,): where each clause's rows begin
    C: Array
    d: Array
    label: int | None
    margins: Array

    def rows(self, clause: int) -> slice:
        """Where the rows of one clause are."""
        return slice(int(self.starts[clause]), int(self.starts[clause + 1]))

    def name(self, clause: int) -> str:
        """The clause, as reasons and words call it."""
        return f"clause {clause}" + ("" if self.label is None else f" (target {clause + (clause >= self.label)})")


def read_claim(entry: dict[str, Any], outputs: int, kind: str, digest: str) -> Claim:
    """The claim of a certificate, for a network with so many outputs whose ``identity`` or ``file`` has this SHA-256."""
    listed = entry.get("regions")
    given = read(_FORM, entry, "the claim", {"outputs": outputs, "regions": len(listed) if type(listed) is list else 0})
    word, claimed = {"identity": "network"}.get(kind, kind), given["network"].get(kind)
    require(claimed == digest, f"the claim is about the {word} {claimed!r:.80}, this one is {digest}")
    rows, C, d, region_of = given["rows"], given["C"], given["d"], given["region_of"].tolist()
    regions, label = given["regions"], given.get("label")
    require(set(region_of) == set(range(len(regions))) and regions, "region_of leaves a region out, or there is none")
    starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
    require(starts[-1] == len(d), f"C and d have {len(d)} rows, and the clauses {starts[-1]}")
    several = np.flatnonzero((rows > 1) & (given["margins"] != 0))
    require(not len(several), f"clause {several[:1]} has several rows, and a margin is claimed for it")
    if label is not None:
        require(len(regions) == 1, f"a label, and {len(regions)} regions")
        every = (rows == 1).all() and len(C) == outputs - 1
        good = every and (np.delete(np.eye(outputs)[label] - np.eye(outputs), label, axis=0) == C).all() and not d.any()
        require(good, f"C and d are not those of label {label} against all others, in increasing order")
    return Claim(given["semantics"] == "float32", regions, region_of, starts, C, d, label, given["margins"])


def in_words(claim: Claim, network: str, regions: list[str], margins: dict[int, float]) -> str:
    """What was proved, for a reader who has not seen the file: ``regions`` in words, ``margins`` as they were derived."""
    real = "as the function that its stored numbers define in real arithmetic"
    meaning = "as executed in IEEE float32, in any order of summation, for float32 inputs" if claim.float32 else real
    if claim.label is not None:
        lines = [
            f"For {regions[0]},",
            f"{network}\n({meaning})",
            f"gives label {claim.label} a larger output than every other label.",
        ]
    else:
        lines = [f"{network}\n({meaning})", "satisfies, in each region, none of its clauses:"]
        for number, region in enumerate(regions):
            clauses = ", ".join(str(k) for k, owner in enumerate(claim.region_of) if owner == number)
            lines.append(f"  region {number}, {region}: clauses {clauses}")
    for clause in range(len(claim.margins)):
        derived = margins.get(clause, 0.0)
        found = f"margin at least {derived!r}" if derived > 0 else "refuted, with no number derived"
        lines.append(f"  {claim.name(clause)}: {found}")
    return "\n".join(lines)
