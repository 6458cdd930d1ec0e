"""Every loaded network is compared, on random inputs, with the runtime it came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from verify.errors import LoadError, LoadMismatch
from verify.network import Network
from verify.operators import Add, Concat, Input, Linear, ReLU

# What a random input is drawn from: the unit box, a wide and a narrow normal distribution.
SCALES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda u: u,
    lambda u: torch.erfinv((2.0 * u - 1.0).clamp(-0.9999, 0.9999)) * 1.5,
    lambda u: (2.0 * u - 1.0) * 10.0,
    lambda u: (2.0 * u - 1.0) * 0.01,
)
FLOAT32_UNIT = 2.0**-24
# A runtime may sum, fuse and fold in its own order: its rounding is a small multiple of what ours is in float32.
ROUNDINGS = 64.0


def check_against_runtime(
    network: Network,
    run: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]],
    *,
    source: str,
    generator: torch.Generator,
    samples: int = 4,
) -> float:
    """Compare ``network`` with ``run`` on random inputs; returns the largest difference, absolute.

    ``run`` takes one float32 input of ``network.input_shape`` (no batch axis) and returns the source's scores for it
    in any shape. ``samples`` inputs are drawn for each of the SCALES.

    The tolerance is measured, not guessed: the network is evaluated in float64 and in float32, and for each input the
    runtime may differ from the float64 scores by ROUNDINGS times (the largest difference between the two + one float32
    rounding of what was added up in a score). A worst-case rounding bound would grow exponentially with depth and
    accept a wrong network; a fixed relative one would refuse a right but badly scaled one.

    Raises LoadMismatch with the largest difference, LoadError when the numbers of scores differ.
    """
    single = network.to(dtype=torch.float32)
    shape = (samples, *network.input_shape)
    largest = 0.0
    for scale in SCALES:
        drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
        inputs = scale(drawn).to(torch.float32)
        with torch.no_grad():
            exact, added = _evaluate(network, inputs.double())
            rounding = (single(inputs).double() - exact).abs().amax(dim=1)
        for i, x in enumerate(inputs):
            found = torch.from_numpy(np.array(run(x.numpy()), dtype=np.float64).reshape(-1))
            if found.shape != exact[i].shape:
                raise LoadError(
                    f"{source} gives {found.numel()} scores for one input where the loaded network has "
                    f"{network.outputs}: reluproof refuses to make claims about it"
                )
            difference = (found - exact[i]).abs()
            tolerance = ROUNDINGS * (rounding[i] + FLOAT32_UNIT * added[i])
            if not bool((difference <= tolerance).all()):  # a NaN is a difference too
                worst = int((difference / tolerance).nan_to_num(nan=torch.inf).argmax())
                raise LoadMismatch(source, float(difference[worst]), float(tolerance[worst]))
            largest = max(largest, float(difference.max()))
    return largest


def _evaluate(network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
    """The scores, and the sum of the absolute values of what was added up in each; (N, n_out) both."""
    values: list[Tensor] = []
    sizes: list[Tensor] = []
    for node, value in zip(network.nodes, network.values(x), strict=True):
        read = [sizes[i] for i in node.inputs]
        match node.operator:
            case Input():
                size = value.abs()
            case Linear() as op:
                size = op.absolute(read[0] if op.terms == 0 else values[node.inputs[0]].abs())
                size = size if op.bias is None else size + op.full_bias().abs()
            case ReLU():
                size = read[0]
            case Add():
                size = read[0] + read[1]
            case Concat(axis=axis):
                size = torch.cat(read, dim=axis + 1)
        values.append(value)
        sizes.append(size)
    return values[-1], sizes[-1]
