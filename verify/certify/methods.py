"""The certifiers by name: a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from verify.certify.alpha import alpha
from verify.certify.answer import Answer
from verify.certify.complete import complete
from verify.certify.crown import crown
from verify.certify.dual import dual
from verify.certify.interval import interval
from verify.certify.linear import linear
from verify.certify.lp import lp
from verify.certify.milp import milp
from verify.certify.options import Options
from verify.errors import UsageError
from verify.specification import Query


@dataclass(frozen=True)
class Method:
    """A certifier, how many inputs it takes at a time, and one line on what it is."""

    certify: Callable[[Query, Options], Answer]
    batch: int
    summary: str
    claims: bool = False  # of a solver, about real arithmetic


METHODS: Mapping[str, Method] = {
    "interval": Method(interval, 256, "interval bound propagation, last layers merged with the rows"),
    "dual": Method(dual, 100, "the Wong-Kolter dual"),
    "crown": Method(crown, 100, "CROWN"),
    "alpha": Method(alpha, 8, "CROWN with optimised slopes, pre-activation bounds included"),
    "lp": Method(lp, 1, "triangle linear program, its bound recomputed from the duals"),
    "milp": Method(milp, 1, "big-M integer program; a solver's claim unless alpha proves the row too", True),
    "complete": Method(complete, 64, "CROWN, alpha-CROWN, then an attack and branch and bound on the rows still open"),
    "linear": Method(linear, 256, "closed form, for networks without ReLUs"),
}


ALIASES: Mapping[str, str] = {"auto": "complete"}
"""Other names of certifiers: ``auto`` is whatever decides most questions."""


def method_named(name: str) -> tuple[str, Method]:
    """The certifier called ``name``, with the name that results carry. Raises UsageError for any other name."""
    own = ALIASES.get(name, name)
    if own not in METHODS:
        raise UsageError(f"unknown method {name!r}: choose from {', '.join([*METHODS, *ALIASES])}")
    return own, METHODS[own]
