"""What a certificate claims, in the words of check/FORMAT.md section 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from verify.network import Network
from verify.proof.container import Array
from verify.property import Clause
from verify.region import NORMS, Box


def claim_of(
    network: Network, clauses: Sequence[Clause], groups: Sequence[Sequence[int]], *, label: int | None = None
) -> dict[str, Any]:
    """The claim that no clause is satisfied, but for the network's hashes and the margins.

    ``groups``: the numbers of the clauses about each region.
    ``label``: of a classification, whose clauses are about the other labels in increasing order.
    """
    parts = [_part([clauses[k] for k in numbers]) for numbers in groups]
    return {"semantics": network.semantics, "parts": parts} | ({} if label is None else {"label": label})


def _part(clauses: Sequence[Clause]) -> dict[str, Any]:
    """What is claimed of the one region of these clauses, but for the margins."""
    return {
        "region": region_of(clauses[0].region),
        "rows": np.array([len(clause.d) for clause in clauses], dtype=np.int32),
        "C": torch.cat([clause.C for clause in clauses]).numpy().astype(np.float64),
        "d": torch.cat([clause.d for clause in clauses]).numpy().astype(np.float64),
    }


def region_of(region: Box) -> dict[str, Any]:
    """The region of one input."""
    norm = next((name for name, kind in NORMS.items() if type(region) is kind), None)
    if norm is None:
        return {"kind": "box", "lower": _one(region.lower), "upper": _one(region.upper)}
    clip = (None, None) if region.clip is None else region.clip  # type: ignore[attr-defined]
    limits = {key: str(end) for key, end in zip(("at_least", "at_most"), clip, strict=True) if end is not None}
    centre, epsilon = region.centre, region.epsilon  # type: ignore[attr-defined]
    return {"kind": norm, "centre": _one(centre), "epsilon": str(epsilon), **limits}


def below(margin: float) -> np.float32:
    """The largest float32 that is at most ``margin``; 0, which claims no number, where that is not positive."""
    with np.errstate(over="ignore"):
        nearest = np.float32(margin)
    if float(nearest) > margin:
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    return nearest if nearest > 0 and np.isfinite(nearest) else np.float32(0)


def _one(value: torch.Tensor) -> Array:
    array: Array = value[0].detach().cpu().numpy().astype(np.float64).reshape(-1)
    return array
