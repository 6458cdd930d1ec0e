"""The stack of boxes that an input search has still to bound, and how a box is halved."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

CHUNK = 2**16  # boxes are stored in blocks of about this many, so that pushing does not copy the whole stack


@dataclass
class Stack:
    """Boxes as tensors with N first, last in, first out: their ends, (N, n) each, and whatever goes with each box.

    Mutable: it belongs to one search.
    """

    blocks: list[tuple[Tensor, ...]] = field(default_factory=list)
    count: int = 0

    def push(self, *columns: Tensor) -> None:
        """Add boxes; the last row will be taken first."""
        added = len(columns[0])
        if not added:
            return
        self.count += added
        if self.blocks and len(self.blocks[-1][0]) + added <= CHUNK:
            columns = tuple(torch.cat(pair) for pair in zip(self.blocks.pop(), columns, strict=True))
        self.blocks.append(columns)

    def pop(self, most: int) -> tuple[Tensor, ...]:
        """Take up to ``most`` boxes off the top."""
        columns = self.blocks.pop()
        keep = max(0, len(columns[0]) - most)
        if keep:
            self.blocks.append(tuple(column[:keep] for column in columns))
        self.count -= len(columns[0]) - keep
        return tuple(column[keep:] for column in columns)

    @property
    def bytes(self) -> int:
        """What the boxes take."""
        return sum(column.numel() * column.element_size() for columns in self.blocks for column in columns)


def halve(lower: Tensor, upper: Tensor, score: Tensor, times: int) -> tuple[Tensor, Tensor, Tensor]:
    """Halve each box (B, n) ``times`` times, each time where ``score`` (B, n) is highest; halves share the split point.

    A coordinate's score halves with its width; one that no longer has a number strictly between its ends is not
    halved. Returns the parts, siblings together, and ``stuck`` (B,): boxes that are left out since they have no such
    coordinate (their score must be 0 where they are points, and is not looked at).
    """
    stuck = ~_divisible(lower, upper).any(1)
    lower, upper, score = lower[~stuck], upper[~stuck], score[~stuck]
    for _ in range(times):
        possible = _divisible(lower, upper)
        place = torch.where(possible, score, -torch.inf).argmax(1)
        row = torch.arange(len(lower))
        middle = _middle(lower, upper)[row, place]
        fits = possible[row, place]
        score = score.clone()
        score[row, place] /= 2
        first, second = upper.clone(), lower.clone()
        first[row, place] = middle
        second[row, place] = middle
        whole = torch.stack([lower, second], 1).flatten(0, 1), torch.stack([first, upper], 1).flatten(0, 1)
        kept = torch.stack([torch.ones_like(fits), fits], 1).flatten()  # a part that cannot be halved stays one part
        whole[1][::2][~fits] = upper[~fits]
        lower, upper, score = whole[0][kept], whole[1][kept], score.repeat_interleave(2, 0)[kept]
    return lower, upper, stuck


def _middle(lower: Tensor, upper: Tensor) -> Tensor:
    return lower / 2 + upper / 2


def _divisible(lower: Tensor, upper: Tensor) -> Tensor:
    middle = _middle(lower, upper)
    return (lower < middle) & (middle < upper)
