"""The big-M integer program: exact margins, as far as a solver's word goes (Tjeng et al. 2019).

A solver that starts linear programs warm solves it node by node, in our own tree (:mod:`verify.certify.tree`), several times
sooner than as an integer program; other solvers are handed the integer program whole.

Recomputed, and all that verifies by default: the margins of alpha-CROWN over pre-activation bounds tightened by
interval, CROWN, alpha and LP bounds. Trusted, and labelled a solver's claim: (1) the solver's dual bound of the integer
program, or its minima of the tree's linear programs; (2) that the program's coefficients, rounded to nearest, and the
solver's tolerances change it by no more than SOLVER_TOLERANCE. The row that cuts the program off above an attained margin
removes no minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvers.problem import LinearProgram
from solvers.result import SolveResult
from verify.attack.pgd import PGD, lowest_margins
from verify.bounds.nouns import Bounds
from verify.bounds.tighten import SOLVER_TOLERANCE, Budget, claimed
from verify.certify.alpha import optimised
from verify.certify.answer import Answer
from verify.certify.options import Options
from verify.certify.pre_activation import pre_activation_bounds
from verify.certify.tree import minimum
from verify.encode.lp import Encoding, encode, with_binaries
from verify.representable import representable
from verify.specification import Query
from verify.witness import upper_margins

# How far above the attained margin the program is cut off, relative to its size: far enough that the solver's tolerance
# cannot cut the minimum away with it.
ROOM = 1e-4
WORKERS = 2  # targets solved side by side at least: the solvers release the interpreter while they run


def milp(query: Query, options: Options) -> Answer:
    """Margins from one integer program a row. See the module for what is recomputed and what is trusted."""
    bounds = pre_activation_bounds(query, options, "lp")
    known = optimised(query, options, bounds)
    points, attained = _attack(query, options)
    claims = torch.full_like(known.lower, -torch.inf)
    with ThreadPoolExecutor(max(WORKERS, options.workers)) as pool:
        for i in range(query.region.count):
            at = torch.tensor([i])
            one, around, budget = query.select(at), bounds.select(at), options.budget()
            hardest_first = (attained[i] - known.lower[i]).argsort(descending=True).tolist()
            jobs = {k: pool.submit(_solve, one, around, k, float(attained[i, k]), budget) for k in hardest_first}
            for k, job in jobs.items():
                claims[i, k], x = job.result()
                if x is not None:
                    points[k][i] = x
    lower = torch.maximum(claims, known.lower)
    return replace(known, lower=lower, points=tuple(points), reason="timeout" if options.late else "solver claim")


def _attack(query: Query, options: Options) -> tuple[list[Tensor], Tensor]:
    """A point for each row, and the margin there rounded up, (B, S): what the minimum cannot exceed."""
    found, _ = lowest_margins(query, PGD(seed=options.seed, deadline=options.deadline))
    points = [representable(query.region, found[:, k]) for k in range(found.shape[1])]
    return points, torch.stack([upper_margins(query, x) for x in points]).amin(0)


def _solve(query: Query, bounds: Bounds, row: int, attained: float, budget: Budget) -> tuple[float, Tensor | None]:
    """The claimed lower bound of one row of one input, and the solution's input, if there is one."""
    if budget.spent:
        return -np.inf, None
    encoding = encode(query.network, query.region, bounds)
    C, d = query.specification.C[0, row].numpy(), float(query.specification.d[0, row])
    if budget.solver.supports_warm_start:
        found = minimum(encoding, encoding.objective(C, d), attained, _value(query, row), budget)
        lower = found.lower - SOLVER_TOLERANCE * (1.0 + abs(found.lower))
        return lower, None if found.point is None else _shaped(query, found.point)
    encoding = with_binaries(encoding)
    objective, offset = encoding.objective(C, d)
    result: SolveResult = budget.solver.solve(cut_off(encoding, objective, offset, attained), budget.options())
    return claimed(result), None if result.x is None else _shaped(query, encoding.point(result.x))


def _value(query: Query, row: int) -> Callable[[NDArray[np.float64]], float]:
    """The margin of one row at a flattened input, in float64."""
    C, d = query.specification.C[0, row], float(query.specification.d[0, row])
    return lambda x: float(C @ query.network(_shaped(query, x).unsqueeze(0))[0]) + d


def _shaped(query: Query, x: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.nan_to_num(x)).reshape(query.network.input_shape)


def cut_off(encoding: Encoding, row: NDArray[np.float64], offset: float, attained: float) -> LinearProgram:
    """The encoding's program with the objective ``row``, limited to values up to ``attained``, a margin at some point.

    The minimum lies there, and the solver prunes everything above from the start.
    """
    limit = attained + ROOM * (1.0 + abs(attained)) - offset
    return encoding.problem.with_row(row, -np.inf, limit).with_objective(row, offset)
