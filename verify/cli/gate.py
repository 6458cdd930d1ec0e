"""``reluproof gate``: judge a policy, print what came of it, write it where people and programs look, and gate by exit code."""

from __future__ import annotations

import argparse
import os
import sys

import verify
from verify.cli.inputs import importable_here
from verify.cli.output import write_text

FILES = ("json", "junit", "sarif", "markdown")
"""The formats that have an option of their own, which names a file."""


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 passed, 1 failed, 3 not decided in time; 2, misuse, is raised."""
    importable_here()
    policy = verify.read_policy(arguments.policy)
    outcome = verify.gate(
        policy, baseline=arguments.baseline, compare=not arguments.no_baseline, workers=arguments.workers
    )
    if arguments.ledger:
        verify.write_ledger(arguments.ledger, outcome)
    for name in FILES:
        if file := getattr(arguments, name):
            write_text(verify.GATE_FORMATS[name](outcome), file)
    if arguments.html:
        verify.report([], arguments.html, gate=outcome)
    print(verify.GATE_FORMATS["text"](outcome), end="")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print(verify.GATE_FORMATS["github"](outcome), end="")
        if not verify.append_step_summary(outcome, os.environ):
            print("reluproof: no step summary: none was asked for, or it would be too long", file=sys.stderr)
    return outcome.exit_code
