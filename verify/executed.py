"""Networks as they are executed in IEEE float32: which can be claimed about, and what torch makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from verify.errors import UsageError
from verify.floating import LONGEST32
from verify.network import Network, Node, Semantics
from verify.operators import Linear

SEMANTICS: tuple[Semantics, ...] = get_args(Semantics)


def meant(network: Network, semantics: Semantics) -> Network:
    """The network with the semantics that bounds of it are to have.

    Raises UsageError for an unknown word, and for ``float32`` where no execution of this network is known: a number that is
    not a float32, numbers that were rounded or folded while the file was read, sums of 2^18 products or more. (Values
    that may overflow are refused once a region is known.)
    """
    if semantics not in SEMANTICS:
        raise UsageError(f"unknown semantics {semantics!r}: choose from {', '.join(SEMANTICS)}")
    if semantics == "float32" and network.semantics != semantics:
        for node in network.nodes:
            _require_executable(node)
    return network if network.semantics == semantics else replace(network, semantics=semantics)


def _require_executable(node: Node) -> None:
    op = node.operator
    if not isinstance(op, Linear):
        return
    if op.weight_ulps or op.bias_error is not None:
        raise _refused(
            node, "holds numbers that were folded or rounded on reading: another network is what is executed"
        )
    for name in ("weight", "bias"):
        value: Tensor | None = getattr(op, name, None)
        if value is not None and not is_float32(value):
            raise _refused(node, f"has a {name} with a number that is not a float32")
    if op.fan + 3 >= LONGEST32:
        raise _refused(node, f"sums {op.fan} products, too many for a useful bound (limit 2^18)")


def _refused(node: Node, why: str) -> UsageError:
    return UsageError(f'node {node.name!r} {why}; no claim about its execution can be made: ask with semantics="real"')


def is_float32(values: Tensor) -> bool:
    """Whether every number is a float32."""
    return bool((values.to(torch.float32).to(values.dtype) == values).all())


def executed(network: Network, x: Tensor) -> Tensor:
    """The scores (N, n_out), as float64, of one execution in float32: torch's, at float32 points ``x`` (N, *input_shape).

    Raises UsageError while torch may use less precise products.
    """
    precision = torch.get_float32_matmul_precision()
    if precision != "highest":
        raise UsageError(
            f"torch's float32 matmul precision is {precision!r}, which is not IEEE arithmetic: "
            'call torch.set_float32_matmul_precision("highest")'
        )
    with torch.no_grad():
        return network.to(dtype=torch.float32)(x.to(torch.float32)).to(torch.float64)
