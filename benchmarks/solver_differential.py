"""Random differential test of the solver back ends: who contradicts whom, who crashes, how long it took.

    python benchmarks/solver_differential.py --cases 200 --solvers highs scipy pulp

Cases run in worker processes, so a crash is counted and the run goes on behind it. Run it once for each
version of a back end, each in its own virtual environment, to choose the version to pin (docs/solvers.md:
what we found).
Families: ``lp`` random linear programs, feasible or not; ``mixed`` small mixed-integer programs with a
brute-force optimum; ``relu`` big-M programs of small random ReLU networks; ``session`` larger ones,
re-solved in one session under a short time limit, then with a target, a cutoff and to the end, as a
verifier does; ``heavy`` hard ones, truncated and then solved for seconds, to provoke crashes.
A complaint is never about tolerance: see ``SLACK``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from scipy.sparse import csr_array

import solvers
from solvers import LinearProgram, SolveOptions, SolveResult, Status

SLACK = 1e-4
"""Relative difference above which two claims contradict each other: 100 times the solvers' own tolerance."""


@dataclass(frozen=True)
class Complaint:
    """One contradiction: which solver, what kind, and the numbers."""

    solver: str
    kind: str
    detail: str


@dataclass(frozen=True, eq=False)
class ReluProgram:
    """A big-M program whose points can be checked: ``value`` evaluates the network itself at an input."""

    problem: LinearProgram
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    lower: np.ndarray
    upper: np.ndarray

    def value(self, x: np.ndarray, objective: np.ndarray) -> float:
        """Return the objective on the network's outputs at ``x``, clipped into the input box."""
        z = np.clip(x, self.lower, self.upper)
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = w @ z + b
            if layer < len(self.weights) - 1:
                z = np.maximum(z, 0.0)
        return float(objective @ z)


def random_linear(rng: np.random.Generator) -> LinearProgram:
    """Draw a linear program with mixed row kinds; about one in five is infeasible."""
    n, m = int(rng.integers(1, 40)), int(rng.integers(0, 40))
    dense = rng.normal(size=(m, n)) * (rng.random((m, n)) < rng.uniform(0.1, 1.0))
    if rng.random() < 0.3:
        dense = np.round(dense)
    lower = -rng.integers(0, 4, n).astype(float)
    upper = lower + rng.integers(0, 5, n)
    centre = dense @ rng.uniform(lower, upper) + (rng.normal(size=m) * 3 if rng.random() < 0.2 else 0.0)
    kind = rng.integers(0, 4, m)
    row_lower = np.where(kind == 0, -np.inf, centre - np.where(kind == 1, 0.0, rng.random(m)))
    row_upper = np.where(kind == 2, np.inf, np.where(kind == 1, centre, centre + rng.random(m)))
    row_lower = np.where(kind == 1, centre, row_lower)
    objective = np.round(rng.normal(size=n) * 3)
    return LinearProgram(objective, csr_array(dense), row_lower, row_upper, lower, upper, np.zeros(n, bool))


def random_mixed(rng: np.random.Generator) -> tuple[LinearProgram, float]:
    """Draw integers in small boxes and a continuous column; return the program and its enumerated optimum."""
    n, m = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    dense = np.round(rng.normal(size=(m, n + 1)) * 3) * (rng.random((m, n + 1)) < 0.7)
    if rng.random() < 0.5:
        dense[1:, n] = 0.0
    lower = -rng.integers(0, 3, n + 1).astype(float)
    upper = lower + rng.integers(0, 6, n + 1)
    kind = rng.integers(0, 3, m)
    side = np.round(dense @ rng.uniform(lower, upper) * 2) / 2
    row_lower, row_upper = np.where(kind == 0, -np.inf, side), np.where(kind == 2, np.inf, side + (kind == 1))
    objective = np.round(rng.normal(size=n + 1) * 4)
    integer = np.arange(n + 1) < n
    problem = LinearProgram(objective, csr_array(dense), row_lower, row_upper, lower, upper, integer)
    return problem, _enumerate(problem, dense)


