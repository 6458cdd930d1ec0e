"""``reluproof transfer``: which certificates of an older network still hold for this one, and which must be proved afresh."""

from __future__ import annotations

import argparse
from pathlib import Path

import verify
from verify.cli.inputs import read_network
from verify.cli.output import named, versions, write
from verify.files import made
from verify.wording import table

KEPT, LOST = 0, 3  # exit codes


def run(arguments: argparse.Namespace) -> int:
    """Replay each certificate, write those that hold, and list the others. Exit code 0 when all hold, else 3."""
    network = read_network(arguments)
    out = made(arguments.out)
    rows = []
    for name in arguments.certificates:
        found = verify.transfer(_bytes(name), network)
        if isinstance(found, verify.Certificate):
            found.save(out / Path(name).name)
            rows.append((name, True, ""))
        else:
            rows.append((name, False, found.reason))
    if arguments.json:
        data = [{"certificate": name, "holds": holds, "reason": why} for name, holds, why in rows]
        write({"network": named(network), "certificates": data, "versions": versions()}, arguments.json)
    if arguments.json != "-":
        print(report(rows))
    return KEPT if all(holds for _, holds, _ in rows) else LOST


def report(rows: list[tuple[str, bool, str]]) -> str:
    """A line per certificate, and the counts."""
    cells = [[name, "holds" if holds else "prove afresh", why] for name, holds, why in rows]
    kept = sum(holds for _, holds, _ in rows)
    return "\n".join(
        [table(["certificate", "", "why"], cells, left=3), "", f"{kept} of {len(rows)} certificates still hold"]
    )


def _bytes(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise verify.UsageError(f"cannot read {name!r}: {error.strerror}") from None
