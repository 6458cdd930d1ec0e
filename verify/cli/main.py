"""Entry point of the command ``reluproof``: dispatch, and one clear line for every error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from verify import __version__
from verify.cli.arguments import parser
from verify.cli.threads import use_threads
from verify.errors import ReluproofError, SoundnessError

MISUSE, CONTRADICTION, INTERRUPTED = 2, 4, 130

_COMMANDS = {
    "attack": "verify.cli.attack",
    "certify": "verify.cli.certify",
    "compare": "verify.cli.compare",
    "info": "verify.cli.info",
    "demo": "verify.cli.demo",
    "verify": "verify.cli.verify",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = parser(__version__).parse_args(argv)
    try:
        if "threads" in arguments:
            use_threads(arguments.threads)
        return int(import_module(_COMMANDS[arguments.command]).run(arguments))
    except SoundnessError as error:
        print(f"reluproof: contradiction: {error}", file=sys.stderr)
        return CONTRADICTION
    except _refusals() as error:  # called only when something was raised
        print(f"reluproof: error: {' '.join(str(error).split())}", file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        print("reluproof: interrupted", file=sys.stderr)
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
