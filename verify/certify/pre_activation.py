"""The ways to bound the inputs of the ReLUs, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from verify.bounds.compute import Tightener, by_slopes, node_bounds
from verify.bounds.nouns import Bounds
from verify.bounds.optimise import by_ascent
from verify.bounds.tighten import by_lp, by_milp, progressive
from verify.certify.options import Options
from verify.errors import UsageError
from verify.specification import Query

STEPS = 20  # slope search for pre-activation bounds; more gains little (benchmarks/README.md)


def _crown(options: Options) -> Tightener:
    """CROWN on what the dual, which bounds both sides in one pass, leaves unstable; alone when asked for raw."""
    crown = by_slopes("crown")
    return progressive(by_slopes("dual"), crown) if options.intersect else crown


def _alpha(options: Options) -> Tightener:
    return progressive(_crown(options), by_ascent(options.ascent(STEPS)))


def _lp(options: Options) -> Tightener:
    return progressive(_alpha(options), by_lp(options.budget()))


def _milp(options: Options) -> Tightener:
    return progressive(_lp(options), by_milp(options.budget()))


PRE_ACTIVATION: Mapping[str, Callable[[Options], Tightener | None]] = {
    "interval": lambda options: None,
    "dual": lambda options: by_slopes("dual"),
    "crown": _crown,
    "alpha": _alpha,
    "lp": _lp,
    "milp": _milp,
}


def pre_activation_bounds(query: Query, options: Options, default: str) -> Bounds:
    """Bounds of every node by the method that ``options`` or else ``default`` names."""
    name = options.pre_activation or default
    if name not in PRE_ACTIVATION:
        raise UsageError(f"unknown pre-activation bounds {name!r}: choose from {', '.join(PRE_ACTIVATION)}")
    tighten = PRE_ACTIVATION[name](options)
    return node_bounds(query.network, query.region, tighten, source=name, intersect=options.intersect)
