"""``reluproof info``: what a network file holds."""

from __future__ import annotations

import argparse
import math
from typing import Any

import verify
from verify.cli.inputs import read_network
from verify.cli.output import named, write
from verify.network import Network, node_tensors
from verify.wording import table


def run(arguments: argparse.Namespace) -> int:
    """Print the network's nodes, sizes and hash."""
    network = read_network(arguments)
    facts = describe(network)
    if arguments.save:
        verify.save_network(network, arguments.save)
    if arguments.json:
        write(facts, "-")
        return 0
    rows = [[n["name"], n["operator"], "x".join(map(str, n["shape"])), str(n["weights"])] for n in facts["nodes"]]
    print(table(["node", "operator", "shape", "weights"], rows, left=2))
    print(
        f"\ninput {'x'.join(map(str, facts['input_shape']))}, {facts['outputs']} outputs, {facts['relus']} ReLUs in "
        f"{facts['relu_layers']} layers, {facts['weights']} weights\nsource {facts['source']}\n"
        f"sha256 {facts['sha256']}\nidentity {facts['identity']}"
    )
    return 0


def describe(network: Network) -> dict[str, Any]:
    """The network as plain data."""
    nodes = [
        {
            "name": node.name,
            "operator": type(node.operator).__name__,
            "shape": list(node.shape),
            "weights": sum(t.numel() for t in node_tensors(node) if t.is_floating_point()),
        }
        for node in network.nodes
    ]
    return {
        **named(network),
        "input_shape": list(network.input_shape),
        "outputs": network.outputs,
        "relus": sum(math.prod(network.nodes[r].shape) for r in network.relus),
        "relu_layers": len(network.relus),
        "weights": sum(int(str(n["weights"])) for n in nodes),
        "nodes": nodes,
    }
