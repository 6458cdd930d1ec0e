"""A network seen as a torch module, for tools that take one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from verify.network import Network


class NetworkModule(nn.Module):
    """Calls a network; its weights are constants, so gradients flow to the input only."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, n_out) of inputs ``x`` (N, *input_shape) of the network's dtype."""
        return self.network(x)


def as_module(network: Network, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> NetworkModule:
    """``network`` as a torch module in evaluation mode, with its weights in ``dtype`` on ``device``.

    What verify proves is about the float64 weights; a float32 module is what a deployed copy would compute.
    """
    module = NetworkModule(network.to(dtype=dtype, device=device))
    return module.eval()
