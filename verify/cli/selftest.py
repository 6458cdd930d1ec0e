"""``reluproof selftest``: is what is installed here to be trusted?"""

from __future__ import annotations

import argparse
from dataclasses import asdict

import verify
from verify.cli.output import versions, write
from verify.wording import seconds, table

PASSED, FAILED = 0, 1


def run(arguments: argparse.Namespace) -> int:
    """Ask, print what was tried, and every contradiction; 1 if there is one."""
    found = verify.selftest(seed=arguments.seed, seconds=arguments.seconds)
    if arguments.json:
        write({**asdict(found), "passed": found.passed, "versions": versions()}, arguments.json)
    if arguments.json != "-":
        print(report(found))
    return PASSED if found.passed else FAILED


def report(found: verify.SelfTest) -> str:
    """The table, and the conclusion."""
    header = ["semantics", "method", "questions", "bounds", "verified", "falsified", "open", "certificates", "wrong"]
    rows = [
        [
            *(r.semantics, r.method, str(r.questions), str(r.bounds), str(r.verified), str(r.falsified), str(r.open)),
            *(str(r.certificates), str(r.contradictions)),
        ]
        for r in found.rows
    ]
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = [
        "small random networks, with counterexamples planted and margins near zero; every bound against exact values",
        f"seed {found.seed}, {found.questions} questions, {seconds(found.seconds)}; {used}",
        "",
        *([table(header, rows, left=2), ""] if rows else []),
    ]
    if found.passed:
        return "\n".join([*lines, "passed: no bound, verdict or certificate contradicts the truth"])
    wrong = [f"CONTRADICTION: {what}" for what in found.contradictions]
    return "\n".join([*lines, *wrong, "", f"FAILED: {len(wrong)} contradictions; trust no result of this installation"])
