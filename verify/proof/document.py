"""From a claim and its steps to the file of a certificate (check/FORMAT.md, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from verify.proof.container import container

Step: TypeAlias = dict[str, Any]
"""One step, with arrays where the document has their names."""


def document(claim: Mapping[str, Any], steps: Sequence[Sequence[Step]], made_by: Mapping[str, str]) -> bytes:
    """The certificate's file, not compressed; ``steps`` are those about each part of the claim."""
    return container({"format": "reluproof certificate", "claim": claim, "steps": steps, "made_by": made_by})
