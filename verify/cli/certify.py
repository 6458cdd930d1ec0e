"""``reluproof certify``: one method on many inputs, a line for each, and an exit code that gates."""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

import verify
from verify.cli.inputs import Question, claim, read_question
from verify.cli.output import as_data, identity, write
from verify.errors import UsageError
from verify.files import made
from verify.wording import number, seconds, table

VERIFIED, FALSIFIED, UNKNOWN = 0, 1, 3  # exit codes


def run(arguments: argparse.Namespace) -> int:
    """Certify, print, and return the exit code."""
    share = arguments.fail_under
    if share is not None and not 0 <= share <= 1:
        raise UsageError(f"--fail-under is {share}: give a share between 0 and 1, such as 0.9")
    question = read_question(arguments)
    results = verify.certify_batch(
        question.network,
        question.inputs,
        question.labels,
        method=arguments.method,
        **question.where,
        **question.options,
        certificates=arguments.certificates is not None,
    )
    if arguments.save_counterexamples:
        save(arguments.save_counterexamples, question, results)
    if arguments.certificates:
        keep(arguments.certificates, question, results)
    if arguments.json:
        entries = [{"index": i, **as_data(r)} for i, r in zip(question.index, results, strict=True)]
        write({**identity(question), "results": entries}, arguments.json)
    if arguments.json != "-":
        print(report(question, results))
    return exit_code(results, share)


def exit_code(results: list[verify.Result], share: float | None) -> int:
    """0 when all are verified (or enough, with ``share``), 1 when one is falsified (or too few), 3 when some are open."""
    verdicts = Counter(r.verdict for r in results)
    if share is not None:
        return VERIFIED if verdicts[verify.Verdict.VERIFIED] >= share * len(results) else FALSIFIED
    if verdicts[verify.Verdict.FALSIFIED]:
        return FALSIFIED
    return UNKNOWN if verdicts[verify.Verdict.UNKNOWN] else VERIFIED


def report(question: Question, results: list[verify.Result]) -> str:
    """A line per input, and the counts."""
    rows = []
    for i, r in zip(question.index, results, strict=True):
        worst = min(r.margins, key=lambda row: row.lower)
        note = r.reason
        if r.counterexample is not None:
            same = r.predicted != r.label
            note = "misclassified as it is" if same else f"counterexample: class {r.counterexample.predicted}"
        if r.verdict is verify.Verdict.VERIFIED:
            note = r.evidence.label
        cells = [str(i), r.verdict.value, str(r.label), str(r.predicted), str(worst.target)]
        rows.append([*cells, number(r.lower), number(r.upper), seconds(r.seconds), note])
    header = ["input", "verdict", "label", "predicted", "worst target", "margin >=", "margin <=", "time", "note"]
    return "\n".join([f"claim: {claim(question)}", "", table(header, rows, left=2), "", summary(results)])


def summary(results: list[verify.Result]) -> str:
    """How many of each verdict, and why the unknown ones are."""
    verdicts = Counter(r.verdict for r in results)
    reasons = Counter(r.reason for r in results if r.verdict is verify.Verdict.UNKNOWN)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    parts = [f"{verdicts[v]} {v.value}" for v in verify.Verdict]
    share = verdicts[verify.Verdict.VERIFIED] / len(results)
    method = results[0].method
    spent = seconds(sum(r.seconds for r in results))
    return f"{method}: {', '.join(parts)}{f' ({why})' if why else ''}; {share:.1%} verified, {spent} in all"


def keep(folder: str, question: Question, results: list[verify.Result]) -> None:
    """A certificate for each input that has one, named after the input's index, and the network that they are about."""
    out = made(folder)
    verify.save_network(question.network, out / "network.reluproof")
    for i, result in zip(question.index, results, strict=True):
        if result.certificate is not None:
            result.certificate.save(out / f"{i}.reluproof")


def save(path: str, question: Question, results: list[verify.Result]) -> None:
    """The counterexamples as an npz file: index, x, label, predicted."""
    found = [(i, r) for i, r in zip(question.index, results, strict=True) if r.counterexample is not None]
    points = [r.counterexample.x.numpy() for _, r in found if r.counterexample is not None]
    try:
        np.savez(
            path,
            index=np.array([i for i, _ in found], dtype=np.int64),
            x=np.stack(points) if points else np.zeros((0, *question.network.input_shape)),
            label=np.array([r.label for _, r in found], dtype=np.int64),
            predicted=np.array([r.counterexample.predicted for _, r in found if r.counterexample], dtype=np.int64),
        )
    except OSError as error:
        raise UsageError(f"cannot write {path!r}: {error.strerror}") from None
