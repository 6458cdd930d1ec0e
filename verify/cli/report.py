"""``reluproof report``: runs as one HTML file."""

from __future__ import annotations

import argparse

import verify
from verify.cli.inputs import read_data, read_network

WRITTEN = 0


def run(arguments: argparse.Namespace) -> int:
    """Write the report, and say where it is. Exit code 0."""
    written = verify.report(
        [verify.read_run(folder) for folder in arguments.runs],
        arguments.out,
        data=None if arguments.data is None else read_data(arguments),
        network=None if arguments.model is None else read_network(arguments),
        ladder=arguments.ladder,
        timeout=arguments.timeout,
        radii=[verify.read_radii(file) for file in arguments.radii],
    )
    print(f"written to {written} ({written.stat().st_size / 1e6:.1f} MB)")
    return WRITTEN
