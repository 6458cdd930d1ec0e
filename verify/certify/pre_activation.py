"""The ways to bound the inputs of the ReLUs, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from verify.bounds.compute import by_slopes, node_bounds
from verify.bounds.nouns import Bounds
from verify.bounds.optimise import by_ascent
from verify.bounds.progressive import progressive
from verify.bounds.scope import Tightener
from verify.bounds.tighten import by_lp, by_milp
from verify.certify.options import Options
from verify.errors import UsageError
from verify.specification import Query

STEPS = 20  # slope search for pre-activation bounds; more gains little (benchmarks/README.md)


# From cheap to dear. The dual bounds both sides in one pass, so it goes before CROWN.
STAGES: Mapping[str, Callable[[Options], Tightener]] = {
    "dual": lambda options: by_slopes("dual", deadline=options.deadline),
    "crown": lambda options: by_slopes("crown", deadline=options.deadline),
    "alpha": lambda options: by_ascent(options.ascent(STEPS)),
    "lp": lambda options: by_lp(options.budget()),
    "milp": lambda options: by_milp(options.budget()),
}
PRE_ACTIVATION = ("interval", *STAGES)


def pre_activation_bounds(query: Query, options: Options, default: str) -> Bounds:
    """Bounds of every node by the method that ``options`` or else ``default`` names."""
    name = chosen(options, default)
    tighten = None if name == "interval" else _tightener(name, options)
    return node_bounds(
        query.network, query.region, tighten, source=name, intersect=options.intersect, record=options.record
    )


def chosen(options: Options, default: str) -> str:
    """The name of the pre-activation bounds; raises UsageError for one that does not exist."""
    name = options.pre_activation or default
    if name not in PRE_ACTIVATION:
        raise UsageError(f"unknown pre-activation bounds {name!r}: choose from {', '.join(PRE_ACTIVATION)}")
    if name == "milp" and options.semantics != "real":
        raise UsageError(
            f"pre-activation bounds 'milp' are a solver's claim about real arithmetic, and semantics is {options.semantics!r}: "
            "choose others, such as lp"
        )
    return name


def _tightener(name: str, options: Options) -> Tightener:
    """The stages up to ``name``, each on what those before it left unstable; without ``intersect``, that one alone."""
    if not options.intersect:
        return STAGES[name](options)
    names = list(STAGES)
    return progressive(*(STAGES[n](options) for n in names[: names.index(name) + 1]))
