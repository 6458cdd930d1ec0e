"""How a query is to be answered: the typed options that every certifier understands."""

from __future__ import annotations

import time
from dataclasses import dataclass

from solvers.registry import get_solver
from verify.bounds.climb import Ascent
from verify.bounds.tighten import Budget
from verify.certify.team import Team
from verify.errors import UsageError
from verify.network import Semantics
from verify.proof.recorder import Recorder
from verify.workers import checked_workers


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of one call; the defaults suit everybody.

    ``pre_activation``: which method bounds the ReLUs' inputs (default: the certifier's own choice). ``intersect``:
    whether they are intersected with interval bounds. ``timeout``: seconds for each input. ``solver``: back end of ``lp``
    and ``milp``. ``trust_solver``: whether a solver's claim may verify. ``seed``: of the attack. ``workers``: cores that may
    be used at once: from 2 on, ``complete`` starts processes. ``certificates``: whether verified inputs get one. ``semantics``:
    ``real``, or ``float32`` for claims about the network as it is executed (docs/semantics.md). Not options of
    the user's: ``deadline``, the absolute time that ``timeout`` becomes when work on an input starts; ``team``, the processes
    that ``workers`` become; ``record``, what hears of a query about one input.
    """

    pre_activation: str | None = None
    intersect: bool = True
    timeout: float | None = None
    solver: str = "highs"
    trust_solver: bool = False
    seed: int = 0
    workers: int = 1
    certificates: bool = False
    semantics: Semantics = "real"
    deadline: float | None = None
    record: Recorder | None = None
    team: Team | None = None

    def __post_init__(self) -> None:
        checked_workers(self.workers)
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError(f"timeout is {self.timeout}: give a positive number of seconds")

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.perf_counter() >= self.deadline

    def ascent(self, steps: int) -> Ascent:
        """A slope search of at most ``steps`` steps within the deadline."""
        return Ascent(steps=steps, deadline=self.deadline)

    def budget(self) -> Budget:
        """The solver, and the time that it may take."""
        return Budget(solver=get_solver(self.solver), deadline=self.deadline)
