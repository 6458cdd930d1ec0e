"""``reluproof explain``: why an input stays unknown, and what might decide it."""

from __future__ import annotations

import argparse
from typing import Any

import verify
from verify.cli.inputs import Question, claim, read_question
from verify.cli.output import identity, write
from verify.errors import UsageError
from verify.wording import number, seconds, table


def run(arguments: argparse.Namespace) -> int:
    """Explain one input. Exit code 0."""
    question = read_question(arguments)
    if len(question.index) != 1:
        raise UsageError(f"explain takes one input, --index names {len(question.index)}: give one number")
    found = verify.explain(
        question.network,
        question.inputs[0],
        int(question.labels[0]),
        **question.where,
        more=arguments.more,
        **question.options,
    )
    if arguments.json:
        write({**identity(question), "index": question.index[0], **as_data(found)}, arguments.json)
    if arguments.json != "-":
        print(report(question, found))
    return 0


def report(question: Question, found: verify.Explanation) -> str:
    """The methods, the gap of each target, the layers, the neurons, and what follows from them."""
    head = f"input {question.index[0]}, label {found.label}\nclaim: {claim(question)}"
    methods = table(
        ["method", "verdict", "smallest margin >=", "time", "note"],
        [[m, r.verdict.value, number(r.lower), seconds(r.seconds), r.reason] for m, r in found.results.items()],
        left=2,
    )
    rows = found.results["alpha"].margins
    upper = {row.target: min(r.margins[k].upper for r in found.results.values()) for k, row in enumerate(rows)}
    gaps = table(
        ["target", "margin >=", "margin <=", "gap"],
        [
            [str(row.target), *(number(v) for v in (row.lower, upper[row.target], upper[row.target] - row.lower))]
            for row in rows
        ],
    )
    total = found.loss or 1.0
    layers = table(
        ["layer", "active", "inactive", "unstable", "may lose", "share"],
        [
            [x.layer, str(x.active), str(x.inactive), str(x.unstable), number(x.loss), f"{x.loss / total:.0%}"]
            for x in found.layers
        ],
    )
    neurons = table(
        ["neuron", "y >=", "y <=", "may lose"],
        [[f"{x.layer}[{x.neuron}]", number(x.lower), number(x.upper), number(x.loss)] for x in found.neurons],
    )
    parts = [
        head,
        methods,
        f"Bounds of alpha-CROWN by target:\n\n{gaps}",
        f"Where its bound of target {found.target}, {number(found.lower)}, may lose what (the margin there is at most "
        f"{number(found.upper)}):\n\n{layers}",
        f"The neurons that may lose most:\n\n{neurons}",
        "\n".join(advice(found)),
    ]
    return "\n\n".join(parts)


def advice(found: verify.Explanation) -> list[str]:
    """What follows, each a fact that was seen."""
    said = []
    for method, result in found.results.items():
        if result.verdict is verify.Verdict.VERIFIED or result.counterexample is not None:
            said.append(f"{method} decides it: {result.verdict.value} in {seconds(result.seconds)}.")
            return said
    complete, lp, alpha = (found.results[m] for m in ("complete", "lp", "alpha"))
    said.append(
        f"complete stopped after {seconds(complete.seconds)}: {complete.reason} (docs/complete.md: what each reason means)."
    )
    if found.later is not None:
        said.append(_later(complete, found.later))
    if lp.lower - alpha.lower < 0.1 * (found.upper - found.lower):
        said.append(
            "The linear program closes less than a tenth of the gap: a better relaxation of one neuron won't do."
        )
    said.append(f"{sum(layer.unstable for layer in found.layers)} neurons are unstable.")
    return said


def _later(complete: verify.Result, later: verify.Result) -> str:
    """What more time did: it was tried."""
    if later.verdict is verify.Verdict.UNKNOWN:
        return f"With {seconds(later.seconds)} it does not decide it either: {later.reason}."
    return f"With more time it decides it: {later.verdict.value} in {seconds(later.seconds)}, not {seconds(complete.seconds)}."


def as_data(found: verify.Explanation) -> dict[str, Any]:
    """The explanation as plain data."""
    return {
        "label": found.label,
        "target": found.target,
        "lower": found.lower,
        "upper": found.upper,
        "loss": found.loss,
        "later": None
        if found.later is None
        else {"verdict": found.later.verdict.value, "seconds": found.later.seconds, "reason": found.later.reason},
        "layers": [vars(layer) for layer in found.layers],
        "neurons": [vars(neuron) for neuron in found.neurons],
        "methods": {
            m: {"verdict": r.verdict.value, "lower": r.lower, "seconds": r.seconds, "reason": r.reason}
            for m, r in found.results.items()
        },
    }
