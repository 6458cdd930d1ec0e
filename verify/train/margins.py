"""Differentiable lower bounds of margins: the shared bounds code, with the weights it is given left attached.

Every function takes a network and a region of one dtype and a specification, and returns bounds (B, S) of
``C f(x) + d`` over the region. In float64 they are those of :mod:`verify.bounds`; in float32, for training, they are
not rigorous by the rounding of float32, which nothing pays for; nor are they in float64 unless ``rounding`` is asked for.
"""

from __future__ import annotations

from torch import Tensor

from verify.bounds.backward import Rows
from verify.bounds.compute import by_slopes, fixed_lines, node_bounds, spec_bounds
from verify.bounds.nouns import Bounds
from verify.network import Network
from verify.region import Box
from verify.specification import Specification


def interval_margins(network: Network, region: Box, specification: Specification, *, rounding: bool = False) -> Tensor:
    """Interval bounds, the layers after the last ReLUs merged with ``C`` (elision, Gowal et al. 2018)."""
    return from_intervals(network, region, node_bounds(network, region, rounding=rounding), specification)


def from_intervals(network: Network, region: Box, bounds: Bounds, specification: Specification) -> Tensor:
    """:func:`interval_margins` over intervals that are known."""
    return spec_bounds(network, region, bounds, rows_of(network, specification), None)


def crown_ibp_margins(network: Network, region: Box, specification: Specification, *, rounding: bool = False) -> Tensor:
    """One backward pass with CROWN's slopes over interval pre-activation bounds (Zhang et al. 2020)."""
    return from_lines(network, region, node_bounds(network, region, rounding=rounding), specification)


def from_lines(network: Network, region: Box, bounds: Bounds, specification: Specification) -> Tensor:
    """:func:`crown_ibp_margins` over intervals that are known."""
    at = fixed_lines(bounds, "crown")
    return spec_bounds(network, region, bounds, rows_of(network, specification), at)


def dual_margins(network: Network, region: Box, specification: Specification) -> Tensor:
    """The Wong-Kolter dual: each layer bounded by a backward pass with slopes ``u/(u-l)``, intersected with intervals.

    Rounding is always paid for, without which the two could exclude each other: give it float64.
    """
    bounds = node_bounds(network, region, by_slopes("dual"), source="dual")
    return spec_bounds(network, region, bounds, rows_of(network, specification), fixed_lines(bounds, "dual"))


def rows_of(network: Network, specification: Specification) -> Rows:
    """The specification as rows over the output node."""
    return Rows(len(network.nodes) - 1, specification.C, specification.d)