def _enumerate(problem: LinearProgram, dense: np.ndarray) -> float:
    """Minimise over all integer points, the last column in closed form (the data are halves)."""
    n, best = problem.num_columns - 1, np.inf
    boxes = [np.arange(lo, hi + 1) for lo, hi in zip(problem.column_lower[:n], problem.column_upper[:n], strict=True)]
    for point in itertools.product(*boxes):
        rest, slope = dense[:, :n] @ np.array(point), dense[:, n]
        low, high = problem.column_lower[n], problem.column_upper[n]
        flat = slope == 0
        if ((rest < problem.row_lower) | (rest > problem.row_upper))[flat].any():
            continue
        first = (problem.row_lower - rest)[~flat] / slope[~flat]
        second = (problem.row_upper - rest)[~flat] / slope[~flat]
        low = max(low, np.minimum(first, second).max(initial=-np.inf))
        high = min(high, np.maximum(first, second).min(initial=np.inf))
        if low <= high:
            ends = problem.objective[n] * np.array([low, high])
            best = min(best, float(problem.objective[:n] @ np.array(point) + ends.min()))
    return best


def random_relu(rng: np.random.Generator, widths: tuple[int, ...], epsilon: float) -> ReluProgram:
    """Draw a He-initialised network, encoded over a box with interval bounds; unstable units get a binary."""
    weights = tuple(rng.normal(size=(b, a)) * np.sqrt(2 / a) for a, b in itertools.pairwise(widths))
    biases = tuple(rng.normal(size=w.shape[0]) * 0.1 for w in weights)
    centre = rng.random(widths[0])
    lower, upper = np.maximum(centre - epsilon, 0), np.minimum(centre + epsilon, 1)
    boxes, integer, rows = [(lower, upper)], [np.zeros(widths[0], bool)], []
    inputs, width = np.arange(widths[0]), widths[0]
    low, high = lower, upper
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        k = w.shape[0]
        pre = np.arange(width, width + k)
        middle, radius = w @ (low + high) / 2 + b, np.abs(w) @ (high - low) / 2 + 1e-9
        low, high = middle - radius, middle + radius
        rows += [(np.append(inputs, pre[i]), np.append(-w[i], 1.0), b[i], b[i]) for i in range(k)]
        boxes.append((low, high))
        integer.append(np.zeros(k, bool))
        width += k
        if layer == len(weights) - 1:
            break
        post, unstable = np.arange(width, width + k), np.flatnonzero((low < 0) & (high > 0))
        boxes.append((np.maximum(low, 0), np.maximum(high, 0)))
        integer.append(np.zeros(k, bool))
        width += k
        switch = np.arange(width, width + unstable.size)
        boxes.append((np.zeros(unstable.size), np.ones(unstable.size)))
        integer.append(np.ones(unstable.size, bool))
        width += unstable.size
        rows += [(np.array([post[i], pre[i]]), np.array([1.0, -1.0]), 0.0, 0.0) for i in np.flatnonzero(low >= 0)]
        for i, d in zip(unstable, switch, strict=True):
            rows.append((np.array([post[i], pre[i]]), np.array([1.0, -1.0]), 0.0, np.inf))
            rows.append((np.array([post[i], pre[i], d]), np.array([1.0, -1.0, -low[i]]), -np.inf, -low[i]))
            rows.append((np.array([post[i], d]), np.array([1.0, -high[i]]), -np.inf, 0.0))
        inputs, low, high = post, np.maximum(low, 0), np.maximum(high, 0)
    start = np.cumsum([0, *(r[0].size for r in rows)])
    index, value = np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows])
    matrix = csr_array((value, index, start), shape=(len(rows), width))
    sides = np.array([r[2:] for r in rows])
    box = np.concatenate([np.stack(pair) for pair in boxes], axis=1)
    objective = np.zeros(width)
    objective[-widths[-1]] = 1.0
    mask = np.concatenate(integer)
    problem = LinearProgram(objective, matrix, sides[:, 0], sides[:, 1], box[0], box[1], mask)
    return ReluProgram(problem, weights, biases, lower, upper)


