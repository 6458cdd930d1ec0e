"""Entry point of the command ``reluproof``: dispatch, and one clear line for every error."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import import_module

from verify import __version__
from verify.cli.arguments import parser
from verify.cli.workers import check_device, use_workers
from verify.errors import ReluproofError, SoundnessError

MISUSE, CONTRADICTION, INTERRUPTED = 2, 4, 130

_COMMANDS = {
    "attack": "verify.cli.attack",
    "certify": "verify.cli.certify",
    "check": "verify.cli.ledger",
    "compare": "verify.cli.compare",
    "explain": "verify.cli.explain",
    "gate": "verify.cli.gate",
    "info": "verify.cli.info",
    "merge": "verify.cli.merge",
    "radius": "verify.cli.radius",
    "report": "verify.cli.report",
    "run": "verify.cli.run",
    "demo": "verify.cli.demo",
    "plot": "verify.cli.plot",
    "selftest": "verify.cli.selftest",
    "train": "verify.cli.train",
    "transfer": "verify.cli.transfer",
    "verify": "verify.cli.verify",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["check"] and not any(word.startswith("--ledger") for word in words):
        # The checker of certificates is a program of its own, which needs nothing of ours.
        return int(import_module("verify.check.__main__").main(words[1:]))
    begun = time.perf_counter()  # a time limit counts from here: importing torch takes longer than most questions
    arguments = parser(__version__).parse_args(words)
    try:
        arguments.begun = begun
        if "device" in arguments:
            check_device(arguments.device)
        if "workers" in arguments:
            arguments.workers = use_workers(arguments.workers)
        return int(import_module(_COMMANDS[arguments.command]).run(arguments))
    except SoundnessError as error:
        print(f"reluproof: contradiction: {error}", file=sys.stderr)
        return CONTRADICTION
    except _refusals() as error:  # called only when something was raised
        print(f"reluproof: error: {' '.join(str(error).split())}", file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        kept = "; what is settled is kept, --resume goes on" if arguments.command in ("run", "train") else ""
        print(f"reluproof: interrupted{kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away (| head)
        sys.stderr.close()
        return 0


def _refusals() -> tuple[type[Exception], ...]:
    """What is reported in one line. The solvers' room brings scipy, which most commands do without."""
    from solvers.errors import SolverFailure

    return ReluproofError, SolverFailure


if __name__ == "__main__":
    sys.exit(main())
