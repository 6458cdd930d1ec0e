"""Stub."""
from dataclasses import dataclass
@dataclass(frozen=True)
class Report:
    accepted: bool = False
    reason: str = "stub"
    margins: tuple = ()
def check(c, n): return Report()
