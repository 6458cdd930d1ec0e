"""``python -m verify.check FILE --network NETWORK``: exit code 0 for accepted, 1 for rejected, 2 for unreadable or misused."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from verify.check.arithmetic import ARITHMETICS
from verify.check.container import MAX_BYTES
from verify.check.report import Report, check


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a file, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m verify.check", description="Check a certificate (FORMAT.md).")
    parser.add_argument("file", metavar="FILE", help="the certificate")
    parser.add_argument("--network", required=True, help="the network it is about: a network file, or ONNX")
    parser.add_argument("--arithmetic", choices=sorted(ARITHMETICS), default="float64")
    parser.add_argument("--max-bytes", type=int, default=MAX_BYTES, help="refuse files that decompress to more")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    given = parser.parse_args(arguments)
    try:
        certificate, network = (_bytes(path, given.max_bytes) for path in (given.file, given.network))
        report = check(certificate, network, arithmetic=given.arithmetic, max_bytes=given.max_bytes)
    except OSError as error:
        report = Report(False, f"{error.filename}: {error.strerror}", readable=False)
    except Exception as error:  # a file must never bring a traceback, or an exit code that says it was checked
        report = Report(False, f"the checker failed ({type(error).__name__}: {error!s:.200})", readable=False)
    print(json.dumps(asdict(report)) if given.json else _lines(report))
    return 0 if report.accepted else 1 if report.readable else 2


def _bytes(path: str, limit: int) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(max(limit, 0) + 1)


def _lines(report: Report) -> str:
    if report.accepted:
        counts = f"{report.lemmas} lemmas and {report.leaves} leaves checked in {report.arithmetic} arithmetic"
        return f"ACCEPTED\n{report.words}\n{counts}"
    return f"{'REJECTED' if report.readable else 'UNREADABLE'}\n{report.reason}"


if __name__ == "__main__":
    sys.exit(main())
