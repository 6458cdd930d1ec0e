"""The claim of a certificate: its network, region, clauses and margins, checked for form and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.check.container import Container
from verify.check.network import Node
from verify.check.reasons import fields, integer, listed, require

Array = NDArray[Any]


@dataclass(frozen=True)
class Claim:
    """No x of the region ``regions[region_of[k]]`` satisfies clause k: ``C[j] f(x) + d[j] <= 0`` in every row j of ``rows(k)``."""

    float32: bool
    regions: list[Any]  # as in the document: they are read one at a time, when a step enters them
    region_of: list[int]
    starts: Array  # (K + 1,): where each clause's rows begin
    C: Array
    d: Array
    label: int | None
    targets: list[int] | None
    margins: Array

    @property
    def count(self) -> int:
        """How many clauses there are."""
        return len(self.margins)

    def rows(self, clause: int) -> tuple[Array, Array]:
        """C (J, n_out) and d (J,) of one clause."""
        part = slice(int(self.starts[clause]), int(self.starts[clause + 1]))
        return self.C[part].astype(np.float64), self.d[part].astype(np.float64)

    def name(self, clause: int) -> str:
        """The clause, as reasons and words call it."""
        return f"clause {clause}" + ("" if self.targets is None else f" (target {self.targets[clause]})")


def read_claim(container: Container, nodes: list[Node]) -> Claim:
    """The claim of a certificate, for a network of these nodes."""
    keys = ("network", "semantics", "regions", "region_of", "rows", "C", "d", "label", "targets", "margins")
    entry = fields(container.document["claim"], keys, (), "the claim")
    require(entry["semantics"] in ("real", "float32"), f"semantics is {entry['semantics']!r:.40}, not real or float32")
    regions = listed(entry["regions"], "regions")
    rows = container.array(entry["rows"], "I32", (None,), "rows").astype(np.int64)
    require(len(rows) >= 1 and bool((rows >= 1).all()), "there is no clause, or one without rows")
    region_of = container.array(entry["region_of"], "I32", rows.shape, "region_of").tolist()
    require(set(region_of) == set(range(len(regions))), "region_of names a region that is not there, or leaves one out")
    total, outputs = int(rows.sum()), nodes[-1].size
    c = container.array(entry["C"], "F64", (total, outputs), "C")
    d = container.array(entry["d"], "F64", (total,), "d")
    margins = container.array(entry["margins"], "F32", (len(rows),), "margins")
    require(bool((margins >= 0).all()), "a claimed margin is negative")
    several = np.flatnonzero((rows > 1) & (margins != 0))
    require(len(several) == 0, f"clause {several[:1]} has several rows, and a margin is claimed for it")
    label, targets = entry["label"], entry["targets"]
    require((label is None) == (targets is None), "a label and its targets come together")
    if label is not None:
        integer(label, 0, outputs - 1, "the label")
        for target in listed(targets, "targets"):
            integer(target, 0, outputs - 1, "a target")
        require(
            len(rows) == total == outputs - 1,
            f"{len(rows)} clauses of {total} rows for a label among {outputs} outputs",
        )
        require(len(regions) == 1, f"a label, and {len(regions)} regions")
        others = [t for t in range(outputs) if t != label]
        require(
            sorted(targets) == others, f"the targets {targets!s:.80} are not all labels other than {label}, once each"
        )
        wanted = np.zeros((len(others), outputs))
        wanted[:, label] = 1
        wanted[np.arange(len(others)), targets] = -1
        require(
            bool((c == wanted).all() and (d == 0).all()),
            f"C and d are not those of label {label} against the targets {targets!s:.80}",
        )
    starts = np.concatenate([[0], np.cumsum(rows)])
    return Claim(entry["semantics"] == "float32", regions, region_of, starts, c, d, label, targets, margins)


def fits_network(container: Container, identity: str | None, file: str) -> str:
    """Which network the claim is about, in words; ``identity`` of the network file at hand, or the hash of another ``file``."""
    entry = fields(
        fields(container.document["claim"], ("network",), container.document["claim"])["network"], ("identity", "file")
    )
    if identity is not None:
        require(
            entry["identity"] == identity,
            f"the claim is about the network {entry['identity']!r:.80}, this one is {identity}",
        )
        return f"the network whose identity is {identity}"
    require(entry["file"] == file, f"the claim is about the file {entry['file']!r:.80}, this one is {file}")
    return f"the network in the file with the SHA-256 {file}"


def in_words(claim: Claim, network: str, regions: list[str], margins: dict[int, float]) -> str:
    """What was proved, for a reader who has not seen the file: ``regions`` in words, ``margins`` as they were derived."""
    real = "as the function that its stored numbers define in real arithmetic"
    executed = "as executed in IEEE float32, in any order of summation, for float32 inputs"
    meaning = executed if claim.float32 else real
    if claim.label is not None:
        every = f"For {regions[0]},"
        lines = [every, network, f"({meaning})", f"gives label {claim.label} a larger output than every other label."]
    else:
        lines = [network[0].upper() + network[1:], f"({meaning})", "satisfies, in each region, none of its clauses:"]
        about: list[list[str]] = [[] for _ in regions]
        for clause, owner in enumerate(claim.region_of):
            about[owner].append(str(clause))
        for number, region in enumerate(regions):
            lines.append(f"  region {number}, {region}: clauses {', '.join(about[number])}")
    for clause in range(claim.count):
        found = f"margin at least {margins[clause]!r}" if clause in margins else "refuted, with no number derived"
        lines.append(f"  {claim.name(clause)}: {found}")
    return "\n".join(lines)
