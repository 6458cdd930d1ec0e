"""``reluproof merge``: the shards of one run become one run."""

from __future__ import annotations

import argparse

import verify
from verify.cli.run import finished


def run(arguments: argparse.Namespace) -> int:
    """Merge, print the summary. Exit code 0, or 3 where some inputs ended in an error."""
    return finished(verify.merge(arguments.shards, arguments.out), None)
