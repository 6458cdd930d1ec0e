"""``reluproof radius``: up to which radius each input is verified, and from which on it is broken."""

from __future__ import annotations

import argparse
from typing import Any

import verify
from verify.cli.inputs import Question, read_question
from verify.cli.output import identity, write
from verify.wording import seconds, table


def run(arguments: argparse.Namespace) -> int:
    """Bisect each input, print a line for it. Exit code 0."""
    question = read_question(arguments)
    where = {k: v for k, v in question.where.items() if k != "epsilon"}
    found = [
        verify.certified_radius(
            question.network,
            x,
            int(label),
            most=question.where["epsilon"],
            resolution=arguments.resolution,
            method=arguments.method,
            **where,
            **question.options,
        )
        for x, label in zip(question.inputs, question.labels, strict=True)
    ]
    if arguments.json:
        entries = [{"index": i, **as_data(one)} for i, one in zip(question.index, found, strict=True)]
        asked = {**identity(question), "resolution": str(found[0].resolution), "most": str(found[0].most)}
        write({**asked, "radii": entries}, arguments.json)
    if arguments.json != "-":
        print(report(question, found))
    return 0


def report(question: Question, found: list[verify.Radius]) -> str:
    """A line per input."""
    rows = []
    for i, one in zip(question.index, found, strict=True):
        certified = "misclassified" if one.certified is None else f"{float(one.certified):g}"
        broken = "-" if one.broken is None else f"{float(one.broken):g}"
        note = "" if one.exact else f"{one.open} radii in between stayed unknown"
        rows.append([str(i), str(one.label), certified, broken, seconds(one.seconds), note])
    header = ["input", "label", "verified up to", "broken from", "time", "note"]
    steps = f"radii in steps of {float(found[0].resolution):g} up to {float(found[0].most):g}, {question.where['norm']}"
    return "\n".join([steps, "", table(header, rows)])


def as_data(one: verify.Radius) -> dict[str, Any]:
    """The radius as plain data; radii as exact fractions in text."""
    return {
        "label": one.label,
        "predicted": one.predicted,
        "certified": None if one.certified is None else str(one.certified),
        "broken": None if one.broken is None else str(one.broken),
        "exact": one.exact,
        "unknown": one.open,
        "evidence": None if one.evidence is None else one.evidence.label,
        "seconds": one.seconds,
        "counterexample": None if one.counterexample is None else one.counterexample.x.flatten().tolist(),
    }
