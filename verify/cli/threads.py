"""How many threads torch gets: as many as cores are idle, since threads that wait for a busy core slow each other down.

On two cores that other processes kept busy, two threads took 3 to 50 times as long as one (benchmarks/README.md).
"""

from __future__ import annotations

import os

from verify.errors import UsageError


def use_threads(asked: int | None) -> None:
    """Give torch ``asked`` threads, or, without a wish here or in ``OMP_NUM_THREADS``, one for each idle core.

    Raises UsageError for fewer than one.
    """
    if asked is None and "OMP_NUM_THREADS" in os.environ:
        return
    if asked is not None and asked < 1:
        raise UsageError(f"threads is {asked}: give at least 1")
    import torch  # not before: --help needs none

    torch.set_num_threads(idle_cores() if asked is None else asked)


def idle_cores() -> int:
    """Cores less the load of the last minute, at least one; all of them where the system tells no load."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(cores, round(cores - load)))
