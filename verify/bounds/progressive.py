"""Several ways to tighten, one after another, each only where those before it left a neuron unstable."""

from __future__ import annotations

from dataclasses import replace

import torch

from verify.bounds.compute import Scope, Tightener
from verify.bounds.nouns import Bounds, Interval, unstable
from verify.network import Network
from verify.verdict import Evidence


def progressive(*stages: Tightener) -> Tightener:
    """Each stage on the neurons that the stages before it left unstable (Tjeng et al. 2019, section 4.3)."""

    def tighten(scope: Scope) -> tuple[Interval, Evidence]:
        evidence = scope.bounds.evidence
        known = scope.bounds.values[scope.start]
        lower, upper = (t.flatten(1)[:, scope.index].clone() for t in (known.lower, known.upper))
        for stage in stages:
            places = (scope.wanted & unstable(Interval(lower, upper))).any(0).nonzero().squeeze(1)
            if not len(places):
                break
            # What this stage may assume of the node itself is not needed: it looks only at the nodes before it.
            wanted = scope.wanted[:, places] & unstable(Interval(lower, upper))[:, places]
            part = replace(scope, index=scope.index[places], wanted=wanted)
            found, how = stage(part)
            lower[:, places] = torch.where(wanted, torch.maximum(lower[:, places], found.lower), lower[:, places])
            upper[:, places] = torch.where(wanted, torch.minimum(upper[:, places], found.upper), upper[:, places])
            evidence = min(evidence, how)
        return Interval(lower, upper), evidence

    return tighten


def within(network: Network, root: Bounds) -> Tightener:
    """Trusts the pre-activation bounds ``root`` of one input, whose region holds all those that are asked about."""
    known = {network.nodes[r].inputs[0]: pre for r, pre in root.pre.items()}

    def tighten(scope: Scope) -> tuple[Interval, Evidence]:
        pre = known[scope.start]
        lower, upper = (t.flatten(1)[:, scope.index].expand(scope.region.count, -1) for t in (pre.lower, pre.upper))
        return Interval(lower, upper), min(scope.bounds.evidence, root.evidence)

    return tighten
