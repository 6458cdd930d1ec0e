"""The problem without the neurons that never fire: in layers that were verified inactive, most of the work is about zeros.

A ReLU that is inactive wherever a clause holds gives 0 there. Every form has the coefficient 0 on what it reads, so neither the
neuron nor its weights change a bound; what rounding may lose in the neurons that stay is what it was, or less.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from verify.bounds.nouns import Bounds, Interval
from verify.branch.problem import Columns, Problem
from verify.network import Network, Node
from verify.operators import Affine, ReLU


def narrowed(problem: Problem) -> Problem:
    """The problem over a network without the neurons that are inactive for every clause, where layers are fully connected.

    Its columns are the same neurons in the same order. Trusted: the problem's bounds.
    """
    live = _live(problem.network, problem.bounds)
    nodes, values = list(problem.network.nodes), list(problem.bounds.values)
    slack, execution = list(problem.bounds.slack), list(problem.bounds.execution)
    pre, index = dict(problem.bounds.pre), dict(problem.columns.index)
    for r, kept in live.items():
        p = nodes[r].inputs[0]
        nodes[p] = _rows(nodes[p], kept)
        nodes[r] = replace(nodes[r], operator=ReLU(output_shape=nodes[p].shape))
        for k in _readers(nodes, r):
            nodes[k] = _columns(nodes[k], kept)
        for k in (p, r):
            values[k] = _part(values[k], kept)
            for losses in (slack, execution):
                if losses and (loss := losses[k]) is not None:
                    losses[k] = loss[:, kept]
        pre[r] = _part(pre[r], kept)
        if r in index:
            index[r] = torch.searchsorted(kept, index[r])
    bounds = replace(problem.bounds, values=tuple(values), pre=pre, slack=tuple(slack), execution=tuple(execution))
    columns = Columns(index, problem.columns.place, problem.columns.count)
    return replace(problem, network=replace(problem.network, nodes=tuple(nodes)), bounds=bounds, columns=columns)


def _live(network: Network, bounds: Bounds) -> dict[int, Tensor]:
    """By ReLU, the neurons that may fire, where some do not and the layers on both sides are fully connected."""
    found = {}
    for r, pre in bounds.pre.items():
        p = network.nodes[r].inputs[0]
        around = [p, *_readers(network.nodes, r)]
        kept = (~(pre.upper <= 0)).flatten(1).any(0).nonzero().squeeze(1)  # a NaN says nothing, so it stays
        alone = _readers(network.nodes, p) == [r] and all(_dense(network.nodes[k]) for k in around)
        if alone and 0 < len(kept) < pre.upper[0].numel():
            found[r] = kept
    return found


def _dense(node: Node) -> bool:
    return isinstance(node.operator, Affine) and len(node.operator.input_shape) == 1


def _readers(nodes: list[Node] | tuple[Node, ...], i: int) -> list[int]:
    return [k for k, node in enumerate(nodes) if i in node.inputs]


def _rows(node: Node, kept: Tensor) -> Node:
    """The node with the outputs ``kept`` only."""
    op = node.operator
    assert isinstance(op, Affine)
    bias = None if op.bias is None else op.full_bias()[kept]
    error = None if op.bias_error is None else op.bias_error.expand(op.output_shape)[kept]
    return replace(node, operator=replace(op, weight=op.weight[kept], bias=bias, bias_error=error))


def _columns(node: Node, kept: Tensor) -> Node:
    """The node that reads the inputs ``kept`` only, the others being 0."""
    op = node.operator
    assert isinstance(op, Affine)
    return replace(node, operator=replace(op, input_shape=(len(kept),), weight=op.weight[:, kept].contiguous()))


def _part(interval: Interval, kept: Tensor) -> Interval:
    return Interval(interval.lower[:, kept], interval.upper[:, kept])
