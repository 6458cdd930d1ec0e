"""How hard an attack tries: the typed options that every method understands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from verify.attack.losses import LOSSES
from verify.attack.starts import STARTS
from verify.attack.transformations import Transformations
from verify.errors import UsageError

_AT_LEAST_ONE = ("steps", "restarts", "batch")


@dataclass(frozen=True, kw_only=True)
class AttackOptions:
    """Options of one attack.

    ``steps`` of each run; ``restarts``: runs for each input (for ``targets="all"``, for each target too), which end at the
    first counterexample unless the method looks for the nearest one. ``loss``: a name of :mod:`verify.attack.losses`.
    ``start``: where runs begin (:mod:`verify.attack.starts`). ``step_size`` in the units of the input; None is the method's own
    choice. ``seed`` of every random draw. ``timeout``: seconds for the whole call, diagnosis included. ``batch``: inputs
    worked on at once. ``transformations``: the loss is averaged over them. ``device``: where the search runs ("cpu", "cuda");
    claims are always evaluated on the CPU in float64.
    """

    steps: int = 40
    restarts: int = 1
    loss: str = "soft_margin"
    start: str = "auto"
    step_size: float | None = None
    seed: int = 0
    timeout: float | None = None
    batch: int = 200
    transformations: Transformations | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} is {value!r}: give a whole number of at least 1")
        if self.loss not in LOSSES:
            raise UsageError(f"unknown loss {self.loss!r}: choose from {', '.join(LOSSES)}")
        if self.start not in STARTS:
            raise UsageError(f"unknown start {self.start!r}: choose from {', '.join(STARTS)}")
        if self.step_size is not None and not (math.isfinite(self.step_size) and self.step_size > 0):
            raise UsageError(f"step_size is {self.step_size}: give a positive number, in the units of the input")
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError(f"timeout is {self.timeout}: give a positive number of seconds")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"seed is {self.seed!r}: give a whole number")
