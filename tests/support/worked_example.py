"""The example of FORMAT.md, section 6, as a file: ``|x|`` and ``x`` for x from -1 to 1."""

from __future__ import annotations

import numpy as np

from support.certificates import File, box, certificate, dense, i32, mix, network

NODES = dense(([[1], [-1]], None), ([[1, 1], [1, -1]], None))
NETWORK = network(*NODES)
REGION = box([-1], [1])
# clause 0: |x| >= 2. Clause 1: |x| >= 3/4 and x <= 1/2 and x >= -1/2.
CLAUSES = {
    "rows": [1, 3],
    "C": [[-1, 0], [-1, 0], [0, 1], [0, -1]],
    "d": [2, 0.75, -0.5, -0.5],
}
SIDES = np.array([-1], dtype=np.int8), np.array([1], dtype=np.int8)


def beta(value: float) -> dict[str, object]:
    """One multiplier, of neuron 0 of ReLU 0, in row 0."""
    return {"0": {"row": i32(0), "at": i32(0), "value": np.array([float(value)])}}


STEPS = [
    {"op": "margins", "clauses": i32(0), "multipliers": {}},
    {"op": "assume", "clause": 1},
    {"op": "split", "relu": 0, "neuron": 0},
    {"op": "bounds", "relu": 0, "neurons": i32(1), "sides": SIDES[0], "multipliers": {"beta": beta(1)}},
    {"op": "refute", "multipliers": mix([1, 1, 0])},
    {"op": "bounds", "relu": 0, "neurons": i32(1), "sides": SIDES[1], "multipliers": {"beta": beta(-1)}},
    {"op": "refute", "multipliers": mix([1, 0, 1])},
]


def example(**changed: object) -> File:
    """The certificate, or one with other steps, region, clauses, ..."""
    given = {"region": REGION, "steps": STEPS, **CLAUSES, "margins": [0.75, 0], **changed}
    return certificate(NETWORK, given.pop("region"), given.pop("steps"), **given)
