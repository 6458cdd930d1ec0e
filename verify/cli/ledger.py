"""``reluproof check --ledger``: a whole ledger checked from networks, data and evidence."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import verify
from verify.cli.inputs import importable_here
from verify.cli.output import write

ACCEPTED, REJECTED = 0, 1  # exit codes
SHOWN = 20  # reasons that are printed; the JSON has all


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 where every line that claims something was confirmed, 1 otherwise; what cannot be read is raised."""
    importable_here()
    found = verify.audit(arguments.ledger, verify.read_policy(arguments.policy), cache=arguments.cache)
    if arguments.json:
        write({"accepted": found.accepted, **asdict(found)}, arguments.json)
    if arguments.json != "-":
        print(report(found))
    return ACCEPTED if found.accepted else REJECTED


def report(found: verify.Audit) -> str:
    """Accepted or rejected, with the first reasons."""
    counts = ", ".join(f"{count} {state}" for state, count in found.confirmed.items())
    lines = ["ACCEPTED" if found.accepted else "REJECTED"]
    lines.append(f"confirmed by their evidence: {counts}; {found.undecided} lines claim nothing")
    lines += found.rejected[:SHOWN]
    more = len(found.rejected) - SHOWN
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])
