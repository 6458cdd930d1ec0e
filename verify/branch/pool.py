"""The open domains of a search, in blocks: the worst few are taken out without copying all the others."""

from __future__ import annotations

import torch
from torch import Tensor

from verify.branch.domains import Domains, joined


class Pool:
    """Domains in no order. What is taken out leaves a hole in its block; a block that is mostly holes is made smaller."""

    def __init__(self, domains: Domains) -> None:
        self._blocks: list[Domains] = []
        self._held: list[Tensor] = []  # of each block: positions that are still in the pool
        self._empty = domains.select(slice(0, 0))
        self.add(domains)

    def __len__(self) -> int:
        return sum(len(held) for held in self._held)

    def add(self, domains: Domains) -> None:
        """Put ``domains`` in."""
        if len(domains):
            self._blocks.append(domains)
            self._held.append(torch.arange(len(domains)))

    def bytes(self) -> int:
        """Memory of the blocks, holes included."""
        return sum(len(block) * block.bytes_each() for block in self._blocks)

    def column(self, name: str) -> Tensor:
        """A field of every domain, in the order of positions that :meth:`take` understands."""
        return torch.cat([getattr(b, name)[held] for b, held in self._each()] or [getattr(self._empty, name)])

    def take(self, positions: Tensor) -> Domains:
        """The domains at ``positions``, in this order; they are no longer in the pool."""
        sizes = torch.tensor([len(held) for held in self._held])
        ends = sizes.cumsum(0)
        owner = torch.searchsorted(ends, positions, right=True)
        parts, order = [], []
        for k in owner.unique().tolist():
            mine = (owner == k).nonzero().squeeze(1)
            local = positions[mine] - (ends[k] - sizes[k])
            parts.append(self._blocks[k].select(self._held[k][local]))
            order.append(mine)
            stays = torch.ones(len(self._held[k]), dtype=torch.bool)
            stays[local] = False
            self._held[k] = self._held[k][stays]
            if 2 * len(self._held[k]) < len(self._blocks[k]):
                self._blocks[k] = self._blocks[k].select(self._held[k])
                self._held[k] = torch.arange(len(self._held[k]))
        kept = [k for k, held in enumerate(self._held) if len(held)]
        self._blocks, self._held = [self._blocks[k] for k in kept], [self._held[k] for k in kept]
        return joined(parts).select(torch.cat(order).argsort()) if parts else self._empty

    def all(self) -> Domains:
        """Every domain; the pool is empty afterwards, and at no time does more than one block exist twice."""
        parts = []
        while self._blocks:
            block, held = self._blocks.pop(), self._held.pop()
            parts.append(block if len(held) == len(block) else block.select(held))
        return joined(parts[::-1]) if parts else self._empty

    def _each(self) -> list[tuple[Domains, Tensor]]:
        return list(zip(self._blocks, self._held, strict=True))
