"""The example of FORMAT.md, section 6, as a file: ``|x|`` and ``x`` for x from -1 to 1."""

from __future__ import annotations

import numpy as np

from support.certificates import File, box, certificate, dense, i32, network

NODES = dense(([[1], [-1]], None), ([[1, 1], [1, -1]], None))
NETWORK = network(*NODES)
REGION = box([-1], [1])
# clause 0: |x| >= 2. Clause 1: |x| >= 3/4 and x <= 1/2 and x >= -1/2.
CLAUSES = {
    "rows": [1, 3],
    "C": [[-1, 0], [-1, 0], [0, 1], [0, -1]],
    "d": [2, 0.75, -0.5, -0.5],
}
# Places of a frame: 0 the input, 1 and 2 the arguments of the ReLU, 3 to 6 the rows of the clauses.


def beta(value: float) -> dict[str, object]:
    """One multiplier, of y_0."""
    return {"at": i32(1), "value": np.array([[float(value)]])}


def mix(*rows: list[float]) -> dict[str, object]:
    """Multipliers of the rows of clause 1."""
    return {"at": i32(4, 5, 6), "value": -np.array(rows, dtype=np.float64)}


def refute(*row: float) -> dict[str, object]:
    """A tree of one part, which is refuted by these multipliers of the rows of clause 1."""
    return {"op": "tree", "cut": i32(-1), "row": i32(0), "multipliers": {"beta": mix(list(row))}}


STEPS = [
    {"op": "bounds", "relu": 1, "neurons": i32(0), "multipliers": {}},
    {"op": "assume", "clause": 1},
    {"op": "split", "at": 1},
    {"op": "bounds", "relu": 0, "neurons": i32(~1), "multipliers": {"beta": beta(1)}},
    refute(1, 1, 0),
    {"op": "bounds", "relu": 0, "neurons": i32(1), "multipliers": {"beta": beta(-1)}},
    refute(1, 0, 1),
]


def example(**changed: object) -> File:
    """The certificate, or one with other steps, region, clauses, ..."""
    given = {"region": REGION, "steps": STEPS, **CLAUSES, "margins": [0.75, 0], **changed}
    return certificate(NETWORK, given.pop("region"), given.pop("steps"), **given)
