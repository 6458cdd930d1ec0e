"""``reluproof verify``: a VNN-LIB property of a network, answered in the competition's words.

This is the only place where ``sat`` and ``unsat`` are said: a VNN-LIB file describes the counterexample, so a property that
is verified is ``unsat`` and one that is falsified is ``sat``.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import torch

import verify
from verify.cli.inputs import read_network
from verify.cli.output import named, versions, write
from verify.wording import MEANING, seconds

CODES = {"unsat": 0, "sat": 1, "unknown": 3, "timeout": 3}
ENDING = 0.2  # seconds for what comes after the search: writing, and the interpreter's own end
LEAST_TIME = 0.001  # seconds left to a search whose time went into reading the files: it ends at once, as a timeout


def run(arguments: argparse.Namespace) -> int:
    """Answer, print the word, write what was asked for, and return the exit code."""
    begun = time.perf_counter()
    limit = arguments.timeout
    if limit is not None and not 0 < limit < math.inf:
        raise verify.UsageError(f"timeout is {limit:g}: give a positive number of seconds")
    network = read_network(arguments)
    prop = verify.load_property(arguments.property, network)
    replays = verify.replays(arguments.model, network)
    read = time.perf_counter()
    decision = verify.decide(
        network,
        prop,
        timeout=None if limit is None else max(limit - (read - arguments.begun) - ENDING, LEAST_TIME),
        seed=arguments.seed,
        workers=arguments.workers,
        replays=replays,
        certificate=arguments.certificate is not None,
        semantics=arguments.semantics,
    )
    said = word(decision)
    found = None if decision.counterexample is None else Witness(decision.counterexample.x, replays[0])
    if arguments.witness:
        _save(arguments.witness, said if found is None else f"{said}\n{found.text()}")
    if decision.certificate is not None:
        _keep(decision.certificate, arguments.certificate)
    print(said)
    if arguments.verbose:
        print(_details(decision, prop, read - begun))
    if arguments.json:
        write(_data(arguments, network, prop, decision, found, read - begun), arguments.json)
    return CODES[said]


def word(decision: verify.Decision) -> str:
    """The competition's word for a decision."""
    if decision.verdict is verify.Verdict.UNKNOWN:
        return "timeout" if decision.reason.startswith("timeout") else "unknown"
    return "sat" if decision.verdict is verify.Verdict.FALSIFIED else "unsat"


class Witness:
    """A counterexample x (input shape) and the outputs that a runtime has there, each evaluated once."""

    def __init__(self, x: torch.Tensor, replay: Any) -> None:
        self.x = x.flatten().tolist()
        self.y = replay(x.unsqueeze(0))[0].tolist()
        self.runtime = replay.name

    def text(self) -> str:
        """The competition's format, ``((X_0 v) ... (Y_0 v) ...)``; every decimal is exactly the number evaluated."""
        pairs = [*((f"X_{i}", v) for i, v in enumerate(self.x)), *((f"Y_{j}", v) for j, v in enumerate(self.y))]
        return "(" + "\n ".join(f"({name} {exact(value)})" for name, value in pairs) + ")"


def exact(value: float) -> str:
    """All digits of a float64, without an exponent, which not every reader of witnesses takes."""
    return format(Decimal(value), "f")


def _keep(found: verify.Certificate | verify.Refused, path: str) -> None:
    """Write the certificate; a complaint where there is none does not change the answer, which stands without it."""
    if isinstance(found, verify.Certificate):
        found.save(path)
    else:
        print(f"reluproof: no certificate was written: {found.reason}", file=sys.stderr)


def _save(path: str, text: str) -> None:
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise verify.UsageError(f"cannot write {path!r}: {error.strerror}") from None


def _details(decision: verify.Decision, prop: verify.Property, reading: float) -> str:
    found = decision.counterexample
    lines = [
        f"{decision.verdict.value}{f' ({decision.reason})' if decision.reason else ''}",
        f"{len(prop.clauses)} clauses over {len({id(c.region) for c in prop.clauses})} boxes, "
        f"{decision.domains} domains bounded",
        f"claim: {MEANING[decision.semantics]}",
        f"read in {seconds(reading)}, decided in {seconds(decision.seconds)}",
    ]
    if found is not None:
        lines.append(f"the counterexample satisfies clause {found.clause}")
    return "\n".join(lines)


def _data(
    arguments: argparse.Namespace,
    network: verify.Network,
    prop: verify.Property,
    decision: verify.Decision,
    found: Witness | None,
    reading: float,
) -> dict[str, Any]:
    counterexample = decision.counterexample
    return {
        "result": word(decision),
        "verdict": decision.verdict.value,
        "reason": decision.reason,
        "domains": decision.domains,
        "seconds": {"reading": reading, "deciding": decision.seconds},
        "network": named(network),
        "property": {"source": prop.source, "clauses": len(prop.clauses)},
        "options": {"timeout": arguments.timeout, "seed": arguments.seed, "workers": arguments.workers},
        "semantics": decision.semantics,
        "versions": versions(),
        "counterexample": None
        if found is None or counterexample is None
        else {"clause": counterexample.clause, "x": found.x, "y": found.y, "runtime": found.runtime},
    }
