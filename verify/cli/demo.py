"""``reluproof demo``: the main job on a digit network and real digits that ship with the package."""

from __future__ import annotations

import argparse
from typing import Any

import verify
from verify.cli.certify import report as certify_report
from verify.cli.compare import comparison_data
from verify.cli.compare import report as compare_report
from verify.cli.inputs import Question
from verify.cli.output import identity, write
from verify.demo import demo_digits_path, demo_network_path

EPSILON, COMPARED = "0.07", 4
PATIENCE = 5.0  # seconds for each method compared: the integer programs alone would take a minute on a slow machine
INPUTS = (0, 1, 2, 3, 4, 5, 9, 29, 44, 51)  # some of each verdict


def run(arguments: argparse.Namespace) -> int:
    """Certify ten digits, then compare every method on one of them. Exits 0: the demo shows, it does not gate."""
    network = verify.load(demo_network_path("mlp"))
    digits = verify.load_data(demo_digits_path())
    where: dict[str, Any] = {"epsilon": EPSILON, "clip": ("0", "1"), "norm": "linf"}
    several = _question(network, digits, list(INPUTS), where)
    one = _question(network, digits, [COMPARED], where)
    cores = arguments.workers
    comparison = verify.compare(network, one.inputs[0], int(one.labels[0]), timeout=PATIENCE, workers=cores, **where)
    if arguments.json:
        write({**identity(one), **comparison_data(comparison)}, "-")
        return 0
    results = verify.certify_batch(network, several.inputs, several.labels, method="auto", workers=cores, **where)
    print(
        f"A {network.input_shape[-1]}x{network.input_shape[-2]} digit network (784-64-32-10, trained against attacks) and "
        f"{len(INPUTS)} handwritten digits that it was not trained on.\nWhich of them can no change of at most {EPSILON} in "
        "every pixel turn into another digit?\n"
    )
    print(certify_report(several, results))
    print(f"\n\nDigit {COMPARED} by every method, the same question, {PATIENCE:.0f} seconds each:\n")
    print(compare_report(one, comparison))
    print(
        "\nYour own network:  reluproof certify model.onnx --data digits.npz --index 0:20 --epsilon 0.1 --clip 0 1\n"
        f"These files:       {demo_network_path('mlp').parent}"
    )
    return 0


def _question(network: verify.Network, digits: verify.Dataset, index: list[int], where: dict[str, Any]) -> Question:
    chosen = digits.select(index)
    return Question(network, digits, chosen.inputs, chosen.labels, index, where, {"semantics": "real"})
