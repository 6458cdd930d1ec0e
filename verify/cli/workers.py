"""How many cores a command uses at once: those that are idle, since threads that wait for a busy core slow each other down.

On two cores that other processes kept busy, two threads took 3 to 50 times as long as one (benchmarks/README.md).
"""

from __future__ import annotations

import os

from verify.errors import UsageError


def use_workers(asked: int | None) -> int:
    """The number of cores to use, which torch gets as threads while one process works alone: ``asked``, or without a wish here
    what ``OMP_NUM_THREADS`` says, or one for each idle core.

    Raises UsageError for fewer than one.
    """
    if asked is not None and asked < 1:
        raise UsageError(f"workers is {asked}: give a whole number of at least 1")
    wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list: one number a level
    import torch  # not before: --help needs none

    if asked is None and wish.isdecimal() and int(wish) > 0:
        return int(wish)  # torch has read it too
    workers = idle_cores() if asked is None else asked
    torch.set_num_threads(workers)
    return workers


def check_device(asked: str) -> None:
    """Raise UsageError for a device other than the CPU: the rounding argument of the bounds is about its float64 kernels."""
    if asked != "cpu":
        raise UsageError(
            f"device is {asked!r}: only cpu is supported, since the bounds' proof of rounding is about float64 on a CPU"
        )


def idle_cores() -> int:
    """Cores less the load of the last minute, at least one; all of them where the system tells no load."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(cores, round(cores - load)))
