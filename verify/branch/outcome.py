"""What a search through branches was allowed, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from verify.property import PropertyCounterexample
from verify.verdict import Verdict

MEMORY_BYTES = 4 * 2**30


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``deadline``: time.perf_counter() at which the search ends UNKNOWN. ``memory_bytes``: what its domains may take, with
    the copies that live for a moment; the network, and forms that are worked on, come on top (docs/complete.md).

    ``seed`` of every random choice.
    """

    deadline: float | None = None
    memory_bytes: int = MEMORY_BYTES
    seed: int = 0

    def left(self) -> float:
        """Seconds left; infinity without a deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.perf_counter()


@dataclass(frozen=True)
class Outcome:
    """How a search about one clause ended.

    VERIFIED: no x satisfies the clause, by recomputed bounds. FALSIFIED: ``counterexample`` was evaluated. UNKNOWN: with a
    ``reason`` (``timeout``, ``memory``, ``incomplete method``). ``domains``: how many were bounded.
    """

    verdict: Verdict
    counterexample: PropertyCounterexample | None = None
    reason: str = ""
    domains: int = 0


def why_open(reasons: Collection[str]) -> str:
    """One reason for several searches that all ended without an answer.

    Time where time ended any of them, with a word about memory where that had stopped another before.
    """
    if "timeout" in reasons:
        return "timeout (memory limit met)" if "memory" in reasons else "timeout"
    return next((r for r in ("memory", "leaf", "incomplete method") if r in reasons), "")
