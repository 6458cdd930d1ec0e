"""The truth, independent of every encoder: enumerate the activation patterns of a small network, an LP for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import linprog

from verify.network import Network
from verify.operators import Add, Concat, Input, Linear, ReLU
from verify.region import Box, L1Ball, L2Ball
from verify.specification import Query

LIMIT = 12  # free ReLUs; 2^12 small programs

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Map: TypeAlias = tuple[Array, Array]
"""``M x + c``."""


def exact_margins(query: Query) -> Array:
    """The true minimum of every row over the first input's box, up to the LP solver's 1e-9."""
    return exact_minima(query)[0]


def exact_minima(query: Query) -> tuple[Array, Array]:
    """:func:`exact_margins` (S,), and the points (S, n) where they are attained, as far as the solver can tell."""
    network, region = query.network, query.region
    low, high = (t[0].reshape(-1).numpy() for t in (region.lower, region.upper))
    sizes = {r: int(np.prod(network.nodes[r].shape)) for r in network.relus}
    total = sum(sizes.values())
    C, d = query.specification.C[0].numpy(), query.specification.d[0].numpy()
    best, points = np.full(len(C), np.inf), np.tile(low, (len(C), 1))
    for pattern in _patterns(query, sizes):
        affine, rows = _forward(network, pattern, len(low))
        M, c = affine
        A = np.array([r for r, _ in rows]).reshape(-1, len(low))
        b = np.array([v for _, v in rows])
        for s, row in enumerate(C):
            found = linprog(
                row @ M,
                A_ub=-A if len(A) else None,
                b_ub=b if len(A) else None,
                bounds=list(zip(low, high, strict=True)),
            )
            if found.status == 0 and found.fun + row @ c < best[s]:
                best[s], points[s] = found.fun + row @ c, found.x
    assert total <= 64
    return best + d, points


def lowest_worst_row(query: Query) -> float:
    """The true minimum over the first input's region of the largest row: at most 0 iff some x satisfies every row.

    A round ball is cut out of its box by planes, added where a program's solution lies outside: up to 1e-6.
    """
    low, high = (t[0].reshape(-1).numpy() for t in (query.region.lower, query.region.upper))
    sizes = {r: int(np.prod(query.network.nodes[r].shape)) for r in query.network.relus}
    C, d = query.specification.C[0].numpy(), query.specification.d[0].numpy()
    best, planes = np.inf, list[tuple[Array, float]]()
    for pattern in _patterns(query, sizes):
        (M, c), rows = _forward(query.network, pattern, len(low))
        # Variables x and t: minimise t with C (M x + c) + d <= t.
        above = np.hstack([C @ M, -np.ones((len(C), 1))])
        inside = np.array([np.append(-r, 0.0) for r, _ in rows]).reshape(-1, len(low) + 1)
        known = np.concatenate([-(C @ c + d), [v for _, v in rows]])
        while True:
            found = linprog(
                np.append(np.zeros(len(low)), 1.0),
                A_ub=np.vstack([above, inside, *(np.append(a, 0.0) for a, _ in planes)]),
                b_ub=np.concatenate([known, [b for _, b in planes]]),
                bounds=[*zip(low, high, strict=True), (None, None)],
            )
            value = np.inf if found.fun is None else float(found.fun)
            plane = None if value >= best or found.x is None else _plane(query.region, found.x[:-1])
            if plane is None:
                break
            planes.append(plane)
        if found.status == 0:
            best = min(best, value)
    return float(best)


def _plane(region: Box, x: Array) -> tuple[Array, float] | None:
    """A plane ``a . x <= b`` that holds in the region's ball and not at ``x``, or None where x is in the ball."""
    if not isinstance(region, L2Ball | L1Ball):
        return None
    centre = region.centre[0].reshape(-1).numpy()
    away = x - centre
    length = np.linalg.norm(away, 2 if isinstance(region, L2Ball) else 1)
    if length <= float(region.epsilon) + 1e-7:
        return None
    a = away / length if isinstance(region, L2Ball) else np.sign(away)
    return a, float(region.epsilon) + a @ centre


def _patterns(query: Query, sizes: dict[int, int]) -> Iterator[dict[int, Array]]:
    """Every pattern of the ReLUs that interval arithmetic, done here in plain numpy, leaves free."""
    fixed: dict[int, list[tuple[int, ...]]] = {}
    values: list[tuple[Array, Array]] = []
    for i, node in enumerate(query.network.nodes):
        op = node.operator
        if isinstance(op, Input):
            values.append((query.region.lower[0].numpy().ravel() - 1e-9, query.region.upper[0].numpy().ravel() + 1e-9))
            continue
        args = [values[j] for j in node.inputs]
        if isinstance(op, Linear):
            W = op.matrix().toarray()
            bias = 0.0 if op.bias is None else op.full_bias().reshape(-1).numpy()
            mid, rad = (args[0][0] + args[0][1]) / 2, (args[0][1] - args[0][0]) / 2
            values.append((W @ mid - abs(W) @ rad + bias - 1e-9, W @ mid + abs(W) @ rad + bias + 1e-9))
        elif isinstance(op, Add):
            values.append((args[0][0] + args[1][0], args[0][1] + args[1][1]))
        elif isinstance(op, Concat):
            values.append((np.concatenate([a[0] for a in args]), np.concatenate([a[1] for a in args])))
        else:
            low, high = args[0]
            fixed[i] = [(1,) if lo > 0 else ((0,) if hi < 0 else (0, 1)) for lo, hi in zip(low, high, strict=True)]
            values.append((np.maximum(low, 0), np.maximum(high, 0)))
    free = sum(len(choice) == 2 for choices in fixed.values() for choice in choices)
    assert free <= LIMIT, f"{free} free ReLUs are too many to enumerate"
    flat = [choice for choices in fixed.values() for choice in choices]
    for combination in itertools.product(*flat):
        pattern, at = {}, 0
        for r, size in sizes.items():
            pattern[r] = np.array(combination[at : at + size], dtype=float)
            at += size
        yield pattern


def _forward(network: Network, pattern: Mapping[int, Array], inputs: int) -> tuple[Map, list[tuple[Array, float]]]:
    """The affine map of the network under a pattern, and the rows ``a . x + v >= 0`` where the pattern holds."""
    known: list[Map] = []
    rows: list[tuple[Array, float]] = []
    for i, node in enumerate(network.nodes):
        op = node.operator
        args = [known[j] for j in node.inputs]
        if isinstance(op, Input):
            known.append((np.eye(inputs), np.zeros(inputs)))
        elif isinstance(op, Linear):
            W = op.matrix().toarray()
            bias = 0.0 if op.bias is None else op.full_bias().reshape(-1).numpy()
            known.append((W @ args[0][0], W @ args[0][1] + bias))
        elif isinstance(op, Add):
            known.append((args[0][0] + args[1][0], args[0][1] + args[1][1]))
        elif isinstance(op, Concat):
            shapes = [network.nodes[j].shape for j in node.inputs]
            assert all(len([n for n in s if n != 1]) <= 1 for s in shapes), "the oracle concatenates vectors"
            known.append((np.concatenate([a[0] for a in args]), np.concatenate([a[1] for a in args])))
        elif isinstance(op, ReLU):
            M, c = args[0]
            on = pattern[i]
            rows += [(sign * m, sign * v) for m, v, sign in zip(M, c, 2 * on - 1, strict=True)]
            known.append((on[:, None] * M, on * c))
    return known[-1], rows
