"""``reluproof attack``: search for counterexamples, a line for each input, and what the search is worth."""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

import verify
from verify.cli.inputs import Question, read_question
from verify.cli.output import identity, write
from verify.errors import UsageError
from verify.files import made
from verify.wording import number, seconds, table

NONE_FOUND, FOUND = 0, 1  # exit codes
_FILE = "counterexamples.npz"
_MARK = {True: "passed", False: "FAILED", None: "-"}


def run(arguments: argparse.Namespace) -> int:
    """Attack, print, and return the exit code."""
    options = {
        "method": arguments.method,
        "loss": arguments.loss,
        "targets": "all" if arguments.targeted else None,
        "restarts": arguments.restarts,
        "steps": arguments.steps,
        "start": arguments.start,
        "step_size": arguments.step_size,
        "seed": arguments.seed,
        "timeout": arguments.timeout,
    }
    question = read_question(arguments, options=options)
    surrogates = [verify.load(path) for path in arguments.surrogate]
    found = verify.attack(
        question.network,
        question.inputs,
        question.labels,
        **_where(question),
        diagnose=not arguments.no_diagnosis,
        surrogates=surrogates,
        **options,
    )
    if arguments.out:
        save(arguments.out, question, found)
    if arguments.json:
        write({**identity(question), **as_data(question, found)}, arguments.json)
    if arguments.json != "-":
        print(report(question, found))
    return FOUND if any(one.attacked for one in found.inputs) else NONE_FOUND


def _where(question: Question) -> dict[str, Any]:
    radius = question.where["epsilon"]
    return {**question.where, "epsilon": None if radius == "inf" else radius}


def report(question: Question, found: verify.AttackReport) -> str:
    """A line per input, the totals, and the diagnosis."""
    rows = []
    for i, one in zip(question.index, found.inputs, strict=True):
        note = one.by if one.attacked else one.reason
        if not one.correct:
            note = "misclassified as it is"
        elif one.counterexample is not None:
            note = f"class {one.counterexample.predicted} by {one.by}"
        distance = "-" if one.distance is None else number(one.distance)
        cells = [str(i), one.verdict.value, str(one.label), str(one.predicted), number(one.margin), distance]
        rows.append([*cells, str(one.queries), seconds(one.seconds), note])
    header = ["input", "verdict", "label", "predicted", "margin", "distance", "queries", "time", "note"]
    parts = [f"asked: {_asked(question, found)}", "", table(header, rows, left=2), "", summary(found)]
    if found.diagnosis:
        parts += ["", "diagnosis of gradient masking:", "", diagnosis(found)]
    return "\n".join(parts)


def _asked(question: Question, found: verify.AttackReport) -> str:
    clip = question.where["clip"]
    inside = "" if clip is None else f" within [{clip[0]}, {clip[1]}]"
    norm = found.norm.replace("linf", "inf")
    if found.epsilon is None:
        return f"the x{inside} nearest to the input in |.|_{norm} that is not classified as its label"
    return f"an x{inside} with |x - input|_{norm} <= {question.where['epsilon']} that is not classified as its label"


def summary(found: verify.AttackReport) -> str:
    """Clean and attacked error, and what it took."""
    late = sum(one.reason == "timeout" for one in found.inputs)
    why = f" ({late} timeout)" if late else ""
    count = sum(one.attacked for one in found.inputs)
    text = (
        f"{found.method}: clean error {found.clean_error:.1%}, attacked error {found.attacked_error:.1%} "
        f"({count} of {len(found.inputs)} falsified, {len(found.inputs) - count} unknown{why}), {seconds(found.seconds)} in all"
    )
    lengths = sorted(one.distance for one in found.inputs if one.distance is not None and one.correct)
    if found.epsilon is None and lengths:
        text += f"; median distance {number(lengths[len(lengths) // 2])}"
    return text


def diagnosis(found: verify.AttackReport) -> str:
    """A line for each check, and what the failures mean."""
    rows = [[finding.check, _MARK[finding.passed], finding.words] for finding in found.diagnosis]
    lines = table(["check", "result", "what was seen"], rows, left=3)
    if found.violations:
        named = ", ".join(finding.check for finding in found.violations)
        lines += f"\n\nthe attacked error is not to be trusted as a measure of robustness: {named}"
    return lines


def as_data(question: Question, found: verify.AttackReport) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "attack": found.method,
        "clean_error": found.clean_error,
        "attacked_error": found.attacked_error,
        "seconds": found.seconds,
        "diagnosis": [{"check": f.check, "passed": f.passed, "words": f.words} for f in found.diagnosis],
        "results": [
            {
                "index": i,
                "verdict": one.verdict.value,
                "reason": one.reason,
                "label": one.label,
                "predicted": one.predicted,
                "correct": one.correct,
                "margin": one.margin if math.isfinite(one.margin) else None,
                "distance": one.distance,
                "queries": one.queries,
                "seconds": one.seconds,
                "by": one.by,
                "counterexample": None
                if one.counterexample is None
                else {"predicted": one.counterexample.predicted, "x": one.counterexample.x.flatten().tolist()},
            }
            for i, one in zip(question.index, found.inputs, strict=True)
        ],
    }


def save(folder: str, question: Question, found: verify.AttackReport) -> None:
    """``counterexamples.npz`` in ``folder``: inputs (K, *shape) float32, labels, predictions, indices, distances (K,)."""
    kept = [(i, one) for i, one in zip(question.index, found.inputs, strict=True) if one.counterexample is not None]
    points = [one.counterexample.x.numpy() for _, one in kept if one.counterexample is not None]
    whole = np.stack(points) if points else np.zeros((0, *question.network.input_shape))
    small = whole.astype(np.float32)
    out = made(folder)
    try:
        np.savez(
            out / _FILE,
            # Counterexamples are float32 numbers wherever the region holds any; the few that are not stay float64.
            inputs=small if np.array_equal(small.astype(np.float64), whole) else whole,
            labels=np.array([one.label for _, one in kept], dtype=np.int64),
            predictions=np.array(
                [one.counterexample.predicted for _, one in kept if one.counterexample], dtype=np.int64
            ),
            indices=np.array([i for i, _ in kept], dtype=np.int64),
            distances=np.array([one.distance for _, one in kept], dtype=np.float64),
        )
    except OSError as error:
        raise UsageError(f"cannot write into {folder!r}: {error.strerror}") from None
