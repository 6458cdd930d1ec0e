"""The linear program of a box with the clause: its duals are the multipliers that refute the box, if any do.

    minimise t   over the box and the triangles of its unstable ReLUs,   with   C f(x) + d <= t

The duals of the last rows weigh the clause's rows, those of the triangles are slopes (:mod:`verify.encode.lp`). A search
that excludes a box by many half-spaces in turn has no form that says so; where half-spaces do, the program's optimum is
positive, and its duals are such a form.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from solvers.base import SolveOptions
from solvers.problem import LinearProgram
from solvers.registry import get_solver
from verify.bounds.nouns import Bounds
from verify.encode.lp import encode, slopes
from verify.network import Network
from verify.property import Clause
from verify.region import Box


def refuting(
    network: Network, region: Box, bounds: Bounds, clause: Clause, seconds: float
) -> tuple[Tensor, dict[int, Tensor]] | None:
    """Weights of the rows (J,) and lower slopes by ReLU (*shape) for one box; None where the solver has none.

    ``bounds``: of every node over ``region``, which holds one input. Trusted: nothing; whoever uses them bounds with them.
    """
    encoding = encode(network, region, bounds)
    rows, known = clause.C.numpy() @ encoding.expression.matrix, clause.C.numpy() @ encoding.expression.constant
    count, columns = rows.shape
    most = float(clause.C.abs().sum(0) @ bounds.values[-1].magnitude()[0] + clause.d.abs().sum()) + 1.0
    inner = encoding.problem
    program = LinearProgram(
        objective=np.append(np.zeros(columns), 1.0),
        matrix=sp.csr_array(
            sp.vstack(
                [
                    sp.hstack([inner.matrix, sp.csr_array((inner.num_rows, 1))]),
                    sp.csr_array(np.hstack([rows, np.full((count, 1), -1.0)])),
                ]
            )
        ),
        row_lower=np.append(inner.row_lower, np.full(count, -np.inf)),
        row_upper=np.append(inner.row_upper, -known - clause.d.numpy()),
        column_lower=np.append(inner.column_lower, -most),
        column_upper=np.append(inner.column_upper, most),
        integer=np.zeros(columns + 1, dtype=bool),
    )
    dual = get_solver("highs").solve(program, SolveOptions(time_limit=seconds)).row_dual
    if dual is None:
        return None
    dual = np.nan_to_num(dual, posinf=0.0, neginf=0.0)
    mix = np.maximum(-dual[inner.num_rows :], 0.0)
    found = {}
    for r, (neurons, values) in slopes(encoding, mix @ rows, dual[: inner.num_rows]).items():
        slope = torch.zeros(bounds.pre[r].lower[0].numel(), dtype=torch.float64)
        slope[torch.from_numpy(neurons)] = torch.from_numpy(values)
        found[r] = slope.reshape(bounds.pre[r].lower.shape[1:])
    return torch.from_numpy(mix), found
