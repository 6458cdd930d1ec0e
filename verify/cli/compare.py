"""``reluproof compare``: the picture of the field on one question."""

from __future__ import annotations

import argparse
from typing import Any

import verify
from verify.cli.certify import exit_code
from verify.cli.inputs import Question, claim, read_question
from verify.cli.output import as_data, identity, write
from verify.errors import UsageError
from verify.wording import number, seconds, table

_MARK = {verify.Verdict.VERIFIED: "+", verify.Verdict.FALSIFIED: "x", verify.Verdict.UNKNOWN: "?"}
_LEGEND = "+ verified   ? open   x falsified   ! a solver's claim, not recomputed   gap: best upper bound - lower bound"


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, and return the exit code of the best method."""
    question = read_question(arguments)
    if len(question.index) != 1:
        raise UsageError(
            f"compare takes one input, --index {arguments.index} names {len(question.index)}: give one number"
        )
    chosen: dict[str, Any] = {} if not arguments.methods else {"methods": tuple(arguments.methods)}
    chosen |= question.where | question.options
    comparison = verify.compare(question.network, question.inputs[0], int(question.labels[0]), **chosen)
    if arguments.json:
        write({**identity(question), **comparison_data(comparison)}, arguments.json)
    if arguments.json != "-":
        print(report(question, comparison))
    return overall(comparison)


def overall(comparison: verify.Comparison) -> int:
    """0 when some method verified, 1 when some method falsified, 3 otherwise."""
    verdicts = [exit_code([r], None) for r in comparison.results.values()]
    return 0 if 0 in verdicts else min(verdicts)


def comparison_data(comparison: verify.Comparison) -> dict[str, object]:
    """The comparison as plain data: targets, best upper bounds, and every method's result with its gaps."""
    return {
        "targets": list(comparison.targets),
        "upper": list(comparison.upper),
        "methods": {m: {**as_data(r), "gap": list(comparison.gap(m))} for m, r in comparison.results.items()},
    }


def report(question: Question, comparison: verify.Comparison) -> str:
    """Margins by target and method, then a line per method, then the ReLUs of each layer."""
    first = next(iter(comparison.results.values()))
    head = f"input {question.index[0]}, label {first.label}, predicted {first.predicted}\nclaim: {claim(question)}"
    return "\n\n".join([head, f"{margins(comparison)}\n{_LEGEND}", methods(comparison), relus(comparison)])


def margins(comparison: verify.Comparison) -> str:
    """A row per target: the best upper bound, and for each method its lower bound, a mark and the gap."""
    header = ["target", "margin <="]
    for method in comparison.results:
        header += [f"{method} >=", "", "gap"]
    rows = []
    for k, target in enumerate(comparison.targets):
        cells = [str(target), number(comparison.upper[k])]
        for method, result in comparison.results.items():
            row = result.margins[k]
            claimed = row.evidence is verify.Evidence.SOLVER_CLAIM
            cells += [number(row.lower), "!" if claimed else _MARK[row.verdict], number(comparison.gap(method)[k])]
        rows.append(cells)
    return table(header, rows)


def methods(comparison: verify.Comparison) -> str:
    """A row per method: verdict, evidence, smallest lower bound, time."""
    rows = []
    for method, r in comparison.results.items():
        claims = any(row.evidence is verify.Evidence.SOLVER_CLAIM for row in r.margins)
        how = "solver claim" if claims else "recomputed"
        rows.append([method, r.verdict.value, how, number(r.lower), seconds(r.seconds), r.reason])
    return table(["method", "verdict", "evidence of bounds", "smallest margin >=", "time", "why open"], rows, left=3)


def relus(comparison: verify.Comparison) -> str:
    """A row per layer: active, inactive and unstable ReLUs under each method's pre-activation bounds."""
    names = list(next(iter(comparison.results.values())).layers)
    if not names:
        return "no ReLUs"
    rows = []
    for name in names:
        counts = [r.layers[name] for r in comparison.results.values()]
        rows.append([name, str(sum(counts[0])), *["/".join(str(n) for n in c) for c in counts]])
    return table(["ReLU layer", "size", *comparison.results], rows) + "\nactive/inactive/unstable"
