"""Which input to halve: how much tighter the bound of a row gets, to first order, without trying it.

Halving coordinate i moves two things. The row's own linear form ``a . x`` gains ``|a_i| w_i / 2`` in one half. And every
unstable ReLU loses part of its triangle: its intercept ``t(l, u) = -u l / (u - l)`` has the derivatives ``(1 - s)^2`` in u
and ``-s^2`` in l (s: slope of the chord), one end moves by what half the width is worth there (``reach``), and the row
feels it through the coefficient with which it arrives at the ReLU. The sum ranks the coordinates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.bounds.forward import Forward
from verify.bounds.nouns import unstable


def scores(forward: Forward, width: Tensor, a: Tensor, at_relus: dict[int, Tensor]) -> Tensor:
    """Scores (B, n) of the coordinates, which are ``width`` (B, n) wide, for one row of each box.

    ``a`` (B, n): the row's coefficients at the input; ``at_relus``: those at each ReLU, (B, *shape). A hint: nothing is
    claimed.
    """
    total = a.abs() * width / 2
    for r, coefficient in at_relus.items():
        slope, intercept = forward.lines[r].upper.squeeze(1), forward.lines[r].intercept.squeeze(1)
        felt = coefficient.abs() * unstable(forward.bounds.pre[r])
        reach = forward.reach[r].abs().flatten(2)
        gain = reach * ((1 - slope) ** 2 + slope**2).flatten(1).unsqueeze(1)
        gain = torch.minimum(gain, intercept.flatten(1).unsqueeze(1))
        total = total + torch.matmul(gain, felt.flatten(1).unsqueeze(2)).squeeze(2)
    return total