def run_linear(rng: np.random.Generator, names: list[str]) -> Iterator[Complaint]:
    """Compare statuses, values, rigorous bounds and Farkas vectors on one linear program."""
    problem = random_linear(rng)
    results = {name: solvers.get_solver(name).solve(problem, SolveOptions(time_limit=20)) for name in names}
    solved = [r.primal_value for r in results.values() if r.status is Status.OPTIMAL]
    best = min(solved, default=np.inf)
    for name, result in results.items():
        if result.status not in (Status.OPTIMAL, Status.INFEASIBLE):
            yield Complaint(name, "no answer", f"{result.status.label} {result.notes}")
        elif result.status is Status.INFEASIBLE and solved:
            yield Complaint(name, "infeasible, others optimal", f"{best}")
        elif result.status is Status.OPTIMAL:
            if _above(result.primal_value, best) or _above(best, result.primal_value):
                yield Complaint(name, "other optimum", f"{result.primal_value} {best}")
            bound = solvers.safe_dual_bound(problem, result.row_dual)
            if _above(bound, best):
                yield Complaint(name, "SAFE BOUND ABOVE OPTIMUM", f"{bound} {best}")
            if _above(result.primal_value, bound):
                yield Complaint(name, "duals are loose", f"{result.primal_value} {bound}")
        elif result.farkas is not None and not solvers.proves_infeasible(problem, result.farkas):
            yield Complaint(name, "ray proves nothing", "")


def run_mixed(rng: np.random.Generator, names: list[str]) -> Iterator[Complaint]:
    """Compare with the enumerated optimum."""
    problem, truth = random_mixed(rng)
    for name in names:
        yield from _judge(name, solvers.get_solver(name).solve(problem, SolveOptions(time_limit=20)), truth, truth)


def run_relu(rng: np.random.Generator, names: list[str]) -> Iterator[Complaint]:
    """Compare the solvers with each other and with evaluated points of a small network."""
    widths = (int(rng.integers(2, 6)), int(rng.integers(2, 9)), int(rng.integers(2, 9)), 2)
    program = random_relu(rng, widths, float(rng.choice([0.05, 0.2, 0.5])))
    options = SolveOptions(time_limit=30)
    results = {name: solvers.get_solver(name).solve(program.problem, options) for name in names}
    truth = _best_point(program, np.array([1.0, 0.0]), list(results.values()), rng)
    for name, result in results.items():
        yield from _judge(name, result, truth, -np.inf)


def run_session(rng: np.random.Generator, names: list[str]) -> Iterator[Complaint]:
    """Use one session as a verifier does: short limits, then a target, a cutoff and full solves on new
    objectives."""
    program = random_relu(rng, (8, 14, 12, 3), float(rng.choice([0.15, 0.25])))
    columns = program.problem.num_columns
    for name in names:
        solver = solvers.get_solver(name)
        with solver.session(program.problem, SolveOptions(time_limit=20)) as session:
            for limit in (0.01, 0.05, 0.2, None, None, None):
                row = rng.normal(size=3)
                objective = np.zeros(columns)
                objective[-3:] = row
                result = session.solve(objective=objective, time_limit=limit)
                truth = _best_point(program, row, [result], rng)
                yield from _judge(name, result, truth, -np.inf)
                if limit is None and result.status is Status.OPTIMAL and solver.supports_cutoff:
                    yield from _early(name, program.problem.with_objective(objective), result.primal_value)


def run_heavy(rng: np.random.Generator, names: list[str]) -> Iterator[Complaint]:
    """Truncate a hard program a few times, then leave time for sub-MIPs, where crashes were reported."""
    program = random_relu(rng, (20, 30, 24, 2), float(rng.choice([0.15, 0.2, 0.25])))
    for name in names:
        for limit in (0.01, 0.01, 0.1, 0.3, 12.0):
            result = solvers.get_solver(name).solve(program.problem, SolveOptions(time_limit=limit))
            truth = _best_point(program, np.array([1.0, 0.0]), [result], rng)
            yield from _judge(name, result, truth, -np.inf)


def _early(name: str, problem: LinearProgram, optimum: float) -> Iterator[Complaint]:
    """Stop early on both sides of a known optimum: each answer is forced."""
    for distance, field, wanted in (
        (0.05, "stop_below", (Status.TARGET_REACHED, Status.OPTIMAL)),
        (-0.05, "cutoff", (Status.CUTOFF,)),
        (0.05, "cutoff", (Status.OPTIMAL,)),
    ):
        options = SolveOptions(time_limit=20, **{field: optimum + distance})
        result = solvers.get_solver(name).solve(problem, options)
        if result.status not in (*wanted, Status.TIME_LIMIT):
            yield Complaint(name, f"{field} {distance:+}", f"{result.status.label} {optimum}")
        if _above(result.dual_bound, optimum):
            yield Complaint(name, f"{field}: BOUND ABOVE OPTIMUM", f"{result.dual_bound} {optimum}")


