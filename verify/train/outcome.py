"""What training hands back: the module, the network that it exports to, and what happened on the way."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from verify.network import Network
from verify.train.config import Training
from verify.train.evaluate import Errors


@dataclass(frozen=True)
class Epoch:
    """One epoch: ``number`` from 1, mean ``loss``, ``radius`` and ``rate`` at its end, ``seconds`` of wall time.

    ``errors`` are those of the watched validation inputs, at the config's epsilon; None where none are watched.
    """

    number: int
    loss: float
    radius: float
    rate: float
    seconds: float
    errors: Errors | None


@dataclass(frozen=True)
class Trained:
    """A trained module (in eval mode, on the CPU), its network, an :class:`Epoch` for each epoch, and the config."""

    module: nn.Module
    network: Network
    history: tuple[Epoch, ...]
    config: Training
