"""How hard to look for a counterexample."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Search:
    """The schedule of :func:`verify.attack.clause.candidates`; each stage runs only where the ones before it failed.

    ``samples``: random points and corners evaluated for each region. ``zooms`` rounds of random search around the best of
    them, ``scatter`` points around each. ``starts``, ``steps``, ``rounds``: of projected descent, starts for each clause.
    ``flips``: moves of the search over corners, for boxes. ``crowd``: in a few dimensions, where a point costs next to
    nothing, how many times as many starts. ``keep``: candidates returned for each clause. ``deadline``:
    time.perf_counter() after which no new step is taken.
    """

    samples: int = 500
    zooms: int = 8
    scatter: int = 25
    starts: int = 8
    steps: int = 20
    rounds: int = 1
    flips: int = 0
    crowd: int = 2
    keep: int = 8
    seed: int = 0
    deadline: float | None = None

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.perf_counter() > self.deadline


def quick(*, seed: int = 0, deadline: float | None = None) -> Search:
    """What every clause gets before any bound is computed.

    Where it finds nothing: 26 ms on ACAS Xu, 14 ms on sat_relu, 0.1 s for the nine targets of mnist_fc, 0.6 s for those of
    a residual network (one busy core). It falsifies 23 of ACAS Xu's 26 instances that can be, and all 12 of mnist_fc, 10 of
    sat_relu, 5 of rl_benchmarks and 2 of sri_resnet_a.
    """
    return Search(seed=seed, deadline=deadline)


def thorough(*, seed: int = 0, deadline: float | None = None) -> Search:
    """A second or two: what is worth spending once cheap bounds have left a clause open.

    Where it finds nothing: 0.8 s on ACAS Xu, 1.0 s on sat_relu, 0.8 to 1.4 s on mnist_fc, 6 s on sri_resnet_a; give a deadline
    for large networks. It falsifies two more of ACAS Xu, and formulas (3-SAT, 50 to 200 variables) that descent never does.
    """
    return Search(
        samples=10_000,
        zooms=40,
        scatter=100,
        starts=16,
        steps=50,
        rounds=3,
        flips=1000,
        crowd=32,
        keep=16,
        seed=seed,
        deadline=deadline,
    )
