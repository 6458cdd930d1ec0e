"""Several ways to tighten, one after another, each only where those before it left a neuron unstable."""

from __future__ import annotations

from dataclasses import replace

import torch

from verify.bounds.nouns import Interval, unstable
from verify.bounds.scope import Scope, Tightener
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