def _best_point(program: ReluProgram, row: np.ndarray, results: list[SolveResult], rng: np.random.Generator) -> float:
    samples = rng.uniform(program.lower, program.upper, size=(200, program.lower.size))
    points = [*samples, *(r.x[: program.lower.size] for r in results if r.x is not None)]
    return min(program.value(point, row) for point in points)


def _judge(name: str, result: SolveResult, truth: float, floor: float) -> Iterator[Complaint]:
    """Complain about ``result`` given a value that is attained and a floor that is known (-inf: not
    known)."""
    if result.status is Status.INFEASIBLE and np.isfinite(truth):
        yield Complaint(name, "INFEASIBLE, a point exists", f"{truth}")
    elif result.status is Status.FAILED:
        yield Complaint(name, "no answer", f"{result.notes}")
    elif _above(result.dual_bound, truth) and result.status is not Status.INFEASIBLE:
        yield Complaint(name, f"BOUND ABOVE A POINT ({result.status.label})", f"{result.dual_bound} {truth}")
    elif result.status is Status.OPTIMAL and _above(floor, result.primal_value):
        yield Complaint(name, "point below the optimum", f"{result.primal_value} {floor}")
    elif result.status is Status.OPTIMAL and _above(truth, result.primal_value):
        yield Complaint(name, "point is not the network's", f"{result.primal_value} {truth}")


def _above(a: float, b: float) -> bool:
    return a > b + SLACK * max(1.0, abs(b)) if np.isfinite(b) else a > b


FAMILIES = {
    "lp": run_linear,
    "mixed": run_mixed,
    "relu": run_relu,
    "session": run_session,
    "heavy": run_heavy,
}


def work(family: str, first: int, count: int, names: list[str], seed: int) -> None:
    """Run cases here, one JSON line before and one after each, so that a crash shows where it was."""
    for case in range(first, first + count):
        print(json.dumps({"begin": case}), flush=True)
        rng = np.random.default_rng([seed, sorted(FAMILIES).index(family), case])
        started = time.perf_counter()
        complaints = [vars(c) for c in FAMILIES[family](rng, names)]
        print(
            json.dumps({"end": case, "seconds": time.perf_counter() - started, "complaints": complaints}),
            flush=True,
        )


def supervise(family: str, cases: int, names: list[str], seed: int) -> tuple[Counter[str], list[str], float]:
    """Run all cases in workers, restarting behind each crash; return counts, details and seconds."""
    counts: Counter[str] = Counter()
    details: list[str] = []
    case, seconds = 0, 0.0
    while case < cases:
        arguments = [family, str(case), str(cases - case), str(seed), *names]
        command = [sys.executable, __file__, "--work", *arguments]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        for line in worker.stdout:
            if not line.startswith("{"):
                continue
            record = json.loads(line)
            if "begin" in record:
                case = record["begin"]
                continue
            case, seconds = record["end"] + 1, seconds + record["seconds"]
            for complaint in record["complaints"]:
                key = f"{complaint['solver']}: {complaint['kind']}"
                counts[key] += 1
                details.append(f"{family} {record['end']} {key} {complaint['detail']}")
        code = worker.wait()
        if case < cases:
            error = (worker.stderr.read() if worker.stderr else "").strip().splitlines()[-1:]
            counts[f"CRASH (exit {code})"] += 1
            details.append(f"{family} {case} CRASH exit {code} {error}")
            case += 1
    return counts, details, seconds


def main() -> None:
    """Print one table: a line for each family and each kind of complaint."""
    if sys.argv[1:2] == ["--work"]:
        family, first, count, seed, *names = sys.argv[2:]
        work(family, int(first), int(count), names, int(seed))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100, help="cases of each family")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--solvers", nargs="+", default=list(solvers.available_solvers()))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for package in ("highspy", "scipy", "pulp", "numpy"):
        try:
            print(f"{package} {version(package)}", end="  ")
        except PackageNotFoundError:
            print(f"no {package}", end="  ")
    print("\n| family | solvers | cases | seconds | complaints |\n|---|---|---|---|---|")
    everything: list[str] = []
    for family in asked.families:
        counts, details, seconds = supervise(family, asked.cases, asked.solvers, asked.seed)
        said = "; ".join(f"{n} x {kind}" for kind, n in sorted(counts.items())) or "none"
        print(f"| {family} | {' '.join(asked.solvers)} | {asked.cases} | {seconds:.1f} | {said} |", flush=True)
        everything += details
    print("\n".join(everything))


if __name__ == "__main__":
    main()
